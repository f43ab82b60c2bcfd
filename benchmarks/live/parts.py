"""What the live benchmarks share: real cameras and a real server, a network that only takes time, and what is measured.

Each camera is a process with gst-rtsp-server, the server is `ffmpeg -rtsp_flags listen`; both are those of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent))

from results import save as save_result  # noqa: E402

from streamderain.live.numbers import LiveNumbers  # noqa: E402
from streamderain.live.run import LiveRun  # noqa: E402
from tests.cameras import Camera, missing  # noqa: E402
from tests.live.running import running as running  # noqa: E402
from tests.media.receivers import free_port  # noqa: E402

DARKER = 0.05
"""What the stub takes away everywhere, so that blending finds rain everywhere: the dearest case for it."""


class Stub:
    """A network that takes `seconds` per call without taking a core, as one on a GPU would."""

    device = torch.device("cpu")
    past = future = 0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def restore(self, windows: Tensor) -> Tensor:
        """Sleep, then return the pictures a little darker."""
        time.sleep(self.seconds)
        return windows[:, 0] - DARKER


@contextmanager
def camera(
    width: int = 640, height: int = 360, fps: int = 25, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Camera]:
    """A camera that is gone afterwards; options are those of rtsp_camera.py."""
    if reason := missing():
        raise SystemExit(reason)
    made = Camera(width, height, fps, options, environment=environment)
    made.start()
    try:
        yield made
    finally:
        made.kill()


@contextmanager
def server(path: Path) -> Iterator[str]:
    """The address of a server that takes one stream and copies it to `path`."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise SystemExit("there is no ffmpeg to publish to; apt install ffmpeg")
    url = f"rtsp://127.0.0.1:{free_port()}/out"
    command = [program, "-y", "-loglevel", "error", "-nostdin", "-rtsp_flags", "listen", "-i", url, "-c", "copy", path]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield url
    finally:
        process.kill()
        process.wait()


class Latencies:
    """All latencies of a run from now on, with the moment of each; the run's own meter keeps only the latest."""

    def __init__(self, run: LiveRun) -> None:
        self.all: list[tuple[float, float]] = []
        book = run.latency.add

        def add(seconds: float, moment: float) -> None:
            before = run.latency.count
            book(seconds, moment)
            if run.latency.count > before:
                self.all.append((time.monotonic(), seconds))

        run.latency.add = add  # type: ignore[method-assign]

    def between(self, begin: float, end: float = float("inf")) -> list[float]:
        """The latencies, in seconds, of what was written from `begin` to `end`, by time.monotonic()."""
        return [seconds for moment, seconds in list(self.all) if begin <= moment < end]


class Vitals(NamedTuple):
    """What a process holds at one moment."""

    rss_mib: float
    files: int
    threads: int


def vitals(pid: int | str = "self") -> Vitals:
    """Those of a process, from /proc."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    rss = int(status["VmRSS"].split()[0]) / 1024
    return Vitals(rss, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]))


def milliseconds(seconds: Sequence[float]) -> dict[str, float | int]:
    """Quantiles of latencies in milliseconds, and how many there are."""
    if not seconds:
        return {"count": 0}
    names = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {"count": len(seconds), **{name: 1000 * float(np.percentile(seconds, q)) for name, q in names.items()}}


def slope(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """By least squares: how much `values` grow per unit of `times`, and the standard error of that.

    The error takes the deviations for independent; neighbouring samples of memory are not quite, so it is too small.
    """
    if len(times) < 3:
        return float("nan"), float("nan")
    x, y = np.asarray(times) - np.mean(times), np.asarray(values) - np.mean(values)
    steep = float(x @ y / (x @ x))
    left = y - steep * x
    return steep, float(np.sqrt(left @ left / (len(x) - 2) / (x @ x)))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> float:
    """Wait until it is true; the seconds that it took. Ends the script when it never is."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + seconds:
            raise SystemExit(f"what was waited for did not happen within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


def unaccounted(numbers: LiveNumbers) -> int:
    """Frames that came and are neither out, nor dropped, nor on their way."""
    return numbers.received - numbers.published - sum(numbers.dropped.values()) - numbers.in_flight


def load() -> list[float]:
    """Means over 1, 5 and 15 minutes of the processes that want a core; above 2 others disturb the measurement."""
    return [round(each, 2) for each in os.getloadavg()]


def save(name: str, result: dict[str, Any]) -> None:
    """Write NAME.json beside the scripts, with the machine and its load, and print it."""
    save_result(name, {**result, "load_at_end": load()}, FOLDER)
