"""Streaks: as long, wide, bright, leaning and bent on the picture as they say."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from streamderain.rain.streaks import Streaks

SIZE = 141
MIDDLE = SIZE // 2

Floats = npt.NDArray[np.float32]


def one(
    length: float = 40,
    lean: float = 0.0,
    width: float = 1.0,
    bend: float = 0.0,
    ends: tuple[float, float] = (0.0, 0.0),
    place: float = MIDDLE,
) -> Floats:
    x, y, lengths, leans, bends, bright = (
        np.array([value], np.float32) for value in (place, place, length, lean, bend, 0.5)
    )
    return Streaks(x, y, lengths, leans, bends, bright, width, ends).light(SIZE, SIZE)


def spread(light: Floats, lean: float) -> tuple[float, float]:
    """Standard deviations of the light along and across the lean, in pixels."""
    down, right = np.mgrid[:SIZE, :SIZE] - MIDDLE
    along = down * math.cos(lean) + right * math.sin(lean)
    across = right * math.cos(lean) - down * math.sin(lean)
    return tuple(math.sqrt(float((light * axis**2).sum() / light.sum())) for axis in (along, across))  # type: ignore[return-value]


@pytest.mark.parametrize("lean", [0.0, 0.4, -1.0, math.pi / 2])
@pytest.mark.parametrize("width", [0.4, 0.6, 1.0, 1.3, 2.0])
def test_a_streak_is_as_wide_and_leans_as_it_says(lean: float, width: float) -> None:
    # Not on the middle of a pixel, where a thin streak is all in one column.
    _, across = spread(one(lean=lean, width=width, place=MIDDLE + 0.3), lean)
    assert across == pytest.approx(math.hypot(width, 0.3 * (math.cos(lean) - math.sin(lean))), abs=0.1)


@pytest.mark.parametrize("lean", [0.0, 0.7, -1.5])
@pytest.mark.parametrize("length", [6, 20, 80, 120])
def test_a_streak_is_as_long_as_it_says(lean: float, length: float) -> None:
    along, _ = spread(one(length, lean, width=0.5), lean)
    assert along * math.sqrt(12) == pytest.approx(length, rel=0.06, abs=0.6)


@pytest.mark.parametrize("width", [0.37, 0.8, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("lean", [0.0, 0.3, 1.2])
def test_a_streak_is_as_bright_as_it_says_all_along(width: float, lean: float) -> None:
    light = one(80, lean, width)
    down = np.arange(-25, 26)
    line = [float(light[round(MIDDLE + step * math.cos(lean)), round(MIDDLE + step * math.sin(lean))]) for step in down]
    # A pixel beside a thin line sees less of it, and the mean over its places is what can be promised.
    assert np.mean(line) == pytest.approx(0.5, rel=0.3 if width < 0.5 else 0.15)
    if lean == 0:
        assert np.ptp(line) < 0.03


def test_ends_are_blunt_or_taper() -> None:
    blunt, tapered, comet = (one(60, ends=ends)[:, MIDDLE] for ends in ((0.0, 0.0), (1.0, 1.0), (1.5, 0.3)))
    end = MIDDLE - 25
    assert blunt[end] > 0.45
    assert tapered[end] < 0.25
    assert tapered[MIDDLE] == pytest.approx(0.5, abs=0.05)
    assert comet[end] < 0.1
    assert comet[MIDDLE + 20] > 0.4


def test_a_bent_streak_stands_off_the_line_between_its_ends() -> None:
    bent = one(80, bend=8)
    columns = bent.argmax(axis=1)
    assert abs(int(columns[MIDDLE]) - int(columns[MIDDLE - 37])) == pytest.approx(7, abs=1)
    assert abs(int(columns[MIDDLE - 37]) - int(columns[MIDDLE + 37])) <= 1


def test_streaks_add_up_and_those_outside_add_nothing() -> None:
    def some(x: list[float]) -> Floats:
        count = len(x)
        fixed = (np.full(count, value, np.float32) for value in (20.0, 15.0, 0.2, 0.0, 0.5))
        return Streaks(np.array(x, np.float32), *fixed, width_px=1.0).light(40, 50)

    assert some([]).shape == (40, 50)
    assert not some([]).any()
    assert not some([-500.0, 900.0]).any()
    np.testing.assert_allclose(some([10.0, 30.0]), some([10.0]) + some([30.0]), atol=1e-6)


def test_a_cut_off_streak_is_what_a_larger_picture_shows_there() -> None:
    fixed = [np.full(1, value, np.float32) for value in (0.0, 30.0, 0.4, 0.0, 0.5)]
    at_corner = Streaks(np.zeros(1, np.float32), *fixed, width_px=1.5).light(30, 30)
    inside = Streaks(np.full(1, 40, np.float32), fixed[0] + 40, *fixed[1:], width_px=1.5).light(80, 80)
    np.testing.assert_allclose(at_corner, inside[40:70, 40:70], atol=1e-5)
    assert at_corner.max() > 0.3
