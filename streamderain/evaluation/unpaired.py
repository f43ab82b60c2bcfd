"""What can be measured on real rain, of which there is no clean version: what happens where no rain is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import torch
from torch import Tensor

from streamderain.evaluation.metrics import luma

WINDOW = 9
"""Frames whose median says what stands behind the rain."""

STILL_CODES = 3
"""How far, in codes of 0..255, a dry pixel that does not move may stray from that median, by noise and encoder."""


def median_over_time(pictures: Tensor, number: int) -> Tensor:
    """The median of the WINDOW frames around frame `number`, fewer at the ends: uint8 (T, 3, H, W) -> (3, H, W)."""
    first = max(0, number - WINDOW // 2)
    return pictures[first : number + WINDOW // 2 + 1].median(dim=0).values


def still_and_dry(pictures: Tensor, number: int) -> Tensor:
    """Where frame `number` agrees with its median over time in every colour: uint8 (T, 3, H, W) -> bool (H, W)."""
    difference = pictures[number].int() - median_over_time(pictures, number).int()
    return (difference.abs() <= STILL_CODES).all(dim=0)


def lab_difference(first: Tensor, second: Tensor) -> Tensor:
    """The difference of colour, CIE76, of two uint8 sRGB pictures (3, H, W): float32 (H, W).

    1 is about what an eye sees at best; white and black are 100 apart.
    """
    return (_lab(first) - _lab(second)).square().sum(dim=-1).sqrt()


def _lab(picture: Tensor) -> Tensor:
    import cv2

    rgb = picture.permute(1, 2, 0).contiguous().numpy().astype("float32") / 255
    lab: Tensor = torch.from_numpy(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab))
    return lab


@dataclass(frozen=True)
class Unpaired:
    """What a network did to a clip of real rain.

    `dry_lab` is the mean CIE76 between input and output over pixels that are still and dry, `dry_share` the
    share that these are. The rest is the change of mean luma, in codes, from frame to frame: its mean
    size in input and output, and the most by which the output's change leaves the input's (pumping).
    """

    frames: int
    dry_lab: float
    dry_share: float
    input_change: float
    output_change: float
    most_pumping: float


def unpaired(rainy: Tensor, derained: Tensor) -> Unpaired:
    """Measure a clip of at least two frames: uint8 RGB (T, 3, H, W) before and after."""
    differences, dry, pixels = 0.0, 0, 0
    for number in range(len(rainy)):
        mask = still_and_dry(rainy, number)
        differences += float(lab_difference(rainy[number], derained[number])[mask].sum())
        dry, pixels = dry + int(mask.sum()), pixels + mask.numel()
    before, after = (_changes(pictures) for pictures in (rainy, derained))
    return Unpaired(
        frames=len(rainy),
        dry_lab=differences / max(dry, 1),
        dry_share=dry / pixels,
        input_change=fmean(map(abs, before)),
        output_change=fmean(map(abs, after)),
        most_pumping=max(abs(new - old) for old, new in zip(before, after, strict=True)),
    )


def _changes(pictures: Tensor) -> list[float]:
    levels = [float(luma(picture).mean()) for picture in torch.split(pictures, 1)]
    return [new - old for old, new in pairwise(levels)]
