"""What a run holds in memory after 9,000 frames against after 1,000, with sound, and after many files against few."""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import command  # noqa: F401  torch in one thread
import torch
from making import ffmpeg
from results import save
from torch import Tensor

from streamderain import derain
from streamderain.run import Progress

FOLDER = Path(__file__).parent

SHORT, LONG = 1000, 9000
FEW, MANY = 20, 100
"""Files one after the other."""


class Unchanged:
    """A network that costs nothing."""

    device = torch.device("cpu")
    past = future = 0

    def restore(self, windows: Tensor) -> Tensor:
        """The frame in the middle."""
        return windows[:, 0]


def held() -> dict[str, float]:
    """MiB of the process, and of what Python has allocated."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
    return {"rss_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "python_mib": traced / 2**20}


def within(folder: Path) -> dict[str, Any]:
    """One run over LONG frames and a few."""
    source, seen = folder / "long.mp4", {}
    ffmpeg(f"-f lavfi -i testsrc2=s=64x48:r=25:d={LONG // 25 + 2} -f lavfi -i sine=440:r=48000:d={LONG // 25 + 2} "
           "-c:v mpeg4 -q:v 5 -c:a aac -b:a 32k", source)  # fmt: skip

    def report(progress: Progress) -> None:
        if progress.frames in (SHORT, LONG):
            seen[progress.frames] = held()

    derain(source, folder / "long.mkv", network=Unchanged(), blend=0, report=report, encoder="mpeg4")
    return {"short": seen[SHORT], "long": seen[LONG]}


def one_by_one(folder: Path) -> dict[str, Any]:
    """Many files in one process."""
    source, seen = folder / "short.mp4", {}
    ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=440:r=48000:d=1 -c:v mpeg4 -c:a aac", source)
    for number in range(1, MANY + 1):
        derain(source, folder / "out.mkv", network=Unchanged(), blend=0, encoder="mpeg4", overwrite=True)
        if number in (FEW, MANY):
            seen[number] = held()
    return {"short": seen[FEW], "long": seen[MANY]}


def apart(work: Callable[[Path], dict[str, Any]], is_traced: bool) -> dict[str, Any]:
    """What it found in a process of its own; Python's own account makes that larger, so it is taken by itself."""
    listens, speaks = os.pipe()
    if not os.fork():
        if is_traced:
            tracemalloc.start()
        with tempfile.TemporaryDirectory() as folder:
            os.write(speaks, json.dumps(work(Path(folder))).encode())
        os._exit(0)
    os.close(speaks)
    with os.fdopen(listens) as heard:
        found: dict[str, Any] = json.loads(heard.read())
    os.wait()
    return found


def main() -> None:
    result = {"frames": [SHORT, LONG], "files": [FEW, MANY]}
    for name, work in (("one_run", within), ("many_files", one_by_one)):
        rss, python = (apart(work, is_traced) for is_traced in (False, True))
        short, long = rss["short"]["rss_mib"], rss["long"]["rss_mib"]
        result[name] = {"rss_mib": [short, long], "long_over_short": long / short,
                        "python_mib": [python["short"]["python_mib"], python["long"]["python_mib"]]}  # fmt: skip
        print(name, result[name], flush=True)
    save("memory", result, FOLDER)


if __name__ == "__main__":
    main()
