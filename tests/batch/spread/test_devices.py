"""Processes of this machine: what they are given is done, also where one dies or its driver does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamderain.batch.spread.devices import Devices
from streamderain.batch.spread.driver import Driver, Outcome
from streamderain.batch.spread.inputs import items_of
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.tasks import Settings
from streamderain.config import DerainConfig
from tests.waiting import wait_until

CONFIG = DerainConfig(model="fast", device="cpu", backend="torch", preset="ultrafast", blend=0.0)


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "in" / name).write_bytes(clip.read_bytes())
    return tmp_path


class Deadly(Devices):
    """The process that is given the n-th task gets killed while it is at it, for each n of `deaths`."""

    def __init__(self, deaths: set[int], attempts: int = 3) -> None:
        super().__init__(["cpu"], attempts)
        self._deaths, self._given = deaths, 0

    def _hand_out(self) -> None:
        was_idle = self._workers[0].task is None
        super()._hand_out()
        if was_idle and self._workers[0].task:
            self._given += 1
            if self._given in self._deaths:
                os.kill(self.processes[0], signal.SIGKILL)


def outcomes(folder: Path, workers: Devices) -> list[Outcome]:
    settings = Settings(str(folder / "out"), CONFIG, 60, 1)
    with workers, Journal(folder / "journal.jsonl") as journal:
        return list(Driver(items_of([str(folder / "in")], settings.out), settings, workers, journal).run())


def test_a_process_that_dies_costs_what_it_was_at(folder: Path) -> None:
    found = outcomes(folder, Deadly({2, 3}))
    assert [(each.item.name, each.result, each.frames) for each in found] == [
        ("a.mp4", "derained", 12),
        ("b.mp4", "derained", 12),
    ]


def test_a_file_that_kills_its_process_every_time_is_told_and_passed(folder: Path) -> None:
    found = {each.item.name: each for each in outcomes(folder, Deadly({1, 2}, attempts=2))}
    assert (found["a.mp4"].result, found["b.mp4"].result) == ("failed", "derained")
    assert found["a.mp4"].said == "its process ended 2 times, the last time with exit code -9"
    assert "failed" in (folder / "journal.jsonl").read_text()


DRIVER = """
import sys
from pathlib import Path
from streamderain.batch.spread.devices import Devices

if __name__ == "__main__":
    devices = Devices(["cpu", "cpu"])
    print(*devices.processes, flush=True)
    sys.stdin.read()
"""


def test_processes_do_not_outlive_a_driver_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    root = str(Path(__file__).parents[3])
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py")],
        env={**os.environ, "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert driver.stdout
    processes = [int(each) for each in driver.stdout.readline().split()]
    driver.kill()
    driver.communicate()
    wait_until(lambda: not any(os.path.exists(f"/proc/{each}/exe") for each in processes))


def test_a_command_that_is_killed_goes_on_where_it_was(folder: Path) -> None:
    """It is killed when its journal says that one file is done."""
    command = [sys.executable, "-m", "streamderain", "batch", "in", "--out", "out", "--devices", "cpu", "--json",
               "--model", "fast", "--backend", "torch", "--blend", "0"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    journal = folder / "out" / ".streamderain" / "journal.jsonl"
    first = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: journal.exists() and '"done"' in journal.read_text())
    first.kill()
    first.communicate()
    again = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    summary = json.loads(again.stdout)
    assert summary["done before"] >= 1
    assert (summary["done before"] + summary["derained"], summary["failed"]) == (2, 0)
    assert sorted(path.name for path in (folder / "out").glob("*.*4")) == ["a.mp4", "b.mp4"]
