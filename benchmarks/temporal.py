"""What the neighbouring frames are worth, on clips in drawn rain: a network that sees them against the same one that is
given each frame by itself, both with and without blending.

PSNR on Y, of the whole picture and of what moves by itself, and flicker, in three rains.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean

import torch
from rainy_clips import RAINS, Clip, clean_clips
from results import DATA, FOLDER, save
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.evaluation.flicker import FlickerMeter
from streamderain.evaluation.methods import Method, baselines
from streamderain.evaluation.metrics import luma, psnr
from streamderain.networks.restorer import Restorer
from streamderain.temporal import motion

APART = 1.0
"""Pixels by which something must move otherwise than most of the picture to count as moving by itself."""

Figures = dict[str, float]


class Played:
    """Plays back what a network made of a clip, in the network's place, so that each clip goes through it once."""

    past = future = 0
    device = torch.device("cpu")

    def __init__(self, pictures: Tensor) -> None:
        self._pictures = iter(pictures.float() / 255)

    def restore(self, windows: Tensor) -> Tensor:
        """(N, 1, 3, H, W) of the next N frames -> (N, 3, H, W)."""
        return torch.stack([next(self._pictures) for _ in windows])


class OneByOne(Method):
    """A network that is given each frame of a clip by itself, as a still picture."""

    def pictures(self, rainy: Tensor) -> Iterator[Tensor]:
        """See Method."""
        return chain.from_iterable(map(super().pictures, torch.split(rainy, 1)))


def ways(model: str) -> Iterator[Method]:
    """The networks, without blending."""
    plain = DerainConfig(device="cpu", blend=0.0)
    network = Restorer.load(model, "cpu")
    yield OneByOne(f"{model}, one frame", network, plain)
    yield Method(f"{model}, past alone", network, replace(plain, neighbours="past"))
    yield Method(model, network, plain)


def answers(rainy: Tensor, model: str) -> Iterator[tuple[str, Tensor]]:
    """What each way makes of a clip, without and with blending: uint8 RGB (T, 3, H, W)."""
    for method in baselines(torch.device("cpu")):
        yield method.name, torch.cat(list(method.pictures(rainy)))
    for method in ways(model):
        made = torch.cat(list(method.pictures(rainy)))
        yield method.name, made
        blended = Method(method.name, Played(made), replace(method.config, blend=1.0))
        yield f"{method.name}, blended", torch.cat(list(blended.pictures(rainy)))


def moving_by_itself(clip: Tensor) -> list[Tensor]:
    """Of each frame, where the scene moves otherwise than most of it: bool (1, 1, H, W)."""
    gauge, grey = motion.Gauge(torch.device("cpu")), [motion.luma(each[None].float() / 255) for each in clip]
    masks = []
    for number in range(len(clip)):
        flow, _ = gauge.both_ways(grey[number], grey[number - 1 if number else 1])
        most = flow.vectors.flatten(2).median(dim=2).values[..., None, None]
        masks.append((flow.vectors - most).square().sum(dim=1, keepdim=True).sqrt() > APART)
    return masks


def figures(derained: Tensor, clean: Tensor, masks: list[Tensor]) -> Figures:
    """Means over the frames of a clip."""
    meter, whole, moving = FlickerMeter(), [], []
    for picture, reference, mask in zip(torch.split(derained, 1), torch.split(clean, 1), masks, strict=True):
        meter.add(picture, reference)
        first, second = luma(picture), luma(reference)
        whole.append(psnr(first, second))
        if mask.float().mean() > 0.002:
            moving.append(10 * math.log10(255**2 / max(float((first - second)[mask].square().mean()), 1e-3)))
    flicker = meter.figures()
    assert flicker is not None
    assert flicker.clean_warping_error is not None
    assert flicker.tof is not None
    # What the clean clip has too is no flicker: motion that flow misses, the camera's noise.
    added = math.sqrt(max(0.0, flicker.warping_error**2 - flicker.clean_warping_error**2))
    found = {"psnr": fmean(whole), "warping_error": flicker.warping_error, "flicker": added, "tof": flicker.tof}
    return {**found, "moving": fmean(moving)} if moving else found


def mean_of(rows: list[Figures]) -> Figures:
    """The mean of each figure over the rows that have it."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: fmean(row[key] for row in rows if key in row) for key in keys}


def measure(clips: list[Clip], seeds: int, model: str) -> Iterator[tuple[str, str, str, Figures]]:
    """Clip, rain, way and figures, for each seed."""
    for clip in clips:
        masks = moving_by_itself(clip.pictures)
        for rain in RAINS:
            for seed in range(seeds):
                for way, made in answers(clip.in_rain(rain, seed), model):
                    yield clip.name, rain, way, figures(made, clip.pictures, masks)
                print(clip.name, rain, seed, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    clips = list(clean_clips(arguments.data, arguments.frames))
    rows = list(measure(clips, arguments.seeds, arguments.model))
    names = list(dict.fromkeys(way for _, _, way, _ in rows))

    def table(column: int) -> dict[str, dict[str, Figures]]:
        """Means by what stands in a column of the rows, and by way."""
        of = list(dict.fromkeys(row[column] for row in rows))
        return {
            each: {way: mean_of([row[3] for row in rows if row[column] == each and row[2] == way]) for way in names}
            for each in of
        }

    result = {
        "frames": arguments.frames,
        "seeds": arguments.seeds,
        "ways": names,
        "all": {way: mean_of([row[3] for row in rows if row[2] == way]) for way in names},
        "by_rain": table(1),
        "by_clip": table(0),
    }
    save("temporal", result, arguments.out)


if __name__ == "__main__":
    main()
