"""TemporalBlender: votes rain out, calms noise, lets go of what moves, leaves alone what is dry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from streamderain.engine import blend
from streamderain.engine.blend import Moment, TemporalBlender
from streamderain.temporal.aligning import Field, Picture, Ways, luma_of
from tests.scenery import SIZE, scene

RAIN = 13
"""What the network is made to have taken away everywhere, so that it counts as raining."""


def seen_from(x: float, y: float) -> Any:
    """The scene from there, (SIZE, SIZE, 3) in 0..255."""
    return scene(x, y).permute(1, 2, 0).numpy() * 255


def coded(picture: Any) -> Picture:
    return np.ascontiguousarray(np.rint(picture).clip(0, 255), np.uint8)


def moments(pictures: Sequence[Picture], rain: int = RAIN) -> list[Moment]:
    return [Moment.of(np.minimum(picture, 255 - rain) + np.uint8(rain), picture) for picture in pictures]


def arguments(row: Sequence[Moment], at: int, after: bool = True) -> tuple[Any, ...]:
    """What the blender is called with for number `at`, among two neighbours on each side, or before it alone."""
    first, last = max(0, at - 2), at + 3 if after else at + 1
    lumas = [luma_of(each.clean) for each in row[first:last]]
    ways: list[Ways] = [Ways(here, there) for here, there in pairwise(lumas)]
    return row[first:at], row[at], row[at + 1 : last], ways


def blended(pictures: Sequence[Picture], at: int, strength: float = 1.0, after: bool = True) -> Picture:
    return applied(pictures[at], TemporalBlender(strength)(*arguments(moments(pictures), at, after)))


def applied(picture: Picture, change: Field | None) -> Picture:
    return picture if change is None else coded(picture + change.transpose(1, 2, 0))


def noisy(count: int, pace: float = 0.0, sigma: float = 2.5) -> list[Picture]:
    """A scene filmed `count` times with a camera that moves by `pace` pixels a frame and has noise of light."""
    generator = np.random.default_rng(0)
    return [coded(seen_from(pace * n, 0) + generator.normal(0, sigma, (SIZE, SIZE, 1))) for n in range(count)]


def with_streak(picture: Picture, x: int = 48) -> Picture:
    streaked = picture.copy()
    streaked[40:60, x : x + 2] += np.uint8(15)
    return streaked


def error(picture: Picture, clean: Any) -> float:
    middle = slice(24, -24)
    return float(((picture.astype(float) - clean)[middle, middle] ** 2).mean())


@pytest.mark.parametrize("pace", [0.0, 3.0])
def test_rain_left_in_one_frame_is_voted_out_however_the_camera_moves(pace: float) -> None:
    pictures = [coded(seen_from(pace * n, 0)) for n in range(5)]
    pictures[2] = with_streak(pictures[2])
    clean = seen_from(pace * 2, 0)
    assert error(blended(pictures, 2), clean) < 0.15 * error(pictures[2], clean)


def test_rain_in_a_neighbour_does_not_come_over() -> None:
    pictures = [coded(seen_from(0, 0))] * 5
    pictures[1] = with_streak(pictures[1])
    for after in (True, False):
        assert np.abs(blended(pictures, 2, after=after) - seen_from(0, 0)).max() < 6.4


@pytest.mark.parametrize(("after", "most"), [(True, 0.45), (False, 0.6)])
def test_noise_is_calmed_and_the_more_the_stronger(after: bool, most: float) -> None:
    pictures = noisy(5, pace=2.0)
    left = [error(blended(pictures, 2, strength, after), seen_from(4, 0)) for strength in (0.0, 0.5, 1.0)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < most * left[0]


@pytest.mark.parametrize("after", [True, False])
def test_brightness_stays(after: bool) -> None:
    pictures = noisy(5)
    assert float(blended(pictures, 2, after=after).mean()) == pytest.approx(float(pictures[2].mean()), abs=0.13)


@pytest.mark.parametrize("after", [True, False])
def test_a_thing_that_crosses_leaves_no_trail_and_does_not_vanish(after: bool) -> None:
    pictures = [coded(seen_from(0, 0)) for _ in range(5)]
    for number, picture in enumerate(pictures):
        picture[30:54, 8 + 14 * number : 26 + 14 * number] = (230, 25, 51)
    off = np.abs(blended(pictures, 2, after=after).astype(int) - pictures[2])
    assert off.mean() < 0.5
    # All but the rim of the thing, where flow is smooth and things are not.
    assert off[33:51, 39:51].max() < 8


def test_a_thing_of_the_same_brightness_and_another_colour_does_not_vanish() -> None:
    pictures = [np.full((SIZE, SIZE, 3), 128, np.uint8) for _ in range(5)]
    pictures[2][30:60, 30:60] = (196, 100, 95)
    off = np.abs(blended(pictures, 2).astype(int) - pictures[2])
    assert off[33:57, 33:57].max() < 4


def test_neighbours_that_show_something_else_take_no_part() -> None:
    pictures = [coded(seen_from(*place)) for place in ((400, 90), (300, 70), (0, 0), (900, 10), (90, 500))]
    assert error(blended(pictures, 2), pictures[2]) < 0.02 * error(pictures[1], pictures[2])


def test_where_it_is_dry_nothing_changes_to_the_bit() -> None:
    row = moments(noisy(5), rain=0)
    assert TemporalBlender(1.0)(*arguments(row, 2)) is None


def test_far_from_the_rain_nothing_changes_to_the_bit() -> None:
    generator = np.random.default_rng(0)
    wide = scene(0, 0, 512)[:, :96].permute(1, 2, 0).numpy() * 255
    pictures = [coded(wide + generator.normal(0, 2.5, (96, 512, 1))) for _ in range(5)]
    row = moments(pictures, rain=0)
    wet = pictures[2].copy()
    wet[:, :30] += np.uint8(20)
    row[2] = Moment.of(wet, pictures[2])
    change = TemporalBlender(1.0)(*arguments(row, 2))
    assert change is not None
    assert not change[..., 200:].any()
    assert (change[..., :30].round() != 0).mean() > 0.2


def test_rain_is_the_mean_change_of_each_square() -> None:
    clean = np.full((70, 130, 3), 50, np.uint8)
    rainy = clean.copy()
    rainy[:64, :64, 0] += np.uint8(6)
    rainy[64:, 128:] -= np.uint8(5)
    assert Moment.of(rainy, clean).rain.tolist() == [[2, 0, 0], [0, 0, 5]]


def test_strength_zero_and_no_neighbours_are_the_identity() -> None:
    pictures = noisy(5)
    assert np.array_equal(blended(pictures, 2, strength=0.0), pictures[2])
    assert np.array_equal(blended(pictures[:1], 0), pictures[0])


def test_the_change_is_finer_than_the_codes() -> None:
    change = TemporalBlender(1.0)(*arguments(moments(noisy(5)), 2))
    assert change is not None
    assert np.abs(change - np.rint(change)).mean() > 0.1


def test_frames_in_a_row_are_blended_as_each_would_be_by_a_new_blender() -> None:
    row, blender = moments(noisy(8, pace=1.5)), TemporalBlender(0.7)
    lumas = [luma_of(each.clean) for each in row]
    ways = [Ways(here, there) for here, there in pairwise(lumas)]
    for at in range(8):
        first, last = max(0, at - 2), min(8, at + 3)
        made = blender(row[first:at], row[at], row[at + 1 : last], ways[first : last - 1])
        assert made is not None
        assert np.array_equal(made, TemporalBlender(0.7)(*arguments(row, at)))


def test_where_ways_lead_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Ways] = []
    found = blend._both_seen
    monkeypatch.setattr(blend, "_both_seen", lambda ways: asked.append(ways) or found(ways))
    row, blender = moments(noisy(4)), TemporalBlender(1.0)
    before, present, after, ways = arguments(row, 1)
    blender(before, present, after, ways)
    blender(row[:2], row[2], row[3:], ways)
    assert len(asked) == 3


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 65), (65, 131)])
@pytest.mark.parametrize("after", [True, False])
def test_any_size_is_taken(size: tuple[int, int], after: bool) -> None:
    pictures = list(np.random.default_rng(0).integers(0, 256, (5, *size, 3), np.uint8))
    assert blended(pictures, 2, after=after).shape == (*size, 3)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="allowed from 0 to 1"):
        TemporalBlender(strength)


@pytest.mark.parametrize("after", [True, False])
def test_parts_leave_no_seams(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = noisy(5, pace=2.0)
    pictures[2] = with_streak(pictures[2])
    whole = blended(pictures, 2, after=after)
    monkeypatch.setattr(blend, "PART", 32 * SIZE)
    assert np.array_equal(blended(pictures, 2, after=after), whole)
