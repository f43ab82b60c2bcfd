"""Where things went from one frame to another, and where that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.temporal.lucas_kanade import lucas_kanade
from streamderain.temporal.warping import enlarged, inside, warped

LARGEST_SIDE = 480
"""Longer pictures are halved until they are no longer, before motion is looked for: with DIS's finer preset that is
both quicker and truer than its fast one at full size.
"""

SMALLEST_FOR_DIS = 16
"""Side in pixels under which DIS refuses a picture."""


@dataclass(frozen=True, eq=False)
class Flow:
    """Motion from one frame to another, at the size at which it was looked for.

    `vectors`, (1, 2, h, w) in pixels of that size, right and down, says where in the other frame each pixel is;
    `seen`, (1, 1, h, w) in 0..1, whether it can be seen there.
    """

    vectors: Tensor
    seen: Tensor

    def then(self, next_flow: Flow) -> Flow:
        """From a to c, where this flow goes from a to b, and `next_flow` from b to c."""
        return Flow(
            self.vectors + warped(next_flow.vectors, self.vectors),
            self.seen * warped(next_flow.seen, self.vectors),
        )

    def enlarged(self, height: int, width: int) -> Flow:
        """The same motion for pictures of that size."""
        if self.seen.shape[-2:] == (height, width):
            return self
        seen = F.interpolate(self.seen, (height, width), mode="bilinear", align_corners=False)
        return Flow(enlarged(self.vectors, (height, width)), seen)

    def bring(self, there: Tensor, interpolation: str = "bilinear", rows: slice = slice(None)) -> Tensor:
        """The frame `there`, (1, C, h, w), as it would look from here, or only some rows of it."""
        return warped(there, self.vectors[..., rows, :], interpolation, rows.start or 0)


class Gauge:
    """Measures motion between frames: DIS (Kroeger et al., ECCV 2016) on a CPU, Lucas and Kanade on other devices.

    DIS is four times as quick on a CPU, and keeps the borders of what moves; Lucas and Kanade stays on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._dis = _dis() if device.type == "cpu" else None

    def both_ways(self, first: Tensor, second: Tensor) -> tuple[Flow, Flow]:
        """The flow from `first` to `second` and back; both are `luma`, (1, 1, h, w)."""
        forth, back = self._vectors(first, second), self._vectors(second, first)
        return Flow(forth, _agreement(forth, back)), Flow(back, _agreement(back, forth))

    def _vectors(self, here: Tensor, there: Tensor) -> Tensor:
        if self._dis is None or min(here.shape[-2:]) < SMALLEST_FOR_DIS:
            return lucas_kanade(here, there)
        codes = [(luma[0, 0] * 255).round().clamp(0, 255).to(torch.uint8).numpy() for luma in (here, there)]
        vectors = torch.from_numpy(self._dis.calc(codes[0], codes[1], None))
        return vectors.permute(2, 0, 1)[None].contiguous()


class Ways:
    """The flows between consecutive frames, there and back, each pair's found once while it is asked for."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        # With the lumas, so that no other takes their id.
        self._known: dict[tuple[int, int], tuple[Tensor, Tensor, tuple[Flow, Flow]]] = {}

    def between(self, lumas: Sequence[Tensor]) -> list[tuple[Flow, Flow]]:
        """The flows from each of `lumas`, (1, 1, h, w), to the next, and back."""
        pairs = {(id(here), id(there)): (here, there) for here, there in pairwise(lumas)}
        self._known = {
            key: self._known.get(key) or (*pair, self._gauge.both_ways(*pair)) for key, pair in pairs.items()
        }
        return [flows for _, _, flows in self._known.values()]


def _dis() -> Any:
    """OpenCV's, or None: without OpenCV, as on a machine that was lent, Lucas and Kanade find motion on the CPU too."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def luma(picture: Tensor) -> Tensor:
    """What motion is looked for in, (1, 3, H, W) -> (1, 1, h, w): the mean of the colours, halved while too large."""
    grey = picture.mean(dim=1, keepdim=True)
    while max(grey.shape[-2:]) > LARGEST_SIDE:
        grey = F.avg_pool2d(grey, 2, ceil_mode=True, count_include_pad=False)
    return grey


def _agreement(forth: Tensor, back: Tensor) -> Tensor:
    """1 where the way there and back ends where it began and stays in the picture, 0 where something came between.

    Sundaram, Brox and Keutzer, ECCV 2010, eq. 5.
    """
    returned = warped(back, forth)
    miss = (forth + returned).square().sum(dim=1, keepdim=True)
    length = forth.square().sum(dim=1, keepdim=True) + returned.square().sum(dim=1, keepdim=True)
    return ((miss < 0.01 * length + 0.5) & inside(forth)).to(forth.dtype)
