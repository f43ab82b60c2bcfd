"""TemporalBlender: each derained frame and its neighbours, moved onto it, agree on what is there.

Rain that the network left in one frame is outvoted by the others; what moved out of sight takes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.temporal.filters import mean_around, median_of
from streamderain.temporal.motion import Flow, Gauge, luma

REACH = 2
"""Neighbours on each side. The second brings 0.2 dB."""

AGREEMENT = 0.02
"""Difference from what is agreed on, in units of 0..1, at which a picture's weight falls to a third."""

LAST_WORD = 0.05
"""Least weight of the frame itself, so that something is left where all neighbours take no part."""

OBJECT = 0.03
"""Mean difference over a `WIDE` square at which two thirds of the blending are given up: it is no streak."""

NARROW, WIDE = 3, 5
"""Sides, in pixels of half the size, of the squares over which differences are averaged, so that noise alone does not
decide.
"""

RAIN = 0.002
"""Mean change by the network, in units of 0..1, from which on a surrounding counts as rained on."""

BAND = 2**20
"""Pixels that are blended at once: many copies of them are held meanwhile."""

BORDER = 16
"""Rows around a band that have a say in it; more than the squares and their enlargement reach."""

SURROUNDING = 64
"""Side in pixels of the squares in which the change is averaged; the next squares count too."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame behind the network: `clean`, (1, 3, H, W) float RGB in 0..1, and the `rain` that the network took away,
    (1, 1, h, w), its mean over large squares.
    """

    clean: Tensor
    rain: Tensor

    @classmethod
    def of(cls, rainy: Tensor, clean: Tensor) -> Moment:
        """That of a frame before and after the network, (1, 3, H, W) float RGB in 0..1; holds on to `clean` alone."""
        change = (rainy - clean).abs_().mean(dim=1, keepdim=True)
        side = (min(SURROUNDING, change.shape[-2]), min(SURROUNDING, change.shape[-1]))
        return cls(clean, F.avg_pool2d(change, side, ceil_mode=True, count_include_pad=False))

    @cached_property
    def luma(self) -> Tensor:
        """What motion is looked for in."""
        return luma(self.clean)


class TemporalBlender:
    """Blends derained frames with their neighbours, `strength` of 0..1 of the way to what they agree on.

    With neighbours on both sides the median of all is what they agree on, so the frame itself can be outvoted. The
    past alone cannot outvote it: what a new thing covers looks like rain that has gone. There the neighbours only
    calm what they confirm.
    """

    def __init__(self, strength: float, device: torch.device) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"{strength = }; blending is allowed from 0 to 1")
        self.strength = strength
        self._gauge = Gauge(device)
        self._flows: dict[tuple[int, int], Flow] = {}
        self._kept: list[Moment] = []

    @torch.inference_mode()
    def __call__(self, before: Sequence[Moment], present: Moment, after: Sequence[Moment]) -> Tensor:
        """Blend the `clean` picture of `present`, (1, 3, H, W), with those of its neighbours, in order of time.

        Returns the same shape; exactly `present.clean` where nothing rains or nobody agrees.
        """
        if self.strength == 0 or not (before or after):
            return present.clean
        rained_on = _rained_on(present)
        if not rained_on.any():
            return present.clean
        row = [*before, present, *after]
        self._forget_all_but(row)
        neighbours = [*self._chain(row[len(before) :: -1]), *self._chain(row[len(before) :])]
        blended = torch.empty_like(present.clean)
        for band, wide in _bands(*blended.shape[-2:]):
            own = present.clean[..., wide, :]
            pictures = [flow.bring(there.clean, "bicubic", wide) for flow, there in neighbours]
            seen = [flow.seen[..., wide, :] for flow, _ in neighbours]
            change = agreement(own, pictures, seen, vote=bool(before and after)).sub_(own)
            change.mul_(rained_on[..., wide, :]).mul_(self.strength).add_(own)
            blended[..., band, :] = change[..., band.start - wide.start : band.stop - wide.start, :]
        return blended

    def _chain(self, row: Sequence[Moment]) -> list[tuple[Flow, Moment]]:
        """Every moment of `row` but the first, behind the flow to it from the first."""
        height, width = row[0].clean.shape[-2:]
        chain: list[tuple[Flow, Moment]] = []
        flow: Flow | None = None
        for here, there in pairwise(row):
            step = self._flow(here, there)
            flow = flow.then(step) if flow else step
            chain.append((flow.enlarged(height, width), there))
        return chain

    def _flow(self, here: Moment, there: Moment) -> Flow:
        key = (id(here), id(there))
        if key not in self._flows:
            forth, back = self._gauge.both_ways(here.luma, there.luma)
            self._flows |= {key: forth, key[::-1]: back}
        return self._flows[key]

    def _forget_all_but(self, row: Sequence[Moment]) -> None:
        """Drop flows of moments that are gone; those in `row` are kept alive, so that no other takes their id."""
        present = {id(moment) for moment in row}
        self._flows = {key: flow for key, flow in self._flows.items() if present.issuperset(key)}
        self._kept = list(row)


def agreement(present: Tensor, neighbours: Sequence[Tensor], seen: Sequence[Tensor], vote: bool) -> Tensor:
    """What `present` and its `neighbours`, (1, 3, H, W) each, agree on, where these are `seen`, (1, 1, H, W).

    A mean, weighted by how near each comes to their median, or without `vote` to the present itself.
    """
    trusted = [torch.lerp(present, picture, mask) for picture, mask in zip(neighbours, seen, strict=True)]
    middle = _median([present, *trusted]) if vote else present
    total, weights = torch.zeros_like(present), torch.zeros_like(present[:, :1])
    for picture, mask in zip(trusted, seen, strict=True):
        weight = mask * _nearness(picture - middle, NARROW, AGREEMENT)
        total.addcmul_(weight, picture)
        weights += weight
    if not vote:
        return (total + present) / (weights + 1)
    off = present - middle
    own = _falling(off.abs().amax(dim=1, keepdim=True), AGREEMENT) + LAST_WORD
    blended = total.addcmul_(own, present) / (weights + own)
    is_streak = _nearness(off, WIDE, OBJECT)
    return torch.lerp(present, blended, is_streak)


def _bands(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Bands of rows that cover a picture, each with its border; they begin at even rows, as half the size is used."""
    rows = max(2 * BORDER, BAND // width // 2 * 2)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield slice(top, bottom), slice(max(0, top - BORDER), min(height, bottom + BORDER))


def _nearness(difference: Tensor, side: int, scale: float) -> Tensor:
    """How near `difference`, (1, 3, H, W), is to none, on the mean of squares of twice `side` pixels: (1, 1, H, W).

    Worked out at half the size, as it is smooth.
    """
    small = F.avg_pool2d(difference.abs().mean(dim=1, keepdim=True), 2, ceil_mode=True, count_include_pad=False)
    nearness = _falling(mean_around(small, side), scale)
    return F.interpolate(nearness, difference.shape[-2:], mode="bilinear", align_corners=False)


def _rained_on(moment: Moment) -> Tensor:
    """How surely it rains around each pixel, by what the network took away: (1, 1, H, W) in 0..1."""
    near = F.max_pool2d(moment.rain, 3, 1, 1)
    return F.interpolate((near / RAIN).clamp(max=1), moment.clean.shape[-2:], mode="bilinear", align_corners=False)


def _falling(difference: Tensor, scale: float) -> Tensor:
    return torch.exp(-((difference / scale) ** 2))


def _median(pictures: list[Tensor]) -> Tensor:
    """The middle value of an odd number of pictures; of an even one the first, the present, counts twice."""
    return median_of(pictures if len(pictures) % 2 else [*pictures, pictures[0]])
