"""Real rain, to be looked at: for every clip and bundled network a sheet of frames, rainy beside derained.

Also measures what can be measured without a clean version, into real.json. The clips may not be copied into the
project, so the sheets go to a folder that git ignores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from results import DATA, FOLDER, save
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.evaluation.evaluate import upright
from streamderain.evaluation.methods import Method, networks
from streamderain.evaluation.unpaired import unpaired

MOST_FRAMES = 100
"""Frames are kept in memory for the median over time."""

ENLARGED = 3

Picture = npt.NDArray[np.uint8]


def derained(clip: Path, method: Method, frames: int) -> tuple[Tensor, Tensor]:
    """The first frames of a clip before and after, each uint8 RGB (T, 3, H, W)."""
    with method.video(clip) as pairs:
        seen = [(upright(pair.rainy), upright(pair.clean)) for pair in islice(pairs, frames)]
    return torch.cat([rainy for rainy, _ in seen]), torch.cat([clean for _, clean in seen])


def sheet(rainy: Tensor, clean: Tensor, numbers: Sequence[int]) -> Picture:
    """A row for each frame: rainy, derained, and of both the part that changed most, enlarged."""
    rows = []
    for number in numbers:
        before, after = _bgr(rainy[number]), _bgr(clean[number])
        top, left, height, width = _most_changed(before, after)
        shown = [before, after]
        for picture in (before, after):
            part = picture[top : top + height, left : left + width]
            shown.append(cv2.resize(part, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST))
        names = (f"rainy, frame {number}", "derained", f"rainy, {ENLARGED} times", f"derained, {ENLARGED} times")
        tallest = max(picture.shape[0] for picture in shown)
        rows.append(np.hstack([_named(picture, name, tallest) for picture, name in zip(shown, names, strict=True)]))
    return np.vstack(rows)


def _bgr(picture: Tensor) -> Picture:
    return np.ascontiguousarray(picture.permute(1, 2, 0).flip(-1).numpy())


def _most_changed(before: Picture, after: Picture) -> tuple[int, int, int, int]:
    """Top, left, height and width of the third of the picture, each way, that differs most."""
    height, width = before.shape[0] // ENLARGED, before.shape[1] // ENLARGED
    change = cv2.absdiff(before, after).sum(axis=-1).astype(np.float64)
    total = cv2.integral(change)
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top), int(left), height, width


def _named(picture: Picture, name: str, height: int) -> Picture:
    """`picture` filled up to `height`, its name above it, a gap at its right."""
    framed = cv2.copyMakeBorder(picture, 24, height - picture.shape[0], 0, 6, cv2.BORDER_CONSTANT)
    return cv2.putText(framed, name, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, default=DATA / "clips" / "real")
    parser.add_argument("--out", type=Path, default=FOLDER / "sheets", help="folder for the sheets")
    parser.add_argument("--at", type=int, nargs="+", default=[10, 30, 50], help="which frames to show")
    parser.add_argument("--frames", type=int, default=MOST_FRAMES, help="only look at the first frames")
    parser.add_argument("--json", type=Path, default=FOLDER, help="folder for real.json")
    parser.add_argument("--model", nargs="*", default=(), help="networks to look at; by default all bundled ones")
    arguments = parser.parse_args()
    clips = sorted(arguments.clips.glob("*.mp4"))
    if not clips:
        parser.exit(message=f"no clips are in {arguments.clips}; nothing was measured\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    methods = networks(arguments.model, DerainConfig())
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for clip in clips:
        for method in methods:
            rainy, clean = derained(clip, method, arguments.frames)
            # A clip that is shorter shows its last frame.
            numbers = sorted({min(number, len(rainy) - 1) for number in arguments.at})
            path = arguments.out / f"{clip.stem}-{Path(method.name).stem}.png"
            cv2.imencode(".png", sheet(rainy, clean, numbers))[1].tofile(path)
            measured.setdefault(clip.stem, {})[method.name] = asdict(unpaired(rainy, clean))
            print(path, measured[clip.stem][method.name], flush=True)
    result = {"models": [method.name for method in methods], "clips": measured}
    save("real", result, arguments.json, keep_others=bool(arguments.model))


if __name__ == "__main__":
    main()
