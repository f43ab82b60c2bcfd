"""Neighbouring frames moved onto the current one, so that the same place of the scene lies at the same pixel.

Motion is found from coarse to fine after Lucas and Kanade (IJCAI 1981): at each level of a pyramid every block
takes the step that the slopes of its pixels ask for. No weights, no branches on data: it runs wherever a
convolution does, and exports with the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDS = (4, 4, 3, 2, 1)
"""Steps at each level of the pyramid, from a 32nd of the resolution, where a step is 32 pixels, to half of it,
where a second one costs a third of the time and moves next to nothing.
"""

SMALLEST = 6
"""Side in pixels under which a level says nothing of motion and is left out."""

BLOCK = 9
"""Side of the square, in pixels of its level, that moves as one."""

OUTLIER = 0.1
"""Luma difference, of 0..1, at which a pixel counts a quarter: streaks are outliers."""

REST = 1e-4
"""Keeps flat blocks, which tell nothing, where they are."""


@torch.no_grad()
def aligned(window: Tensor, current: int) -> Tensor:
    """Frames (N, T, 3, H, W), 0..1, each moved onto frame `current` of its window; that one stays as it is.

    H and W are multiples of 16. Returns the same shape; what moved out of the picture is filled from its edge.
    """
    count, frames, _, height, width = window.shape
    others = [number for number in range(frames) if number != current]
    there = window[:, others].flatten(0, 1)
    luma = _luma(window.flatten(0, 1)).view(count, frames, 1, height // 2, width // 2)
    here = luma[:, current : current + 1].expand(-1, len(others), -1, -1, -1).flatten(0, 1)
    flow = motion(here, luma[:, others].flatten(0, 1))
    full = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * 2
    # Cubic interpolation keeps the grain of leaves and walls, 0.3 dB of what comes out.
    moved = warped(there, full, "bicubic").view(count, len(others), 3, height, width)
    return torch.cat((moved[:, :current], window[:, current : current + 1], moved[:, current:]), dim=1)


def motion(here: Tensor, there: Tensor) -> Tensor:
    """Where in `there` the pixels of `here` are: (N, 1, h, w) luma twice -> (N, 2, h, w), right and down in pixels.

    The coarsest levels drop what halving leaves over at right and bottom.
    """
    pyramid = [(here, there)]
    while len(pyramid) < len(ROUNDS) and min(pyramid[-1][0].shape[-2:]) >= 2 * SMALLEST:
        pyramid.append((F.avg_pool2d(pyramid[-1][0], 2), F.avg_pool2d(pyramid[-1][1], 2)))
    flow = torch.zeros_like(pyramid[-1][0]).expand(-1, 2, -1, -1)
    for rounds, (small_here, small_there) in zip(ROUNDS[-len(pyramid) :], reversed(pyramid), strict=True):
        if small_here.shape[-2:] != flow.shape[-2:]:
            flow = F.interpolate(flow, small_here.shape[-2:], mode="bilinear", align_corners=False) * 2
        slope = _slope(small_here)
        for _ in range(rounds):
            flow = _mean(flow + _step(slope, small_here - warped(small_there, flow)))
    return flow


def _slope(picture: Tensor) -> Tensor:
    """Central differences to the right and down: (N, 1, h, w) -> (N, 2, h, w)."""
    wide = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    right = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    return torch.cat((right, down), dim=1)


def _step(slope: Tensor, difference: Tensor) -> Tensor:
    """The step, of at most a pixel each way, that explains `difference` best over each block: (N, 2, h, w).

    The least-squares step of Lucas and Kanade, with the robust weights of Geman and McClure (1987).
    """
    weight = OUTLIER**4 / (OUTLIER**2 + difference**2) ** 2
    right, down = slope[:, :1], slope[:, 1:]
    products = torch.cat((right * right, right * down, down * down, right * difference, down * difference), dim=1)
    xx, xy, yy, xd, yd = _mean(products * weight).unbind(1)
    xx, yy = xx + REST, yy + REST
    steps = torch.stack((yy * xd - xy * yd, xx * yd - xy * xd), dim=1)
    return (steps / (xx * yy - xy**2)[:, None]).clamp(-1, 1)


def _mean(values: Tensor) -> Tensor:
    """Of the block around each pixel; in two passes, which is quicker."""
    across = F.avg_pool2d(values, (1, BLOCK), 1, (0, BLOCK // 2), count_include_pad=False)
    return F.avg_pool2d(across, (BLOCK, 1), 1, (BLOCK // 2, 0), count_include_pad=False)


def warped(pictures: Tensor, flow: Tensor, interpolation: str = "bilinear") -> Tensor:
    """`pictures`, (N, C, H, W), read at each pixel's place plus `flow`, (N, 2, H, W) in pixels.

    `interpolation` is "bilinear", or "bicubic", which may leave the pictures' range slightly.
    """
    height, width = pictures.shape[-2:]
    across = torch.arange(width, dtype=flow.dtype, device=flow.device)
    down = torch.arange(height, dtype=flow.dtype, device=flow.device)
    x = (flow[:, 0] + across) * (2 / width) + (1 / width - 1)
    y = (flow[:, 1] + down[:, None]) * (2 / height) + (1 / height - 1)
    grid = torch.stack((x, y), dim=-1)
    return F.grid_sample(pictures, grid, mode=interpolation, padding_mode="border", align_corners=False)


@torch.no_grad()
def candidates(window: Tensor, moved: Tensor, current: int) -> Tensor:
    """What the current frame may have looked like without rain, which is elsewhere in each frame.

    The current frame itself; where there are two before it, their median with it, which a live stream has too;
    the median of all aligned frames, `moved`; and that of the frames as they came, as nothing beats it where
    the camera stands still.

    (N, T, 3, H, W) twice -> (N, K, 3, H, W).
    """
    found = [moved[:, current]]
    if current >= 2:
        found.append(median_over_frames(moved[:, current - 2 : current + 1]))
    return torch.stack((*found, median_over_frames(moved), median_over_frames(window)), dim=1)


def candidate_count(past: int) -> int:
    """How many `candidates` gives where that many frames come before the current one."""
    return 4 if past >= 2 else 3


def median_over_frames(window: Tensor) -> Tensor:
    """What torch.median gives over the frames: (N, T, ...) -> (N, ...).

    An odd-even sort of minima and maxima, which are quicker, and export.
    """
    frames = list(window.unbind(1))
    for turn in range(len(frames)):
        for first in range(turn % 2, len(frames) - 1, 2):
            low, high = frames[first], frames[first + 1]
            frames[first], frames[first + 1] = torch.minimum(low, high), torch.maximum(low, high)
    return frames[(len(frames) - 1) // 2]


def _luma(pictures: Tensor) -> Tensor:
    """Mean of the colours at half the size: (N, 3, H, W) -> (N, 1, H / 2, W / 2)."""
    return F.avg_pool2d(pictures.mean(dim=1, keepdim=True), 2)
