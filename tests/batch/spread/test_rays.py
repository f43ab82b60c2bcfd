"""A real Ray on this machine: its workers and its driver are killed, and every file comes out once and whole.

Ray takes long to start, so that all tests have one; without the extra they skip, and `make ray-test` installs it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.batch.spread.config import BatchConfig
from streamderain.batch.spread.driver import Driver, Standing
from streamderain.batch.spread.inputs import Item, items_of
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.rays import Rays
from streamderain.batch.spread.tasks import Settings, Task
from streamderain.config import DerainConfig
from streamderain.errors import DeviceError
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
CONFIG = DerainConfig(model="fast", device="cpu", backend="torch", preset="ultrafast", blend=0.0)
QUICK = ("--model", "fast", "--backend", "torch", "--blend", "0", "--preset", "ultrafast", "--device", "cpu")


@pytest.fixture(scope="session")
def rays() -> Iterator[Rays]:
    """One core, and so one worker."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'streamderain[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setattr("streamderain.batch.spread.rays.cores_here", lambda: 1)
        with Rays(BatchConfig(ray="local", device="cpu", attempts=3)) as workers:
            yield workers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A film of six parts, a key picture each."""
    (tmp_path / "in").mkdir()
    with av.open(tmp_path / "in" / "a.mp4", "w") as file:
        video = file.add_stream("libx264", rate=4, options={"x264-params": "keyint=4:min-keyint=4:scenecut=0"})
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        for number in range(24):
            picture = np.full((32, 48, 3), 40 + 6 * number, np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode(None))
    return tmp_path


def times_of(path: Path) -> list[float]:
    with open_source(path) as source:
        return [frame.seconds * 4 for frame in decode(source)]


def noted(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []


def parts_of(path: Path) -> list[int]:
    return [record["part"] for record in noted(path) if record["what"] == "part"]


def test_a_worker_that_is_killed_costs_its_part(rays: Rays, folder: Path) -> None:
    """It is killed while it writes the part after the first."""
    journal, killed = folder / "journal.jsonl", []

    def report(standing: Standing) -> None:
        if standing.made and not killed:
            (first,) = (record for record in noted(journal) if record["what"] == "part")
            wait_until(lambda: list((folder / "out" / ".streamderain").glob("unfinished-*/*part*")))
            killed.append(int(first["where"].rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)

    (folder / "in" / "b.mp4").write_text("rain")
    settings = Settings(str(folder / "out"), CONFIG, 1, 1)
    with Journal(journal) as notes:
        driver = Driver(items_of([str(folder / "in")], settings.out), settings, rays, notes)
        outcomes = {each.item.name: each for each in driver.run(report)}
    assert {name: each.result for name, each in outcomes.items()} == {"a.mp4": "derained", "b.mp4": "failed"}
    assert "b.mp4 cannot be opened as a video" in outcomes["b.mp4"].said
    assert killed
    assert sorted(parts_of(journal)) == [0, 4, 8, 12, 16, 20]
    assert len({record["where"] for record in noted(journal) if record["what"] == "part"}) == 2
    assert times_of(folder / "out" / "a.mp4") == list(range(24))
    assert os.listdir(folder / "out") == ["a.mp4"]


def test_a_driver_that_is_killed_goes_on_where_it_was(rays: Rays, folder: Path) -> None:
    """The same command again, on the same cluster; no part that was noted is made twice."""
    import ray

    command = [sys.executable, "-m", "streamderain", "batch", "in", "--out", "out", "--part-length", "1s", *QUICK,
               "--ray", ray.get_runtime_context().gcs_address, "--json"]  # fmt: skip
    options: dict[str, Any] = {
        "cwd": folder,
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    journal = folder / "out" / ".streamderain" / "journal.jsonl"
    first = subprocess.Popen(command, **options)
    wait_until(lambda: len(parts_of(journal)) >= 2 or first.poll() is not None, seconds=600)
    first.kill()
    first.communicate()
    assert parts_of(journal)
    again = subprocess.run(command, **options, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert json.loads(again.stdout)["derained"] == 1
    assert Counter(parts_of(journal)) == Counter([0, 4, 8, 12, 16, 20])
    assert times_of(folder / "out" / "a.mp4") == list(range(24))


def test_tasks_have_names_for_whoever_looks_on(rays: Rays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def name_of(task: Task) -> str:
        import ray

        name: str = ray.get_runtime_context().get_task_name()
        return name

    monkeypatch.setattr(rays, "_remote", ray.remote(name_of))
    task = Task("survey", Item("in/a.mp4", "day/a.mp4"), Settings(str(tmp_path), CONFIG, 60, 1))
    rays.start(task)
    ended: list[Any] = []
    wait_until(lambda: ended.extend(rays.ended()) or ended)
    assert ended == [(task, "survey day/a.mp4")]


def test_more_cores_than_any_machine_has_are_refused(rays: Rays, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < rays.memory() < 10**4
    monkeypatch.setattr(rays, "cores", 999)
    with pytest.raises(DeviceError, match="no machine of this Ray has 999 cores; let --cores be less"):
        rays.memory()
