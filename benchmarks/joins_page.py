"""Writes docs/joins.md from joins.json; every figure on that page comes from there."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quality_page import rows
from results import ROOT, load

PAGE = ROOT / "docs" / "joins.md"

HEAD = """\
# Where parts meet

Made by `benchmarks/joins_page.py` from `benchmarks/joins.json`; `python benchmarks/joins.py` measures anew. Which runs
make a film in parts: [many machines](many-machines.md), and `--resume`.

What is derained is the same in parts and in one run. What is encoded is not, as each part is encoded by itself: it
begins with a key picture, and an encoder that looks ahead would see nothing behind its end, take the last frames for
such that nothing is made of, and spare their bits. So libx264, libx265 and libsvtav1 are shown 8 derained frames behind
the end, and the last of them again, libx264 6 times and libsvtav1 twice; their packets go nowhere.

Below, dB of the luma above that of one run, against what was encoded, at {size} and 25 frames a second: of the dozen
frames before a join, of the last one, of the dozen behind a join, and of all frames. "blind" are parts whose encoder
sees nothing behind them. A single frame may be a B-frame in the one run and none in the other, so it is dozens that
compare. Bytes, and core-seconds of encoding, are times those of one run; short parts are larger, as key pictures are.
"""

COST = """\
## What it costs

A part has 8 frames more to derain, less those which network and blending look at anyway: of five frames and with
blending, on a CPU, that is 4 more. Of the 250 frames of a part of `--resume` this is 1.6%, of the 1,500 of `batch`
0.3%. Other encoders, and lossless encodings, have none of it.
"""

LEFT = """\
## What is left

- A part begins with a key picture where one run may have none: its first frames are better, and larger.
- libx264 that keeps to a bitrate begins each part anew, not knowing how hard the film was before: the dozen frames
  behind a join are 3 to 4 dB worse, in parts of one second and of four alike. Give a quality (`--crf`) instead, or do
  the film in one piece.
- On "street", where next to nothing moves, frames far behind a join have a say in those before it, and more than 8
  would have to be seen: in parts of four seconds those are still 0.4 dB worse. With libx265 they are 0.2 dB better.
- libvpx as it is set here does not look ahead; its parts are better than one run, and larger.
- Rainy frames behind the end, which would cost no deraining, gained two thirds of what derained ones do (12 of either,
  on the sample): of what was before, rain is not made.
"""


def figures(found: dict[str, float]) -> list[str]:
    """What was measured of parts, as cells."""
    return [
        *(f"{found[name]:+.2f}" for name in ("before", "last", "after", "all")),
        *(f"{found[name]:.2f}" for name in ("bytes", "core_seconds")),
    ]


def table(clip: str, encodings: dict[str, Any]) -> Iterator[str]:
    """One clip."""
    frames = next(iter(encodings.values()))["frames"]
    yield f"## {clip.capitalize()}, {frames} frames\n"
    lines = [("encoder", "frames a part", "", "before", "last", "after", "all", "bytes", "core-seconds")]
    for encoder, measured in encodings.items():
        for length, ways in measured.items():
            if length.isdecimal():
                lines += [(encoder, length, way, *figures(found)) for way, found in ways.items()]
    yield from rows(lines)
    yield ""


def page() -> str:
    """All of docs/joins.md."""
    found = load("joins")
    lines = [HEAD.format(size=found["size"])]
    for clip, encodings in found["clips"].items():
        lines += table(clip, encodings)
    lines += [COST, LEFT, f"Machine: {found['machine']['processor']}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.parse_args().page.write_text(page())
