"""A few words in a corner of a picture, for when there is nothing newer to show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamderain.frames import Frame
from streamderain.media.pixels import upright

_SHADE = 0.7
"""How much of the picture the box behind the words hides."""

Array = NDArray[Any]


def noted(frame: Frame, text: str) -> Frame:
    """A copy of `frame` with `text`, in ASCII, in a dark box at the lower left of what is seen. The picture around it
    stays as it is.
    """
    layout = frame.layout
    data = frame.data.clone()
    # Views, so that what is drawn upright lands in the picture as it is coded.
    luma, *chroma = (upright(plane.numpy(), layout.rotation, layout.mirrored) for plane in layout.split(data))
    height, width = luma.shape
    side = min(height, width)
    letters = _letters(text, side, width * 2 // 3)
    margin = side // 24 // 2 * 2
    # Even, so that the box covers whole samples of chroma.
    top, left = max(0, (height - margin - letters.shape[0]) // 2 * 2), margin
    unit = 1 << (layout.bits - 8)
    black, white = (0, 230 * unit) if layout.full_range else (16 * unit, 214 * unit)
    box = _part(luma, top, left, letters.shape, luma.shape)
    letters = letters[: box.shape[0], : box.shape[1]]
    shaded = box * (1 - _SHADE) + black * _SHADE
    box[...] = np.rint(shaded + (white - shaded) * letters)
    for plane in chroma:
        colour, mid = _part(plane, top, left, (letters.shape[0], letters.shape[1]), luma.shape), 128 * unit
        colour[...] = np.rint(colour * (1 - _SHADE) + mid * _SHADE)
    return replace(frame, data=data)


def _part(plane: Array, top: int, left: int, size: tuple[int, ...], whole: tuple[int, ...]) -> Array:
    """What of a plane lies under a box of the luma plane, whose shape is `whole`; a view."""
    rows, columns = (slice(start * own // all_, (start + length) * own // all_) for start, length, own, all_ in
                     zip((top, left), size, plane.shape, whole, strict=True))  # fmt: skip
    part: Array = plane[rows, columns]
    return part


def _letters(text: str, side: int, most: int) -> Array:
    """`text` as coverage, 0 to 1, with some room around it, for a picture whose shorter side is `side`; smaller where
    that would be wider than `most`.
    """
    import cv2

    font = cv2.FONT_HERSHEY_SIMPLEX
    (unit, _), _ = cv2.getTextSize(text, font, 1.0, 1)
    # Letters of this font are about 22 pixels tall at a scale of 1.
    scale = min(max(side / 40, 8) / 22, most / max(unit, 1))
    thickness = max(1, round(scale))
    (width, ascent), _ = cv2.getTextSize(text, font, scale, thickness)
    room = max(2, ascent // 2)
    drawn = np.zeros((2 * ((ascent + 2 * room + 1) // 2), 2 * ((width + 2 * room + 1) // 2)), np.uint8)
    cv2.putText(drawn, text, (room, room + ascent), font, scale, 255, thickness, cv2.LINE_AA)
    return drawn.astype(np.float32) / 255
