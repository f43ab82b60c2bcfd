"""The two filters that everything in time is made of: the median over frames, the mean over a square."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def median_over_frames(window: Tensor) -> Tensor:
    """What torch.median gives over the frames: (N, T, ...) -> (N, ...)."""
    return median_of(window.unbind(1))


def median_of(pictures: Sequence[Tensor]) -> Tensor:
    """The middle value of each pixel, of an even number the lower one: T times the same shape -> that shape.

    An odd-even sort of minima and maxima, which are quicker than torch.median, and export.
    """
    frames = list(pictures)
    for turn in range(len(frames)):
        for first in range(turn % 2, len(frames) - 1, 2):
            low, high = frames[first], frames[first + 1]
            frames[first], frames[first + 1] = torch.minimum(low, high), torch.maximum(low, high)
    return frames[(len(frames) - 1) // 2]


def mean_around(values: Tensor, side: int) -> Tensor:
    """The mean of the square of `side` pixels around each pixel, (N, C, H, W) -> the same; quicker in two passes."""
    # As channels of one picture, as OpenVINO pads those of each to sixteen.
    maps = values.flatten(0, 1)[None]
    across = F.avg_pool2d(maps, (1, side), 1, (0, side // 2), count_include_pad=False)
    return F.avg_pool2d(across, (side, 1), 1, (side // 2, 0), count_include_pad=False).view(values.shape)
