"""A disk that is full at twenty points of an output: what is whole is kept and plays, in one line, and nothing hangs.

By a limit on the size of files, and where this may mount one, on a file system of that size.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from command import FIRST_FRAME, QUICK, Done, run
from making import AVC, ffmpeg
from results import load, save
from seen import Seen

FOLDER = Path(__file__).parent

POINTS = 20
ENDINGS = ("mp4", "mkv", "ts", "avi")
_LEAST = 16_384
"""Bytes of the smallest file system, which holds its own lists too."""


def points(ending: str, folder: Path, is_mounted: bool) -> Iterator[str]:
    """What is wrong at each point, or nothing."""
    source, whole = folder / "in.mp4", folder / f"whole.{ending}"
    if not source.exists():
        ffmpeg("-f lavfi -i testsrc2=s=192x144:r=25:d=3 -f lavfi -i sine=440:r=48000:d=3 -shortest "
               f"{AVC} -c:a aac", source)  # fmt: skip
    asked = [str(source), "--strength", "0", "--crf", "20", *QUICK]
    run([*asked[:1], str(whole), *asked[1:], "--overwrite"])
    size = whole.stat().st_size
    for number in range(POINTS):
        room = size * number // POINTS
        if is_mounted:
            with mounted(folder / "small", max(_LEAST, room)) as disk:
                output = disk / f"out.{ending}"
                yield fault(run([*asked[:1], str(output), *asked[1:]]), output)
        else:
            output = folder / f"out.{ending}"
            limits = [(resource.RLIMIT_FSIZE, room)]
            yield fault(run([*asked[:1], str(output), *asked[1:]], limits=limits), output)
            for left in folder.glob("out.*"):
                left.unlink()


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fault(done: Done, output: Path) -> str:
    """What is wrong with how a run on a full disk ended."""
    lines = [line for line in done.said.splitlines() if line != FIRST_FRAME and "does not hold" not in line]
    if done.hung or done.code != 1:
        return f"ends with {done.code}, hangs: {done.hung}"
    if not re.search("No space left|File too large", lines[-1]) or "Traceback" in done.said:
        return f"says {lines[-1]}"
    kept = output.with_suffix(f".partial{output.suffix}")
    told = re.search(r"the first (\d+) frames are kept", lines[-1])
    if output.exists() or kept.exists() != bool(told):
        return f"leaves {[each.name for each in output.parent.iterdir()]} and says {lines[-1]}"
    if told and len(Seen(kept).frames) != int(told[1]):
        return f"keeps {len(Seen(kept).frames)} frames and says {told[1]}"
    return ""


def results(endings: Sequence[str], folder: Path) -> None:
    """A row for each container and way, written down as it comes; those of other containers stay."""
    is_there = (FOLDER / "full_disk.json").exists()
    rows = [row for row in (load("full_disk", FOLDER)["rows"] if is_there else ()) if row["output"] not in endings]
    for ending in endings:
        for is_mounted in (False, True)[: 2 if os.geteuid() == 0 else 1]:
            found = list(points(ending, folder, is_mounted))
            faults = sorted({each for each in found if each})
            rows.append({"output": ending, "by": "tmpfs" if is_mounted else "RLIMIT_FSIZE", "points": len(found),
                         "faults": faults})  # fmt: skip
            save("full_disk", {"rows": rows}, FOLDER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endings", nargs="*", default=ENDINGS)
    with tempfile.TemporaryDirectory() as folder:
        results(parser.parse_args().endings, Path(folder))


if __name__ == "__main__":
    main()
