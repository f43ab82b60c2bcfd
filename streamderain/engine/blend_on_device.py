"""DeviceBlender: what `engine.blend` does, with tensors on any device.

Nothing here waits for the device: no value is asked for, and no map is made elsewhere. Pictures are RGB in 0..1; what
`engine.blend` has in codes is divided by 255.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.engine.blend import AGREEMENT, LAST_WORD, NARROW, OBJECT, RAIN, SURROUNDING, WIDE
from streamderain.temporal.filters import mean_around, median_of
from streamderain.temporal.motion import Flow, luma

BAND = 2**20
"""Pixels that are blended at once: many copies of them are held meanwhile."""

BORDER = 16
"""Rows around a band that have a say in it; more than the squares and their enlargement reach."""

Ways: TypeAlias = tuple[Flow, Flow]
"""The flows between two consecutive frames: from the earlier to the later, and back."""


@dataclass(frozen=True, eq=False)
class DeviceMoment:
    """A frame behind the network: `clean`, (1, 3, H, W) float RGB in 0..1, and the `rain` that the network took away,
    (1, 1, h, w), its mean over large squares.
    """

    clean: Tensor
    rain: Tensor

    @classmethod
    def of(cls, rainy: Tensor, clean: Tensor) -> DeviceMoment:
        """The moment of a frame before and after the network, (1, 3, H, W) RGB in 0..1; holds on to `clean` alone."""
        change = (rainy - clean).abs_().mean(dim=1, keepdim=True)
        side = (min(SURROUNDING, change.shape[-2]), min(SURROUNDING, change.shape[-1]))
        return cls(clean, F.avg_pool2d(change, side, ceil_mode=True, count_include_pad=False))

    @cached_property
    def luma(self) -> Tensor:
        """What motion is looked for in."""
        return luma(self.clean)


class DeviceBlender:
    """Blends derained frames with their neighbours, as `engine.blend.TemporalBlender` does."""

    def __init__(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"{strength = }; blending is allowed from 0 to 1")
        self.strength = strength

    @torch.inference_mode()
    def __call__(
        self, before: Sequence[DeviceMoment], present: DeviceMoment, after: Sequence[DeviceMoment], ways: Sequence[Ways]
    ) -> Tensor:
        """Blend the `clean` picture of `present`, (1, 3, H, W), with those of its neighbours, in order of time.

        `ways` has the flows between each of [*before, present, *after] and the next, there and back. Returns the same
        shape; exactly `present.clean` where nothing rains or nobody agrees.
        """
        if self.strength == 0 or not (before or after):
            return present.clean
        share = _rained_on(present) * self.strength
        height, width = present.clean.shape[-2:]
        at = len(before)
        past = _chain(before[::-1], [back for _, back in ways[:at]][::-1])
        future = _chain(after, [forth for forth, _ in ways[at:]])
        neighbours = [(flow.enlarged(height, width), there) for flow, there in [*past, *future]]
        blended = torch.empty_like(present.clean)
        for band, wide in _bands(height, width):
            own = present.clean[..., wide, :]
            pictures = [flow.bring(there.clean, "bicubic", wide) for flow, there in neighbours]
            seen = [flow.seen[..., wide, :] for flow, _ in neighbours]
            change = agreement(own, pictures, seen, vote=bool(before and after)).sub_(own)
            change.mul_(share[..., wide, :]).add_(own)
            blended[..., band, :] = change[..., band.start - wide.start : band.stop - wide.start, :]
        return blended


def _chain(moments: Sequence[DeviceMoment], steps: Sequence[Flow]) -> Iterator[tuple[Flow, DeviceMoment]]:
    """Each moment behind the flow to it from the present, composed of the steps on the way."""
    flow: Flow | None = None
    for there, step in zip(moments, steps, strict=True):
        flow = flow.then(step) if flow else step
        yield flow, there


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


def _rained_on(moment: DeviceMoment) -> Tensor:
    """How surely it rains around each pixel, by what the network took away: (1, 1, H, W) in 0..1."""
    near = F.max_pool2d(moment.rain * (255 / RAIN), 3, 1, 1).clamp(max=1)
    return F.interpolate(near, moment.clean.shape[-2:], mode="bilinear", align_corners=False)


def _falling(difference: Tensor, scale: float) -> Tensor:
    """Of a `difference` in 0..1, by a `scale` in codes."""
    return torch.exp(-((difference * (255 / scale)) ** 2))


def _median(pictures: list[Tensor]) -> Tensor:
    """The middle value of an odd number of pictures; of an even one the first, the present, counts twice."""
    return median_of(pictures if len(pictures) % 2 else [*pictures, pictures[0]])
