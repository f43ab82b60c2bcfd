"""Lines: what looks like rain and is none."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from streamderain.rain.lines import Lines, draw_lines

BARS = Lines(
    offsets=(-12.0, 0.0, 12.0), angle=0.0, width_px=2.0, amplitude=0.0, wavelength=40.0, alike=True,
    colour=(0.2, 0.4, 0.6), seed=1,
)  # fmt: skip


def test_bars_stand_where_their_offsets_say() -> None:
    picture = BARS.picture(41)
    assert picture.shape == (4, 41, 41)
    assert torch.equal(picture[:3, 5, 7], torch.tensor(BARS.colour))
    opaque = torch.nonzero(picture[3, 20] == 1).flatten().tolist()
    assert opaque == [8, 20, 32]
    assert torch.equal(picture[3], picture[3, :1].expand(41, -1))


def test_a_quarter_turn_lays_the_bars_down() -> None:
    lying = replace(BARS, angle=torch.pi / 2).picture(41)
    torch.testing.assert_close(lying[3], BARS.picture(41)[3].T, rtol=0, atol=1e-4)


def test_hair_waves_each_in_its_own_way_and_comes_from_the_seed() -> None:
    hair = replace(BARS, amplitude=4.0, alike=False)
    assert torch.equal(hair.picture(41), hair.picture(41))
    assert not torch.equal(hair.picture(41), replace(hair, seed=2).picture(41))
    assert len(hair.picture(41)[0].unique()) >= 3
    alike = replace(hair, alike=True).picture(61)[3]
    torch.testing.assert_close(alike[:, 12:24], alike[:, 24:36], rtol=0, atol=1e-4)


@pytest.mark.parametrize("number", range(12))
def test_lines_are_drawn_from_the_number_alone_and_leave_most_to_see(number: int) -> None:
    lines = draw_lines(64, random.Random(number))
    assert lines == draw_lines(64, random.Random(number))
    picture = lines.picture(64)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert 0 < float(picture[3].mean()) < 0.8
