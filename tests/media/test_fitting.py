"""Frames of other sizes and colours in a fixed layout, and a note in the corner of one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from streamderain.frames import Frame, PixelLayout
from streamderain.media.fitting import fitted
from streamderain.media.note import noted

WIDE = PixelLayout(72, 128)


def plain(layout: PixelLayout, luma: int = 120, blue: int = 100, red: int = 160) -> Frame:
    """One colour, in codes of eight bits."""
    data = torch.empty(layout.samples, dtype=torch.uint8 if layout.bits == 8 else torch.int16)
    for plane, code in zip(layout.split(data), (luma, blue, red), strict=False):
        plane.fill_(code << (layout.bits - 8))
    return Frame(data, layout, 5, Fraction(1, 25), scene=3, arrived=7.5)


def planes(frame: Frame) -> list[np.ndarray]:
    return [plane.numpy().astype(int) for plane in frame.layout.split(frame.data)]


def colour(frame: Frame) -> np.ndarray:
    """The red, green and blue, 0 to 255, of one sample far from the edges, as the standards have it."""
    layout = frame.layout
    luma, blue, red = (plane[20, 20] / (1 << (layout.bits - 8)) for plane in planes(frame))
    black, whole, half = (0, 255, 255) if layout.full_range else (16, 219, 224)
    luma, blue, red = (luma - black) / whole, (blue - 128) / half, (red - 128) / half
    of_red, of_blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[layout.matrix]
    r, b = luma + 2 * (1 - of_red) * red, luma + 2 * (1 - of_blue) * blue
    return 255 * np.array([r, (luma - of_red * r - of_blue * b) / (1 - of_red - of_blue), b])


def test_a_frame_that_fits_is_returned_as_it_is() -> None:
    frame = plain(WIDE)
    assert fitted(frame, PixelLayout(72, 128)) is frame


def test_time_and_scene_stay() -> None:
    frame = fitted(plain(PixelLayout(144, 256)), WIDE)
    assert (frame.pts, frame.time_base, frame.scene, frame.arrived) == (5, Fraction(1, 25), 3, 7.5)
    assert frame.layout == WIDE


@pytest.mark.parametrize("size", [(36, 64), (144, 256), (720, 1280), (71, 127)])
def test_the_same_shape_fills_the_picture_with_the_same_colour(size: tuple[int, int]) -> None:
    luma, blue, red = planes(fitted(plain(PixelLayout(*size)), WIDE))
    # One code off is what libav's rounding costs when it makes a picture ten times smaller.
    for plane, code in ((luma, 120), (blue, 100), (red, 160)):
        assert np.abs(plane - code).max() <= 1
        assert (plane == code).mean() > 0.9


@pytest.mark.parametrize(("full_range", "black"), [(False, 16), (True, 0)])
def test_another_shape_gets_black_bars(full_range: bool, black: int) -> None:
    narrow = plain(PixelLayout(96, 96, full_range=full_range))
    luma, blue, red = planes(fitted(narrow, replace(WIDE, full_range=full_range)))
    # 72 of 128 columns, in the middle.
    assert (luma[:, 28:100] == 120).all()
    assert (luma[:, :28] == black).all()
    assert (luma[:, 100:] == black).all()
    assert (blue[:, 14:50] == 100).all()
    assert (blue[:, :14] == 128).all()
    assert (red[:, 50:] == 128).all()


def test_bars_stand_above_and_below_too_and_have_ten_bits_where_the_output_has() -> None:
    luma, blue, _ = planes(fitted(plain(PixelLayout(36, 128)), replace(WIDE, bits=10)))
    assert (luma[18:54] == 480).all()
    assert (luma[:18] == 64).all()
    assert (luma[54:] == 64).all()
    assert (blue[:9] == 512).all()
    assert (blue[9:27] == 400).all()


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_look_the_same_whatever_the_layout(chroma, bits, matrix, full_range) -> None:  # type: ignore[no-untyped-def]
    frame = plain(PixelLayout(90, 160, chroma, bits, matrix, full_range))
    # Three codes of eight bits that are one off each come to as much.
    assert np.abs(colour(fitted(frame, WIDE)) - colour(frame)).max() < 3


@pytest.mark.parametrize("full_range", [False, True])
def test_grey_becomes_colour_and_colour_grey(full_range: bool) -> None:
    grey = PixelLayout(36, 64, "gray", full_range=full_range)
    luma, blue, red = planes(fitted(plain(grey), replace(WIDE, full_range=full_range)))
    assert (luma == 120).all()
    assert (blue == 128).all()
    assert (red == 128).all()
    (only,) = planes(fitted(plain(replace(WIDE, full_range=full_range)), grey))
    assert (only == 120).all()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("chroma", ["420", "422"])
def test_a_turned_picture_stands_upright_in_an_unturned_one(rotation: int, mirrored: bool, chroma: str) -> None:
    upright = np.full((72, 128), 60)
    upright[:36, :64] = 200
    coded = np.rot90(np.fliplr(upright) if mirrored else upright, -rotation // 90)
    layout = PixelLayout(*coded.shape, chroma=chroma, rotation=rotation, mirrored=mirrored)  # type: ignore[arg-type]
    frame = plain(layout)
    layout.split(frame.data)[0].copy_(torch.from_numpy(coded.copy()))
    luma, blue, _ = planes(fitted(frame, WIDE))
    assert np.abs(luma - upright).max() <= 1
    assert (blue == 100).all()


def test_odd_outputs_are_filled_to_the_last_sample() -> None:
    luma, blue, red = planes(fitted(plain(PixelLayout(142, 254)), PixelLayout(71, 127)))
    assert (luma == 120).all()
    assert (blue == 100).all()
    assert (red == 160).all()
    luma, blue, _ = planes(fitted(plain(PixelLayout(50, 50)), PixelLayout(71, 127)))
    assert set(np.unique(luma)) == {16, 120}
    assert set(np.unique(blue)) == {100, 128}


@pytest.mark.parametrize(
    "layout",
    [
        PixelLayout(360, 640),
        PixelLayout(360, 640, bits=10, chroma="422"),
        PixelLayout(361, 641, full_range=True),
        PixelLayout(360, 640, chroma="gray"),
        PixelLayout(48, 64),
    ],
    ids=str,
)
def test_a_note_changes_the_lower_left_corner_alone(layout: PixelLayout) -> None:
    frame = plain(layout)
    before = frame.data.clone()
    after = noted(frame, "NO SIGNAL")
    assert torch.equal(frame.data, before)
    assert after.layout == layout
    changed = planes(after)[0] != planes(frame)[0]
    rows, columns = np.nonzero(changed)
    assert 0.002 < changed.mean() < 0.25
    assert rows.min() > layout.height * 0.5
    assert columns.max() < layout.width * 0.85
    luma = planes(after)[0][changed] / (1 << (layout.bits - 8))
    # Light letters on a box that is darker than the picture.
    assert luma.min() < 60
    assert luma.max() > 180
    if layout.chroma != "gray":
        hues = [np.nonzero(ours != theirs) for ours, theirs in zip(planes(after)[1:], planes(frame)[1:], strict=True)]
        assert all(len(found[0]) for found in hues)


def test_a_note_stands_upright_in_a_turned_picture() -> None:
    layout = PixelLayout(360, 640, rotation=90)
    frame = plain(layout)
    upright = np.rot90(planes(noted(frame, "NO SIGNAL"))[0])
    changed = upright != 120
    rows, columns = np.nonzero(changed)
    assert upright.shape == (640, 360)
    assert rows.min() > 500
    assert columns.max() < 250
    assert np.ptp(columns) > 2 * np.ptp(rows)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_note_reads_the_same_in_a_mirrored_picture(rotation: int) -> None:
    size = (640, 360) if rotation % 180 else (360, 640)
    plainly, mirrored = (
        np.rot90(
            planes(noted(plain(PixelLayout(*size, rotation=rotation, mirrored=each)), "NO SIGNAL"))[0], rotation // 90
        )
        for each in (False, True)
    )
    assert np.array_equal(np.fliplr(mirrored), plainly)


def test_a_long_note_is_made_small_enough() -> None:
    frame = noted(plain(WIDE), "a very long note about a camera that is away " * 3)
    changed = planes(frame)[0] != 120
    assert changed.any()
    assert not changed[:, 120:].any()
