"""Rainy and derained side by side in one frame, for the eye."""

from __future__ import annotations

from dataclasses import replace

import torch

from streamderain.frames import Frame, PixelLayout, Restored


def compared_layout(layout: PixelLayout) -> PixelLayout:
    """The layout of `beside`'s frames: twice as wide as shown, each half cut to an even length."""
    height, width = layout.height // 2 * 2, layout.width // 2 * 2
    if layout.rotation % 180:
        return replace(layout, height=height * 2, width=width)
    return replace(layout, height=height, width=width * 2)


def beside(pair: Restored) -> Frame:
    """One frame that shows the rainy picture left and the derained one right."""
    layout = pair.clean.layout
    half = replace(layout, height=layout.height // 2 * 2, width=layout.width // 2 * 2)
    halves = [pair.rainy, pair.clean]
    if (layout.rotation in (180, 270)) != layout.mirrored:
        # What is coded first is shown last.
        halves.reverse()
    across = -2 if layout.rotation % 180 else -1
    planes = []
    for first, second, shape in zip(
        layout.split(halves[0].data), layout.split(halves[1].data), half.plane_shapes, strict=True
    ):
        cut = (slice(shape[0]), slice(shape[1]))
        planes.append(torch.cat((first[cut], second[cut]), dim=across).flatten())
    return Frame(torch.cat(planes), compared_layout(layout), pair.clean.pts, pair.clean.time_base)
