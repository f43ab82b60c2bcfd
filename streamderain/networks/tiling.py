"""Pads pictures to the sizes that a network takes, and cuts large ones into tiles that overlap.

A tile is another function than the whole picture, since the attention is normalised over all pixels;
feathered borders keep the difference from showing as a seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

OVERLAP = 32
"""Pixels over which a tile fades into its neighbour."""


def padded(run: Callable[[Tensor], Tensor], pictures: Tensor, multiple: int) -> Tensor:
    """`run` on pictures padded at right and bottom to a multiple of `multiple`, cropped again.

    `pictures`: (N, C, H, W) of any size, mirrored where they are large enough, else repeated.
    """
    height, width = pictures.shape[-2:]
    below, right = -height % multiple, -width % multiple
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


def tiled(run: Callable[[Tensor], Tensor], pictures: Tensor, largest: int, overlap: int = OVERLAP) -> Tensor:
    """`run` on overlapping tiles of one size, of at most `largest` pixels, faded into each other.

    `pictures`: (N, C, H, W). Returns (N, channels of `run`, H, W). A picture that fits goes through
    whole.
    """
    height, width = pictures.shape[-2:]
    rows, columns = grid(height, width, largest, overlap)
    if rows * columns == 1:
        return run(pictures)
    total: Tensor | None = None
    weights = torch.zeros(height, width, device=pictures.device)
    for top, bottom in spans(height, rows, overlap):
        for left, right in spans(width, columns, overlap):
            answer = run(pictures[..., top:bottom, left:right])
            if total is None:
                total = answer.new_zeros(*answer.shape[:2], height, width)
            weight = torch.outer(_fade(bottom - top, overlap), _fade(right - left, overlap)).to(weights)
            total[..., top:bottom, left:right] += answer * weight
            weights[top:bottom, left:right] += weight
    assert total is not None
    return total / weights


def grid(height: int, width: int, largest: int, overlap: int) -> tuple[int, int]:
    """Rows and columns of the fewest, squarest tiles that are small enough."""
    rows = columns = 1
    while True:
        high, wide = _side(height, rows, overlap), _side(width, columns, overlap)
        if high * wide <= largest or max(high, wide) <= 2 * overlap:
            return rows, columns
        if high > wide:
            rows += 1
        else:
            columns += 1


def _side(length: int, count: int, overlap: int) -> int:
    """Pixels of each of `count` stretches that cover `length` and overlap by at least `overlap`."""
    return math.ceil((length + overlap * (count - 1)) / count)


def spans(length: int, count: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of these stretches, all equally long, as a network is prepared for each size that comes."""
    side = _side(length, count, overlap)
    begins = [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
    return [(begin, begin + side) for begin in begins]


def _fade(length: int, overlap: int) -> Tensor:
    """Weights that rise from and fall to nearly zero over `overlap` at both ends."""
    position = torch.arange(length, dtype=torch.float32) + 0.5
    return (torch.minimum(position, length - position) / overlap).clamp(max=1.0)
