"""A drawn scene that a camera can look at from anywhere."""

from __future__ import annotations

import torch
from torch import Tensor

SIZE = 96


def scene(x: float, y: float, size: int = SIZE) -> Tensor:
    """A view of a smooth, busy pattern from a place in pixels: (3, size, size) in 0..1."""
    generator = torch.Generator().manual_seed(3)
    down, right = torch.meshgrid(torch.arange(size) + float(y), torch.arange(size) + float(x), indexing="ij")
    picture = torch.zeros(3, size, size)
    for _ in range(24):
        across, along, phase, *colour = torch.rand(6, generator=generator)
        wave = torch.sin((across - 0.5) * 0.6 * right + (along - 0.5) * 0.6 * down + 6.3 * phase)
        picture += torch.tensor(colour).view(3, 1, 1) * wave
    return 0.5 + picture / 14


def inner(picture: Tensor, margin: int = 24) -> Tensor:
    return picture[..., margin:-margin, margin:-margin]
