"""Many files on the command line: what is printed, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streamderain.cli.app import app

QUICK = ("--model", "fast", "--device", "cpu", "--backend", "torch", "--blend", "0")


@pytest.fixture
def folder(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("in/a.mp4", "in/sub/c.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str, **options: str) -> Result:
    return CliRunner().invoke(app, [*arguments, *QUICK], **options)


def test_a_folder_goes_into_a_folder_and_a_table_says_what_came_of_each(folder: Path) -> None:
    (folder / "in" / "b.mp4").write_text("rain")
    done = run("in", "out")
    assert done.exit_code == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["file", "frames", "s", "fps", "result"]
    assert [(line[0], line[-1]) for line in (lines[1], lines[3])] == [
        ("in/a.mp4", "out/a.mp4"),
        ("in/sub/c.mp4", "out/sub/c.mp4"),
    ]
    assert "failed:" in lines[2]
    assert done.stdout.splitlines()[-1].endswith(": 2 derained, 1 failed")
    assert done.stderr.count("b.mp4 cannot be opened as a video") == done.stderr.count("b.mp4") == 1
    (folder / "in" / "b.mp4").unlink()
    again = run("in", "out")
    assert again.exit_code == 0
    assert again.stderr.count("exists; --overwrite replaces it") == 2


def test_a_list_is_summed_up_in_json(folder: Path) -> None:
    done = run("--list", "-", "out", "--json", input="in/a.mp4\nin/none.mp4\n")
    assert done.exit_code == 1
    summary = json.loads(done.stdout)
    assert [(Path(each["input"]).name, each["result"]) for each in summary["files"]] == [
        ("a.mp4", "derained"),
        ("none.mp4", "failed"),
    ]
    assert (summary["derained"], summary["failed"], summary["files"][0]["frames"]) == (1, 1, 12)
    assert [each["warnings"] for each in summary["files"]] == [[], []]
    assert "none.mp4 does not exist" in done.stderr


def test_what_the_log_says_of_each_file_is_in_its_summary(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.partial.mp4").write_text("worn")
    done = run("in", "out", "--json", "--overwrite")
    first, second = (each["warnings"] for each in json.loads(done.stdout)["files"])
    assert {text.rpartition(" is replaced, ")[2] for text in first} == {"which an earlier run left"}
    assert second == []
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("in/a.mp4", "in/sub/c.mp4", "new.mp4"), "new.mp4 is no folder"),
        (("in", "in/a.mp4"), "in/a.mp4 is no folder"),
        (("in", "in"), "in is the folder that is read"),
        (("--list", "none.txt", "out"), "none.txt cannot be read as a list of names"),
        (("--list", "none.txt", "in/a.mp4", "out"), "2 names stand beside it"),
        (("--watch", "none", "out"), "--watch needs a folder that is there"),
        (("--watch", "in", "in"), "in is the folder that is watched"),
        (("--watch", "in", "out", "--list", "x"), "--list and --watch are both set"),
        (("in", "out", "--compare", "c.mp4"), "--compare is for one file"),
        (("in", "out", "--report", "r.json"), "--report is for one file"),
        (("in", "out", "--try", "3"), "--try is for one file"),
        (("in/a.mp4", "out.mp4", "--try", "0"), "--try takes a length above 0"),
        (("test", "out.mp4", "--try", "3"), "--try is for a file; a live stream"),
        (("in", "out", "--start", "3"), "--start is for one file"),
        (("test", "out.mp4", "--end", "3"), "--end is for one file; a live stream"),
        (("in", "out", "--segment", "10m"), "--segment is for live streams"),
    ],
)
def test_what_many_files_cannot_have_is_one_line(folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    said = str(run(*arguments).exception)
    assert reason in said
    assert "\n" not in said
    assert not (folder / "out").exists()


def test_try_says_what_the_whole_takes(folder: Path) -> None:
    done = run("in/a.mp4", "out.mp4", "--try", "0.2", "--strength", "0.8")
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()
    assert first.startswith("out.try.mp4: 5 frames from ")
    assert first.endswith("rainy, strength 0.4, strength 0.8")
    assert second.startswith("the whole will take about ")
    assert second.endswith(" MB")
    assert (folder / "out.try.mp4").exists()
    assert not (folder / "out.mp4").exists()


def test_ctrl_c_ends_a_watch_cleanly(folder: Path) -> None:
    (folder / "in" / "sub" / "c.mp4").unlink()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamderain", "--watch", "in", "out", *QUICK],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert "a.mp4: 12 frames in" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")
    assert printed.splitlines()[-1].endswith(": 1 derained")
