"""The examples on pages that only need files are run, as they stand, on small ones."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from streamderain.cli.app import app
from tests.test_docs import examples

pytestmark = pytest.mark.slow

ELSEWHERE = re.compile(r"://|--watch|--ray|cuda:|hub:|\.pth|streamderain (page|serve|profile|whip|test|0|batch)\b")
"""What needs a network, a camera, a GPU, weights of others, a Ray, an hour, or Ctrl-C."""

NEEDS_FIRST = {"--model my-fast": "streamderain models save fast my-fast"}
MADE_ELSEWHERE = ("three.onnx", "samples/")
"""By code of the page, which tests/networks runs; and the sample, which `make demo` derains."""


def lines() -> list[str]:
    """Each command once."""
    found = dict.fromkeys(line.partition(" #")[0].partition(" >")[0].strip() for _, line in examples())
    return [line for line in found if not ELSEWHERE.search(line) and not any(each in line for each in MADE_ELSEWHERE)]


def film(path: Path, frames: int = 100, rate: int = 1) -> None:
    """Of 48x32 with noise that moves; at one frame a second it lasts long enough for times of minutes."""
    noise = np.random.default_rng(1).integers(0, 255, (32, 48, 3), np.uint8)
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(frames):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, number, 1), format="rgb24")))
        file.mux(stream.encode(None))


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the examples name."""
    folder = tmp_path_factory.mktemp("things")
    film(folder / "video.mp4")
    for name in ("tape", "rainy", "clean", "dry", "yard", "terrace"):
        film(folder / f"{name}.mp4", 12, 25)
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 255, (32, 48, 3), np.uint8))
    picture.save(folder / "photo.jpg")
    for name in ("clips", "tapes", "rainy", "clean"):
        (folder / name).mkdir()
        picture.save(folder / name / "a.png")
    shutil.copy(folder / "tape.mp4", folder / "tapes" / "b.mp4")
    (folder / "tapes.txt").write_text("tape.mp4\n")
    return folder


@pytest.mark.parametrize("line", lines())
def test_an_example_does_what_it_says(line: str, things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "--via-ffmpeg" in line and not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    folder = shutil.copytree(things, tmp_path / "here")
    monkeypatch.chdir(folder)
    words = shlex.split(line)[1:]
    named = [folder / word for word in words if (folder / word).exists()]
    # What is read in one example is written in another.
    for path in named[1:] if words[0] != "evaluate" else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for needs, first in NEEDS_FIRST.items():
        if needs in line:
            assert CliRunner().invoke(app, shlex.split(first)[1:]).exit_code == 0
    before = set(folder.rglob("*"))
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert set(folder.rglob("*")) - before or words[0] in ("doctor", "evaluate")
