"""How long the first frame takes, from the command to a derained frame, with cold and with warm caches.

The first start converts and compiles the network for this processor and keeps what it made; the next ones read it.
Each start is a process of its own, at 640x480, and imports as the command does. Writes startup.json.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import save

from streamderain.media.synthetic import write_test_video

HEIGHT, WIDTH = 480, 640
WARM_STARTS = 5
FIRST_FRAME = """
import sys, time
from streamderain.cli.loading import loading

with loading():
    from streamderain.run import derain

def report(progress):
    if progress.frames == 1:
        print(time.time(), flush=True)

derain(sys.argv[1], sys.argv[2], report=report, overwrite=True, neighbours=sys.argv[3])
"""


def first_frame(clip: Path, output: Path, neighbours: str) -> float:
    """Seconds from the start of a new process to its first derained frame."""
    began = time.time()
    command = [sys.executable, "-c", FIRST_FRAME, clip, output, neighbours]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[0]) - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STREAMDERAIN_CACHE"] = str(Path(folder) / "cache")
        clip, output = Path(folder) / "clip.mp4", Path(folder) / "out.mp4"
        write_test_video(clip, HEIGHT, WIDTH, 12)
        cold = first_frame(clip, output, "both")
        warm = {
            neighbours: statistics.median(first_frame(clip, output, neighbours) for _ in range(WARM_STARTS))
            for neighbours in ("both", "past")
        }
    save("startup", {"size": f"{WIDTH}x{HEIGHT}", "first_start_seconds": cold, "next_starts_seconds": warm})


if __name__ == "__main__":
    main()
