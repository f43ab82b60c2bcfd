"""A camera that passes over a photograph, so that a still picture can judge what moves."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

NEARNESS = 0.8
"""Pixels of the photo to a pixel of the view, half-way."""


def passing(
    photo: Tensor,
    pace: float,
    frames: int,
    size: tuple[int, int],
    seed: int,
    centre: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """A hand-held camera that passes over `photo`, uint8 RGB (3, H, W), by `pace` of its pixels a frame, turning and
    nearing a little: uint8 (frames, 3, *size).

    Half-way it looks at `centre`, x and y in -1..1 of the photo. `seed` says where it goes, and how it shakes.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = photo.shape[-2:]
    direction = 2 * math.pi * float(torch.rand(1, generator=generator))
    shake = 0.7 * torch.randn(frames, 2, generator=generator)
    views = []
    for step in range(frames):
        way = step - frames / 2
        nearness, angle = NEARNESS * math.exp(0.002 * way), 0.002 * way
        right, down = (pace * way * part for part in (math.cos(direction), 0.6 * math.sin(direction)))
        x = (right + float(shake[step, 0])) / width * 2 + centre[0]
        y = (down + float(shake[step, 1])) / height * 2 + centre[1]
        cos, sin = nearness * math.cos(angle), nearness * math.sin(angle)
        views.append(
            [[size[1] * cos / width, -size[0] * sin / width, x], [size[1] * sin / height, size[0] * cos / height, y]]
        )
    grid = F.affine_grid(torch.tensor(views), [frames, 3, *size], align_corners=False)
    source = photo[None].expand(frames, -1, -1, -1).float()
    seen = F.grid_sample(source, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return seen.round().clamp(0, 255).to(torch.uint8)
