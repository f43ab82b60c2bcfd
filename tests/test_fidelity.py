"""The scripts that compare what goes in with what comes out see a loss where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import SCRIPTS, run

FOLDER = SCRIPTS / "fidelity"

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="the system's ffmpeg is not here")


def script(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, FOLDER / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_ffmpeg
def test_a_few_files_of_the_corpus(tmp_path: Path) -> None:
    names = ("h264-aac.ts", "laid-mirrored.mp4", "subtitles.mkv", "cut.mkv")
    script("run.py", *names, "--folder", tmp_path, "--results", tmp_path)
    rows = json.loads((tmp_path / "corpus.json").read_text())["rows"]
    outcomes = {(row["file"], row["output"]): row["outcome"] for row in rows}
    assert {outcomes["h264-aac.ts", each] for each in ("ts", "mp4", "mkv")} == {"kept"}
    assert {outcomes["laid-mirrored.mp4", each] for each in ("mp4", "mkv", "mov")} == {"kept"}
    assert outcomes["subtitles.mkv", "webm"] == "refused"  # aac
    assert outcomes["cut.mkv", "mkv"] == "refused"
    assert set(outcomes.values()) <= {"kept", "told", "refused"}


@needs_ffmpeg
def test_a_few_files_with_changed_bytes() -> None:
    said = script("mutations.py", "--from", "0", "--to", "6")
    assert " 0 longest" in said.splitlines()[-1]


@needs_ffmpeg
def test_a_loss_is_seen(clip: Path, tmp_path: Path) -> None:
    """Of each a second file that lacks one thing."""
    ways = {
        "frames": "-frames:v 9 -c:v libx264 -c:a copy",
        "times": "-vf setpts=PTS*1.1 -fps_mode vfr -c:v libx264 -c:a copy",
        "sound": "-c:v copy -c:a aac",
        "sync": "-itsoffset 0.2 -i {0} -map 0:v -map 1:a -c copy",
        "colour tags": "-c:v libx264 -color_range pc -c:a copy",
        "aspect": "-vf setsar=2 -c:v libx264 -c:a copy",
        "pixels": "-vf negate -c:v libx264 -c:a copy",
        "language": "-c copy -metadata:s:a language=fra",
        "tag title": "-c copy -metadata title=other",
    }
    code = (
        "import sys; from pathlib import Path; from seen import Seen; from compared import losses; import shlex\n"
        "from making import ffmpeg\n"
        "folder, clip = map(Path, sys.argv[1:3]); first = folder / 'first.mp4'\n"
        "ffmpeg('-i {0} -c copy -metadata title=Rain -metadata:s:a language=deu', first, clip)\n"
        "whole = Seen(first)\n"
        "def lost(name, more):\n"
        "    target = folder / f'{len(list(folder.iterdir()))}.mp4'; ffmpeg('-i {0} ' + more, target, first)\n"
        "    return {each.what for each in losses(whole, Seen(target), whole, False)}\n"
        "print(lost('', '-c copy'))\n"
        "for way in sys.argv[3:]:\n"
        "    name, _, more = way.partition('='); print(name in lost(name, more), name)\n"
    )
    command = [sys.executable, "-c", code, tmp_path, clip, *(f"{name}={more}" for name, more in ways.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["set()", *(f"True {name}" for name in ways)]


@needs_ffmpeg
def test_what_is_said_before_the_first_frame_is_told_from_what_follows(clip: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from command import FIRST_FRAME, QUICK, run\n"
        "for output in sys.argv[2:]:\n"
        "    before, mark, after = run([sys.argv[1], output, '--strength', '0', *QUICK]).said.partition(FIRST_FRAME)\n"
        "    print('audio track' in before, bool(mark), ' frames in ' in after)\n"
    )
    command = [sys.executable, "-c", code, clip, tmp_path / "out.mp4", tmp_path / "out.gif"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert done.stdout.splitlines() == ["False True True", "True True True"], done.stderr


def test_the_page_tells_faults_as_such(tmp_path: Path) -> None:
    row = {"file": "a.mp4", "theme": "tags", "code": 0, "said": ["avi does not hold the tag b"], "silent": []}
    rows = [
        {**row, "output": "mkv", "outcome": "kept", "lost": []},
        {**row, "output": "avi", "outcome": "told", "lost": ["tag b: None, not 'c'"]},
        {**row, "output": "ts", "outcome": "silent", "lost": ["frames: 1 of 2"], "said": []},
    ]
    (tmp_path / "corpus.json").write_text(json.dumps({"rows": rows, "machine": {"processor": "a small one"}}))
    run("fidelity/page", "--folder", tmp_path, "--page", tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text().splitlines()
    for line in (
        "| tags | 1 | 1 | 1 | 0 | 1 | 0 |",
        "| a.mp4 | mkv kept, avi told, ts **silent** |",
        "- a.mp4 into avi, told. Lost: tag b: None, not 'c'. Said: avi does not hold the tag b.",
        "- a.mp4 into ts, **silent**. Lost: frames: 1 of 2. Said: nothing.",
    ):
        assert line in lines


def test_the_page_that_is_kept_is_the_one_its_results_make(tmp_path: Path) -> None:
    run("fidelity/page", "--page", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == (FOLDER.parent.parent / "docs" / "fidelity.md").read_text()
