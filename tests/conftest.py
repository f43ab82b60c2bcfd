"""What tests share: where the founders' data is, and that a run leaves nothing behind."""

from __future__ import annotations

import os

# Pictures in tests are tiny: a second thread would only wait for the first.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import itertools
import logging
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import ARGUMENTS, CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What runs in the background of a script ignores Ctrl-C, what nohup starts ignores SIGHUP, and either hands that on to
# every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

NUMBERS = itertools.count()

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or changes the weights and settings that the user has saved. The folder is numbered here, as pytest
    would look through the folders of all tests before this one to find its number.
    """
    own = tmp_path_factory.getbasetemp() / "own" / str(next(NUMBERS))
    (own / "weights").mkdir(parents=True)
    monkeypatch.setenv("STREAMDERAIN_WEIGHTS", str(own / "weights"))
    monkeypatch.setenv("STREAMDERAIN_SETTINGS", str(own / "settings.yaml"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks run in plain torch unless a test asks for more, as its small ones would take longer to compile than to
    run; what backends keep is shared by all tests of a session, in all of its processes.
    """
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(root / "cache"))
    monkeypatch.setattr("streamderain.backends.table.backend_on", lambda device: "torch")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A command that runs in this process sets how much is logged, and where to, for its own test alone."""
    loggers = [logging.getLogger(), logging.getLogger("streamderain")]
    before = [(each.level, list(each.handlers)) for each in loggers]
    yield
    for each, (level, handlers) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.handlers[:] = handlers


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test ends without threads of ours still running, and with torch as it was."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("streamderain-")]
    assert not left, f"threads left behind: {left}"
    if torch := sys.modules.get("torch"):
        assert torch.is_grad_enabled(), "gradients were switched off"
        assert not torch.is_inference_mode_enabled(), "inference mode was left on"


@pytest.fixture
def exact_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32 on a GPU, which would drown faults in rounding."""
    import torch

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.fixture
def shared() -> Path:
    """The folder of reference values and data that the founders share; skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not here")
    return SHARED


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected, and loaded for it, stays to the end: none of it need be looked through for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked cuda need a GPU; with FAIL_WITHOUT_CUDA set, a missing one is a failure."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            if os.environ.get("FAIL_WITHOUT_CUDA"):
                pytest.fail("no CUDA device, and FAIL_WITHOUT_CUDA is set")
            pytest.skip("no CUDA device")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
    if not CHROMIUM.exists():
        pytest.skip("there is no /usr/bin/chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of 48x32 at 25 fps, with sound."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=25, options={"crf": "10"})
        sound = file.add_stream("aac", rate=48000)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        for number in range(12):
            row = np.arange(48, dtype=np.uint8) * 4 + number
            picture = np.stack([np.broadcast_to(row, (32, 48))] * 3, axis=-1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            file.mux(video.encode(frame))
        for number in range(22):
            samples = np.full((2, 1024), number / 100, np.float32)
            noise = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            noise.sample_rate, noise.pts = 48000, number * 1024
            file.mux(sound.encode(noise))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    return path
