"""Neighbouring frames moved onto the current one, so that the same place of the scene lies at the same pixel.

No weights, no branches on data: it runs wherever a convolution does, and exports with the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.temporal.filters import median_over_frames
from streamderain.temporal.lucas_kanade import lucas_kanade
from streamderain.temporal.warping import resampled, warped


@torch.no_grad()
def aligned(window: Tensor, current: int) -> Tensor:
    """Frames (N, T, 3, H, W), 0..1, each moved onto frame `current` of its window; that one stays as it is.

    H and W are multiples of 16. Returns the same shape; what moved out of the picture is filled from its edge.
    """
    count, frames, _, height, width = window.shape
    others = frames - 1
    there = _without(window, current).flatten(0, 1)
    luma = _luma(window.flatten(0, 1)).view(count, frames, 1, height // 2, width // 2)
    here = luma[:, current : current + 1].expand(-1, others, -1, -1, -1).flatten(0, 1)
    flow = lucas_kanade(here, _without(luma, current).flatten(0, 1))
    full = resampled(flow, (height, width)) * 2
    # Cubic interpolation keeps the grain of leaves and walls, 0.3 dB of what comes out.
    moved = warped(there, full, "bicubic").view(count, others, 3, height, width)
    return torch.cat((moved[:, :current], window[:, current : current + 1], moved[:, current:]), dim=1)


@torch.no_grad()
def medians(moved: Tensor, unmoved: Tensor, current: int) -> Tensor:
    """What the current frame may have looked like without rain, which is elsewhere in each frame.

    Where there are two frames before it, their median with it, which a live stream has too; the median of all aligned
    frames, `moved`; and that of the frames as they came, `unmoved`, as nothing beats it where the camera stands still.

    (N, T, 3, H, W) and (N, 3, H, W) -> (N, K - 1, 3, H, W).
    """
    found = [median_over_frames(moved), unmoved]
    if current >= 2:
        found.insert(0, median_over_frames(moved[:, current - 2 : current + 1]))
    return torch.stack(found, dim=1)


def candidate_count(past: int) -> int:
    """How many pictures a pixel can choose from where that many frames came before: the current one and `medians`."""
    return 4 if past >= 2 else 3


def _without(window: Tensor, current: int) -> Tensor:
    """All frames but one, (N, T, ...) -> (N, T - 1, ...); slices, as a list of places would be copied to a GPU."""
    return torch.cat((window[:, :current], window[:, current + 1 :]), dim=1)


def _luma(pictures: Tensor) -> Tensor:
    """Mean of the colours at half the size: (N, 3, H, W) -> (N, 1, H / 2, W / 2)."""
    return F.avg_pool2d(pictures.mean(dim=1, keepdim=True), 2)
