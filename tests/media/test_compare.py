"""Rainy left, derained right, as a viewer sees it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from streamderain.frames import Frame, PixelLayout, Restored
from streamderain.media.compare import beside, compared_layout
from streamderain.media.decoder import decode
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from tests.media.conftest import LOSSLESS

LAYOUTS = [
    PixelLayout(*size, chroma=chroma, rotation=rotation, mirrored=mirrored)  # type: ignore[arg-type]
    for size in ((32, 48), (37, 51), (2, 3))
    for chroma in ("420", "422", "444", "gray")
    for rotation in (0, 90, 180, 270)
    for mirrored in (False, True)
]


def upright(plane: torch.Tensor, layout: PixelLayout) -> torch.Tensor:
    turned = torch.rot90(plane, layout.rotation // 90)
    return turned.flip(-1) if layout.mirrored else turned


def numbered(layout: PixelLayout, start: int) -> Frame:
    data = (torch.arange(layout.samples) + start).remainder(251).to(torch.uint8)
    return Frame(data, layout, 7, Fraction(1, 25))


@pytest.mark.parametrize(
    "layout", LAYOUTS, ids=lambda each: f"{each.height}x{each.width}-{each.chroma}-{each.rotation}-{each.mirrored}"
)
def test_the_left_half_is_rainy_and_the_right_half_clean(layout: PixelLayout) -> None:
    rainy, clean = numbered(layout, 0), numbered(layout, 100)
    shown = beside(Restored(rainy, clean))
    assert (shown.pts, shown.time_base) == (7, Fraction(1, 25))
    assert shown.layout == compared_layout(layout)
    even = PixelLayout(layout.height // 2 * 2, layout.width // 2 * 2, layout.chroma)
    for plane, before, after, shape in zip(
        shown.layout.split(shown.data),
        layout.split(rainy.data),
        layout.split(clean.data),
        even.plane_shapes,
        strict=True,
    ):
        left, right = upright(plane, layout).chunk(2, dim=1)
        assert torch.equal(left, upright(before[: shape[0], : shape[1]], layout))
        assert torch.equal(right, upright(after[: shape[0], : shape[1]], layout))


@pytest.mark.parametrize("rotation", [0, 90])
def test_it_can_be_written(studio: Any, rotation: int) -> None:
    source = studio.clip("in.mkv", codec="ffv1", size=(37, 51), rotation=rotation, pts=range(3))
    with open_source(source) as opened:
        layout = layout_of(opened.info)
        sink = FileSink(studio.folder / "both.mp4", opened, compared_layout(layout), LOSSLESS, copy_streams=False)
        for frame in decode(opened):
            sink.write(beside(Restored(frame, frame)))
        sink.commit()
    after = studio.look(studio.folder / "both.mp4")
    assert (after.info.height, after.info.width) == ((72, 50) if rotation else (36, 100))
    assert after.info.rotation == rotation
    assert len(after.times) == 3
