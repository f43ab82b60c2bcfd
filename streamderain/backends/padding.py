"""Pads pictures to the sizes that a network takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def padded(run: Callable[[Tensor], Tensor], pictures: Tensor, multiple: int, least: tuple[int, int] = (0, 0)) -> Tensor:
    """`run` on pictures padded at right and bottom to a multiple of `multiple`, of `least` height and width, cropped
    again.

    `pictures`: (N, C, H, W) of any size, mirrored where they are large enough, else repeated.
    """
    height, width = pictures.shape[-2:]
    below, right = (
        -(-max(side, smallest) // multiple) * multiple - side
        for side, smallest in zip((height, width), least, strict=True)
    )
    if not below and not right:
        return run(pictures)
    mirrored = below < height and right < width
    return run(_prolonged(_prolonged(pictures, -2, below, mirrored), -1, right, mirrored))[..., :height, :width]


def _prolonged(pictures: Tensor, dim: int, beyond: int, mirrored: bool) -> Tensor:
    """`pictures` with so much more at their end, mirrored or repeated; torch's own padding takes no integers."""
    if not beyond:
        return pictures
    length = pictures.shape[dim]
    more = (
        pictures.narrow(dim, length - 1 - beyond, beyond).flip(dim)
        if mirrored
        else (pictures.narrow(dim, length - 1, 1).repeat_interleave(beyond, dim))
    )
    return torch.cat((pictures, more), dim)
