"""`streamderain batch` on the command line: what is printed, and with which exit code it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streamderain.batch.spread import archive
from streamderain.batch.spread.config import BatchConfig
from streamderain.cli.app import app
from tests.batch.spread.here import Here

QUICK = ("--model", "fast", "--backend", "torch", "--blend", "0", "--devices", "cpu")


@pytest.fixture
def folder(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files and one that is none; what they are given to runs in this process."""

    @contextmanager
    def workers(config: BatchConfig) -> Iterator[tuple[Here, BatchConfig]]:
        yield Here(), config

    monkeypatch.setattr(archive, "_workers", workers)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("in/a.mp4", "in/sub/c.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    (tmp_path / "in" / "b.mp4").write_text("rain")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments, *QUICK])


def test_what_failed_is_a_list_at_the_end_and_the_exit_code(folder: Path) -> None:
    done = run("in", "--out", "out")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("failed: b.mp4: ")
    assert lines[-2].endswith(": 2 derained, 1 failed")
    assert done.stderr.count("b.mp4 cannot be opened as a video") == 1
    (folder / "in" / "b.mp4").unlink()
    again = run("in", "--out", "out", "--json")
    assert (again.exit_code, again.stderr) == (0, "")
    summary = json.loads(again.stdout)
    assert (summary["done before"], summary["failed"]) == (2, 0)
    assert [each["name"] for each in summary["files"]] == ["a.mp4", "sub/c.mp4"]


def test_it_goes_on_whether_it_is_asked_to_or_not(folder: Path) -> None:
    run("in", "--out", "out")
    assert json.loads(run("in", "--out", "out", "--json", "--resume").stdout)["done before"] == 2


def test_ctrl_c_ends_it_and_says_how_to_go_on_and_ray_is_brief(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stopped(
        inputs: Sequence[str], out: str, config: BatchConfig, report: Callable[[object], None]
    ) -> Iterator[None]:
        print("\x1b[33m(raylet)\x1b[0m A worker died.\n    [state-dump] 1 total")
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(archive, "derain_archive", stopped)
    done = run("in", "--out", "out")
    assert done.exit_code == 130
    assert "raylet" not in done.stdout
    assert [record.getMessage() for record in caplog.records] == ["(raylet) A worker died."]
    assert done.stderr.endswith("stopped; the same command goes on from here\n")


def test_inputs_are_taken_into_a_folder_that_holds_none_of_them(folder: Path) -> None:
    assert "in is the folder that is read" in str(run("in", "--out", "in").exception)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--compare", "c.mp4"), "compare is for one file"),
        (("--start", "3"), "start is for one file"),
        (("--part-length", "rain"), "rain is no length of time"),
        (("--attempts", "0"), "attempts is 0; allowed: 1 to 100"),
        (("--devices", "cpu,cuda:0"), "name those of one kind"),
    ],
)
def test_what_it_cannot_be_told_is_one_line(folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    said = str(CliRunner().invoke(app, ["batch", "in", "--out", "out", *arguments]).exception)
    assert reason in said
    assert "\n" not in said


def test_without_ray_there_is_the_command_that_installs_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = str(CliRunner().invoke(app, ["batch", str(clip), "--out", str(tmp_path / "out")]).exception)
    assert said == "batch needs Ray; pip install 'streamderain[ray]', or name --devices of this machine"
