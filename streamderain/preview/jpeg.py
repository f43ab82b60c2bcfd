"""Pairs of pictures -> one double-wide picture, and that as JPEG. OpenCV is loaded when the first one is made."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Pixels: TypeAlias = NDArray[np.uint8]

MOST_COLUMNS = 1280
"""A picture that is wider is scaled down: a preview need not cost more than the stream."""

MOST_COLUMNS_ALONE = 1920

QUALITY = 85


def beside(rainy: Tensor, clean: Tensor) -> Pixels:
    """Two (3, H, W) uint8 pictures in RGB -> (h, 2w, 3), rainy left, clean right; h and w are even, w at most 1280."""
    return np.concatenate([_shrunk(each, MOST_COLUMNS) for each in (rainy, clean)], axis=1)


def single(picture: Tensor) -> Pixels:
    """One (3, H, W) uint8 picture in RGB -> (h, w, 3), for a video encoder; h and w are even, w at most 1920."""
    return _shrunk(picture, MOST_COLUMNS_ALONE)


def alone(picture: Tensor, width: int | None) -> Pixels:
    """One (3, H, W) uint8 picture in RGB -> (h, w, 3), as large as it is, or at most `width` wide."""
    return _shrunk(picture, width or picture.shape[2])


def jpeg(pixels: Pixels) -> bytes:
    """(H, W, 3) uint8 in RGB as a JPEG file."""
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return data.tobytes()


def _shrunk(picture: Tensor, most: int) -> Pixels:
    pixels: Pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    height, width = pixels.shape[:2]
    if width > most:
        import cv2

        height, width = max(2, round(height * most / width)), most
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    # Encoders halve the colours, so an odd row or column has none.
    return pixels[: height // 2 * 2, : width // 2 * 2]
