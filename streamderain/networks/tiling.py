"""Cuts large pictures into tiles that overlap.

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


def tiled(run: Callable[[Tensor], Tensor], pictures: Tensor, largest: int, overlap: int = OVERLAP) -> Tensor:
    """`run` on overlapping tiles of one size, of at most `largest` pixels, faded into each other.

    `pictures`: (N, C, H, W). Returns (N, channels of `run`, H, W). A picture that fits goes through
    whole.
    """
    height, width = pictures.shape[-2:]
    rows, columns = grid(height, width, largest, overlap)
    return _faded(run, pictures, spans(height, rows, overlap), spans(width, columns, overlap), overlap)


def tiled_to(
    run: Callable[[Tensor], Tensor], pictures: Tensor, size: tuple[int, int], overlap: int = OVERLAP
) -> Tensor:
    """`tiled`, in tiles of that height and width, or of the picture's own where they are less."""
    overlap = min(overlap, min(size) // 4)
    rows, columns = (
        spans(length, max(1, math.ceil((length - overlap) / (side - overlap))), overlap, side)
        for length, side in zip(pictures.shape[-2:], size, strict=True)
    )
    return _faded(run, pictures, rows, columns, overlap)


Spans = list[tuple[int, int]]


def _faded(run: Callable[[Tensor], Tensor], pictures: Tensor, rows: Spans, columns: Spans, overlap: int) -> Tensor:
    if len(rows) * len(columns) == 1:
        return run(pictures)
    height, width = pictures.shape[-2:]
    total: Tensor | None = None
    weights = torch.zeros(height, width, device=pictures.device)
    for top, bottom in rows:
        for left, right in columns:
            answer = run(pictures[..., top:bottom, left:right])
            if total is None:
                total = answer.new_zeros(*answer.shape[:2], height, width)
            # Made where they are used: a map from the host would be waited for.
            weight = torch.outer(*(_fade(side, overlap, weights.device) for side in (bottom - top, right - left)))
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


def spans(length: int, count: int, overlap: int, side: int = 0) -> Spans:
    """Begin and end of these stretches, all equally long, as a network is prepared for each size that comes: of `side`
    pixels, or of as few as can be.
    """
    side = min(side, length) or _side(length, count, overlap)
    begins = [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
    return [(begin, begin + side) for begin in begins]


def _fade(length: int, overlap: int, device: torch.device) -> Tensor:
    """Weights that rise from and fall to nearly zero over `overlap` at both ends."""
    position = torch.arange(length, dtype=torch.float32, device=device) + 0.5
    return (torch.minimum(position, length - position) / overlap).clamp(max=1.0)
