"""Marks: strokes that end, which are no rain."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from streamderain.rain.marks import Marks, Stroke, draw_marks

CHALK = Stroke(
    right=5.0, down=-3.0, angle=0.0, length_px=10.0, width_px=2.0, opacity=0.5, fading=0.0, colour=(0.8, 0.9, 1.0)
)


def test_a_stroke_stands_where_it_is_said_and_ends() -> None:
    picture = Marks((CHALK,)).picture(41)
    assert picture.shape == (4, 41, 41)
    assert torch.equal(picture[:3, 17, 25], torch.tensor(CHALK.colour))
    rows, columns = torch.nonzero(picture[3] == 0.5, as_tuple=True)
    assert (rows.min(), rows.max(), columns.unique().tolist()) == (13, 21, [25])
    # Nothing but its soft rim around it.
    assert int((picture[3] > 0).sum()) == 11 * 3


def test_a_quarter_turn_about_the_middle_lays_it_down() -> None:
    upright = Marks((replace(CHALK, right=0.0, down=0.0),)).picture(41)[3]
    lying = Marks((replace(CHALK, right=0.0, down=0.0, angle=math.pi / 2),)).picture(41)[3]
    torch.testing.assert_close(lying, upright.T, rtol=0, atol=1e-5)


def test_it_fades_towards_its_lower_end() -> None:
    column = Marks((replace(CHALK, fading=1.0),)).picture(41)[3, 13:23, 25]
    assert torch.equal(column, column.sort(descending=True).values)
    assert column[0] == pytest.approx(0.45)
    assert column[-1] == pytest.approx(0.0)


def test_where_two_cross_the_more_opaque_is_seen() -> None:
    across = replace(CHALK, angle=math.pi / 2, opacity=0.9, colour=(0.1, 0.1, 0.1))
    for strokes in ((CHALK, across), (across, CHALK)):
        picture = Marks(strokes).picture(41)
        assert picture[:, 17, 25].tolist() == pytest.approx([0.1, 0.1, 0.1, 0.9])
        assert picture[3, 13, 25] == 0.5


def test_they_are_drawn_from_the_number_alone_and_lean_by_themselves_or_in_few_directions() -> None:
    spreads = []
    for number in range(60):
        marks = draw_marks(64, random.Random(number))
        assert marks == draw_marks(64, random.Random(number))
        assert 3 <= len(marks.strokes) <= 2 * 31
        picture = marks.picture(64)
        assert 0 <= picture.min() <= picture.max() <= 1
        angles = torch.tensor([stroke.angle for stroke in marks.strokes])
        # Doubled, as a line that leans by half a turn is itself.
        spreads.append(float(torch.polar(torch.ones(len(angles)), 2 * angles).mean().abs()))
    assert min(spreads) < 0.3
    assert max(spreads) > 0.95


def test_some_have_another_close_by_their_side_as_long_and_of_its_own_colour() -> None:
    alone, beside = 0, 0
    for number in range(60):
        strokes = draw_marks(64, random.Random(number)).strokes
        for one, other in pairwise(strokes):
            if other.angle != one.angle:
                alone += 1
                continue
            beside += 1
            right, down = other.right - one.right, other.down - one.down
            along = down * math.cos(one.angle) + right * math.sin(one.angle)
            across = right * math.cos(one.angle) - down * math.sin(one.angle)
            assert along == pytest.approx(0, abs=1e-9)
            assert abs(across) == pytest.approx((one.width_px + other.width_px) / 2)
            assert other.length_px == one.length_px
            assert other.colour != one.colour
    assert 0.15 < beside / (alone + beside) < 0.35
