"""Pictures read where a flow points to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warped(pictures: Tensor, flow: Tensor, interpolation: str = "bilinear", top: int = 0) -> Tensor:
    """`pictures`, (N, C, H, W), read at each pixel's place plus `flow`, (N, 2, H, W) in pixels, right and down.

    The flow may be that of some rows, from `top` on; then these are returned. Beyond the border the nearest pixel of
    the border is read. `interpolation` is "bilinear", or "bicubic", which may leave the pictures' range slightly. Runs
    wherever a convolution does, and exports with a network.
    """
    height, width = pictures.shape[-2:]
    across = torch.arange(width, dtype=flow.dtype, device=flow.device)
    down = torch.arange(flow.shape[-2], dtype=flow.dtype, device=flow.device) + top
    x = (flow[:, 0] + across) * (2 / width) + (1 / width - 1)
    y = (flow[:, 1] + down[:, None]) * (2 / height) + (1 / height - 1)
    grid = torch.stack((x, y), dim=-1)
    return F.grid_sample(pictures, grid, mode=interpolation, padding_mode="border", align_corners=False)


def resampled(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """`maps`, (N, C, h, w), at another `size`, (height, width), by bilinear interpolation."""
    # As channels of one picture, as OpenVINO pads those of each to sixteen: a third of the time of finding motion.
    large = F.interpolate(maps.flatten(0, 1)[None], size, mode="bilinear", align_corners=False)
    return large.view(*maps.shape[:2], *size)


def inside(flow: Tensor) -> Tensor:
    """Where `flow`, (N, 2, H, W), points into the picture: bool (N, 1, H, W)."""
    height, width = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(width, dtype=flow.dtype, device=flow.device)
    y = flow[:, 1:] + torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def enlarged(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """`flow`, (N, 2, h, w), for pictures of `size`, (height, width): resampled, and longer by as much."""
    if flow.shape[-2:] == size:
        return flow
    # Not times a tensor of both, which would have to be sent to a GPU, and that waits.
    right, down = torch.split(resampled(flow, size), 1, dim=1)
    return torch.cat((right * (size[1] / flow.shape[-1]), down * (size[0] / flow.shape[-2])), dim=1)
