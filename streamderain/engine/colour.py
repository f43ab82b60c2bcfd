"""Planes <-> RGB on whatever device they are on.

The way back adds what the network changed to the planes that came in, so a pixel that it left alone
keeps its value to the bit, out-of-range colours and all. Matrices are those of BT.601, BT.709, BT.2020
(non-constant luminance), FCC and SMPTE 240M, from the luma weights of red and blue (ITU-T H.273, table 4).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamderain.frames import Matrix, PixelLayout
from streamderain.temporal.aligning import Picture, opencv

LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}
"""Of red and of blue; green has the rest."""


def to_rgb(data: Tensor, layout: PixelLayout) -> Tensor:
    """(N, layout.samples) integers -> (N, 3, H, W) float32 upright RGB, nominally 0..1, not clamped.

    Chroma is interpolated bilinearly. H and W are swapped against the layout where it is rotated by a
    quarter.
    """
    luma, *chroma = (plane.float()[:, None] for plane in layout.split(data))
    black, luma_range, grey, chroma_range = _code_range(layout)
    y = luma.sub_(black).div_(luma_range)
    if not chroma:
        return _turn(y.expand(-1, 3, -1, -1), layout.rotation)
    red_weight, blue_weight = LUMA_WEIGHTS[layout.matrix]
    cb, cr = torch.split(_full_size(torch.cat(chroma, dim=1).sub_(grey).div_(chroma_range), layout), 1, dim=1)
    # What red and blue have beyond luma for each unit of their chroma; green has the less of both.
    red, blue, green_weight = 2 * (1 - red_weight), 2 * (1 - blue_weight), 1 - red_weight - blue_weight
    rgb = y.new_empty(len(y), 3, layout.height, layout.width)
    torch.add(y, cr, alpha=red, out=rgb[:, :1])
    torch.add(y, cr, alpha=-red_weight * red / green_weight, out=rgb[:, 1:2])
    rgb[:, 1:2].add_(cb, alpha=-blue_weight * blue / green_weight)
    torch.add(y, cb, alpha=blue, out=rgb[:, 2:])
    return _turn(rgb, layout.rotation)


def to_picture(data: Tensor, layout: PixelLayout) -> Picture:
    """What `to_rgb` does, by OpenCV on a CPU, in a fifth of the time: (layout.samples,) integers -> upright uint8 RGB
    (H, W, 3), at least 0 and at most 255. Interpolated chroma is rounded to whole codes.
    """
    cv2 = opencv()

    luma, *chroma = (plane.numpy() for plane in layout.split(data))
    if layout.chroma in ("420", "422"):
        rows, columns = chroma[0].shape
        size = 2 * columns, 2 * rows if layout.chroma == "420" else rows
        large = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in chroma)
        # Odd lengths have half a chroma sample more than luma.
        chroma = [plane[: layout.height, : layout.width] for plane in large]
    codes = cv2.transform(cv2.merge([luma, *chroma]), _code_matrix(layout))
    upright = np.rot90(codes, layout.rotation // 90)
    return np.ascontiguousarray(upright.clip(0, 255), np.uint8)


@lru_cache(maxsize=8)
def _code_matrix(layout: PixelLayout) -> NDArray[np.float64]:
    """What R, G and B in 0..255 are of the planes' codes and of 1: (3, planes + 1)."""
    black, luma_range, grey, chroma_range = _code_range(layout)
    red, blue = LUMA_WEIGHTS[layout.matrix]
    green = 1 - red - blue
    tints = [[0, 2 - 2 * red], [-2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green], [2 - 2 * blue, 0]]
    planes = len(layout.plane_shapes)
    shares = 255 * np.hstack([np.full((3, 1), 1 / luma_range), np.array(tints) / chroma_range])[:, :planes]
    return np.column_stack([shares, -shares @ [black, grey, grey][:planes]])


def add_rgb(data: Tensor, change: Tensor, layout: PixelLayout) -> Tensor:
    """Planes with a change of RGB added: what `to_rgb` did, backwards.

    `data`: (N, layout.samples) integers. `change`: (N, 3, H, W) float, upright, in units of `to_rgb`.
    Returns (N, layout.samples) of data's dtype, rounded, within the range of the layout's bits.
    """
    change = _turn(change, -layout.rotation).float()
    _, luma_range, _, chroma_range = _code_range(layout)
    red_weight, blue_weight = LUMA_WEIGHTS[layout.matrix]

    def luma(rgb: Tensor) -> Tensor:
        # Weights that were a tensor would have to be sent to the device for each frame.
        made = rgb[:, 1] * (1 - red_weight - blue_weight)
        return made.add_(rgb[:, 0], alpha=red_weight).add_(rgb[:, 2], alpha=blue_weight)

    changes = [luma(change) * luma_range]
    if layout.chroma != "gray":
        small = _plane_size(change, layout)
        small_luma = luma(small)
        changes += [
            (small[:, colour] - small_luma) * (chroma_range / (2 * (1 - weight)))
            for colour, weight in ((2, blue_weight), (0, red_weight))
        ]
    flat = torch.cat([plane.flatten(1) for plane in changes], dim=1)
    return flat.add_(data).round_().clamp_(0, 2**layout.bits - 1).to(data.dtype)


def _code_range(layout: PixelLayout) -> tuple[float, float, float, float]:
    """Code of black, codes from black to white, code of grey, codes across chroma's range of one."""
    unit = 2.0 ** (layout.bits - 8)
    if layout.full_range:
        top = 2.0**layout.bits - 1
        return 0.0, top, 128 * unit, top
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def _full_size(chroma: Tensor, layout: PixelLayout) -> Tensor:
    if layout.chroma == "444":
        return chroma
    factor = (2, 2) if layout.chroma == "420" else (1, 2)
    large = F.interpolate(chroma, scale_factor=factor, mode="bilinear", align_corners=False)
    # Odd lengths have half a chroma sample more than luma.
    return large[..., : layout.height, : layout.width]


def _plane_size(chroma: Tensor, layout: PixelLayout) -> Tensor:
    if layout.chroma == "444":
        return chroma
    # By slices, as torch's pooling takes four times as long; a single one at the end is its own mean.
    across = _even(chroma, -1)
    across = across[..., ::2] + across[..., 1::2]
    if layout.chroma == "422":
        return across / 2
    down = _even(across, -2)
    return (down[..., ::2, :] + down[..., 1::2, :]) / 4


def _even(planes: Tensor, dim: int) -> Tensor:
    length = planes.shape[dim]
    return torch.cat((planes, planes.narrow(dim, length - 1, 1)), dim) if length % 2 else planes


def _turn(picture: Tensor, degrees: int) -> Tensor:
    return torch.rot90(picture, degrees // 90, (-2, -1)) if degrees % 360 else picture
