"""Whether memory grows with the length of a video: peak of a run over 300 frames and over 3,000."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from results import save

from streamderain.media.synthetic import write_test_video

HEIGHT, WIDTH = 96, 160
LENGTHS = (300, 3000)
FIRST = 12
"""Frames of a run before, in which the network is made ready, which takes more memory than running it."""

_RUN = """
import resource, sys
from streamderain import derain
derain(sys.argv[1], sys.argv[2], overwrite=True, device="cpu")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "clip.mp4", Path(folder) / "out.mp4"
        for frames in (FIRST, *LENGTHS):
            write_test_video(clip, HEIGHT, WIDTH, frames)
            command = [sys.executable, "-c", _RUN, str(clip), str(output)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[frames] = float(done.stdout.split()[-1])
    short, long = LENGTHS
    save(
        "memory",
        {
            "size": f"{WIDTH}x{HEIGHT}",
            "peak_mib": {str(frames): peaks[frames] for frames in LENGTHS},
            "long_over_short": peaks[long] / peaks[short],
        },
    )


if __name__ == "__main__":
    main()
