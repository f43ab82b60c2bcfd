"""Pictures side by side in one frame, for the eye: rainy and derained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from streamderain.frames import Frame, PixelLayout, Restored


def compared_layout(layout: PixelLayout, pictures: int = 2) -> PixelLayout:
    """The layout of frames with so many pictures: as much wider as shown, each picture cut to an even length."""
    height, width = layout.height // 2 * 2, layout.width // 2 * 2
    if layout.rotation % 180:
        return replace(layout, height=height * pictures, width=width)
    return replace(layout, height=height, width=width * pictures)


def beside(pair: Restored) -> Frame:
    """One frame that shows the rainy picture left and the derained one right."""
    return abreast([pair.rainy, pair.clean])


def abreast(frames: Sequence[Frame]) -> Frame:
    """One frame that shows these, of one layout, from left to right; with the time of the last."""
    layout = frames[-1].layout
    part = replace(layout, height=layout.height // 2 * 2, width=layout.width // 2 * 2)
    # What is coded first may be shown last.
    is_reversed = (layout.rotation in (180, 270)) != layout.mirrored
    coded = list(reversed(frames)) if is_reversed else list(frames)
    across = -2 if layout.rotation % 180 else -1
    planes = []
    kinds = zip(*(layout.split(each.data) for each in coded), strict=True)
    for same, shape in zip(kinds, part.plane_shapes, strict=True):
        cut = (slice(shape[0]), slice(shape[1]))
        planes.append(torch.cat([plane[cut] for plane in same], dim=across).flatten())
    seen = compared_layout(layout, len(frames))
    return Frame(torch.cat(planes), seen, frames[-1].pts, frames[-1].time_base)
