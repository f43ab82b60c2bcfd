"""Dense optical flow after Lucas and Kanade (IJCAI 1981), from coarse to fine: at each level of a pyramid every block
takes the step that the slopes of its pixels ask for.

No weights, no branches on data: it runs wherever a convolution does, and exports with a network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.temporal.filters import mean_around
from streamderain.temporal.warping import resampled, warped

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


def lucas_kanade(here: Tensor, there: Tensor) -> Tensor:
    """Where in `there` the pixels of `here` are: (N, 1, h, w) luma twice -> (N, 2, h, w), right and down in pixels.

    The coarsest levels drop what halving leaves over at right and bottom.
    """
    pyramid = [(here, there)]
    while len(pyramid) < len(ROUNDS) and min(pyramid[-1][0].shape[-2:]) >= 2 * SMALLEST:
        pyramid.append((F.avg_pool2d(pyramid[-1][0], 2), F.avg_pool2d(pyramid[-1][1], 2)))
    flow = torch.zeros_like(pyramid[-1][0]).expand(-1, 2, -1, -1)
    for rounds, (small_here, small_there) in zip(ROUNDS[-len(pyramid) :], reversed(pyramid), strict=True):
        if small_here.shape[-2:] != flow.shape[-2:]:
            flow = resampled(flow, small_here.shape[-2:]) * 2
        slope = _slope(small_here)
        for _ in range(rounds):
            flow = mean_around(flow + _step(slope, small_here - warped(small_there, flow)), BLOCK)
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
    xx, xy, yy, xd, yd = mean_around(products * weight, BLOCK).unbind(1)
    xx, yy = xx + REST, yy + REST
    steps = torch.stack((yy * xd - xy * yd, xx * yd - xy * xd), dim=1)
    return (steps / (xx * yy - xy**2)[:, None]).clamp(-1, 1)
