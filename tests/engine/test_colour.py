"""Colour: the standards' formulas, written out a second time, and nothing changed that was not asked for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.engine.colour import add_rgb, to_picture, to_rgb
from streamderain.frames import Chroma, Matrix, PixelLayout

MATRICES: tuple[Matrix, ...] = ("bt601", "bt709", "bt2020")
CHROMAS: tuple[Chroma, ...] = ("gray", "420", "422", "444")
ROTATIONS = (0, 90, 180, 270, -90)

# R = Y + a Cr, G = Y - b Cb - c Cr, B = Y + d Cb, as the tables of BT.601, BT.709 and BT.2020 round them.
PRINTED = {
    "bt601": (1.402, 0.344136, 0.714136, 1.772),
    "bt709": (1.5748, 0.187324, 0.468124, 1.8556),
    "bt2020": (1.4746, 0.164553, 0.571353, 1.8814),
}


def noise(layout: PixelLayout, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(layout.samples)
    data = torch.randint(0, 2**layout.bits, (count, layout.samples), generator=generator)
    return data.to(torch.uint8 if layout.bits == 8 else torch.int16)


def layouts(height: int = 6, width: int = 8) -> list[PixelLayout]:
    every = itertools.product(CHROMAS, (8, 10, 12), MATRICES, (False, True))
    return [PixelLayout(height, width, chroma, bits, matrix, full) for chroma, bits, matrix, full in every]


def rgb_by_hand(y: float, cb: float, cr: float, layout: PixelLayout) -> list[float]:
    """Codes of one pixel -> RGB in 0..1."""
    top = 2**layout.bits - 1
    scale = 2 ** (layout.bits - 8)
    if layout.full_range:
        y, cb, cr = y / top, (cb - 128 * scale) / top, (cr - 128 * scale) / top
    else:
        y, cb, cr = (y / scale - 16) / 219, (cb / scale - 128) / 224, (cr / scale - 128) / 224
    a, b, c, d = PRINTED[layout.matrix]
    return [y + a * cr, y - b * cb - c * cr, y + d * cb]


def full_size_by_hand(plane: np.ndarray, factor: int, length: int, axis: int) -> np.ndarray:
    """Bilinear along an axis: a chroma sample stands in the middle of the `factor` luma samples it covers."""
    if factor == 1:
        return plane
    places = (np.arange(length) + 0.5) / factor - 0.5
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, plane)


@pytest.mark.parametrize(
    "layout", [*layouts(), PixelLayout(5, 7), PixelLayout(5, 7, "422"), PixelLayout(1, 1)], ids=str
)
def test_planes_become_rgb_by_the_standards_formulas(layout: PixelLayout) -> None:
    data = noise(layout)
    answer = to_rgb(data, layout).numpy()
    assert answer.shape == (2, 3, layout.height, layout.width)
    for number, flat in enumerate(data):
        luma, *chroma = (plane.double().numpy() for plane in layout.split(flat))
        grey = np.full(luma.shape, 128.0 * 2 ** (layout.bits - 8))
        cb, cr = chroma or (grey, grey)
        if chroma:
            down, across = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}[layout.chroma]
            cb, cr = (full_size_by_hand(plane, down, layout.height, 0) for plane in (cb, cr))
            cb, cr = (full_size_by_hand(plane, across, layout.width, 1) for plane in (cb, cr))
        expected = np.stack(rgb_by_hand(luma, cb, cr, layout))  # type: ignore[arg-type]
        np.testing.assert_allclose(answer[number], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "layout",
    [
        *layouts(),
        PixelLayout(5, 7),
        PixelLayout(5, 7, "422", rotation=90),
        PixelLayout(1, 1),
        PixelLayout(4, 6, rotation=-90),
    ],
    ids=str,
)
def test_a_picture_is_the_same_in_whole_codes(layout: PixelLayout) -> None:
    (data,) = noise(layout, 1)
    picture = to_picture(data, layout)
    assert picture.flags.c_contiguous
    expected = to_rgb(data[None], layout)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    apart = np.abs(picture - expected)
    # Half a code of chroma is a whole one of blue, and all of it is rounded once more.
    assert apart.max() < 2.2
    assert apart.mean() < 0.5


@pytest.mark.parametrize(
    ("codes", "rgb", "matrix", "full_range"),
    [
        ((16, 128, 128), (0, 0, 0), "bt709", False),
        ((235, 128, 128), (1, 1, 1), "bt709", False),
        ((255, 128, 128), (1, 1, 1), "bt601", True),
        ((81, 90, 240), (1, 0, 0), "bt601", False),
        ((63, 102, 240), (1, 0, 0), "bt709", False),
        ((41, 240, 110), (0, 0, 1), "bt601", False),
    ],
)
def test_well_known_codes_are_well_known_colours(
    codes: tuple[int, int, int], rgb: tuple[int, int, int], matrix: Matrix, full_range: bool
) -> None:
    layout = PixelLayout(1, 1, "444", matrix=matrix, full_range=full_range)
    answer = to_rgb(torch.tensor([codes], dtype=torch.uint8), layout).flatten()
    # Codes are whole numbers, so colours meet to about half a code.
    torch.testing.assert_close(answer, torch.tensor(rgb, dtype=torch.float32), rtol=0, atol=0.006)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_turned_picture_comes_upright(rotation: int) -> None:
    lying = PixelLayout(4, 6, "444")
    turned = PixelLayout(4, 6, "444", rotation=rotation)
    data = noise(lying)
    expected = np.rot90(to_rgb(data, lying).numpy(), rotation // 90, (2, 3))
    np.testing.assert_array_equal(to_rgb(data, turned).numpy(), expected)


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 1), (1, 6)], ids=str)
@pytest.mark.parametrize("chroma", CHROMAS)
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_no_change_leaves_every_bit(rotation: int, size: tuple[int, int], chroma: Chroma, bits: int) -> None:
    layout = PixelLayout(*size, chroma, bits, rotation=rotation)
    data = noise(layout)
    same = add_rgb(data, torch.zeros_like(to_rgb(data, layout)), layout)
    assert same.dtype == data.dtype
    assert torch.equal(same, data)


def smooth_change(height: int, width: int) -> Tensor:
    """(1, 3, height, width) of slow waves, which chroma of a quarter of the samples can follow."""
    down = torch.linspace(0, 1, height).view(-1, 1)
    across = torch.linspace(0, 1, width).view(1, -1)
    waves = torch.sin(2 * down + across), torch.cos(across - down), torch.sin(3 * across - down)
    return 0.08 * torch.stack(waves)[None]


@pytest.mark.parametrize("rotation", [0, 90, 180])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
def test_a_smooth_change_arrives(rotation: int, chroma: Chroma, matrix: Matrix, full_range: bool) -> None:
    layout = PixelLayout(40, 56, chroma, 12, matrix, full_range, rotation)
    generator = torch.Generator().manual_seed(1)
    # Away from both ends, so that nothing is cut off.
    data = torch.randint(1400, 2600, (1, layout.samples), generator=generator).to(torch.int16)
    before = to_rgb(data, layout)
    change = smooth_change(*before.shape[-2:])
    arrived = to_rgb(add_rgb(data, change, layout), layout) - before
    torch.testing.assert_close(arrived, change, rtol=0, atol=0.006)


def test_a_change_of_gray_moves_the_luma() -> None:
    layout = PixelLayout(4, 4, "gray", full_range=True)
    data = torch.full((1, 16), 100, dtype=torch.uint8)
    assert (add_rgb(data, torch.full((1, 3, 4, 4), 10 / 255), layout) == 110).all()


@pytest.mark.parametrize(("codes", "expected"), [(0.4, 100), (0.6, 101), (-0.4, 100), (-0.6, 99)])
def test_part_of_a_code_is_rounded(codes: float, expected: int) -> None:
    layout = PixelLayout(4, 4, "gray", full_range=True)
    data = torch.full((1, 16), 100, dtype=torch.uint8)
    assert (add_rgb(data, torch.full((1, 3, 4, 4), codes / 255), layout) == expected).all()


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("chroma", CHROMAS)
def test_codes_stay_in_their_range(bits: int, chroma: Chroma) -> None:
    layout = PixelLayout(4, 6, chroma, bits)
    data = noise(layout)
    top = 2**bits - 1
    for change in (-5.0, 5.0):
        answer = add_rgb(data, torch.full((2, 3, 4, 6), change), layout)
        assert answer.dtype == data.dtype
        luma = layout.split(answer)[0]
        assert (luma == (top if change > 0 else 0)).all()
    red = torch.zeros(2, 3, 4, 6)
    red[:, 0] = 9.0
    answer = add_rgb(data, red, layout).int()
    assert answer.min() >= 0
    assert answer.max() <= top
