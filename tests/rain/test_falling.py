"""Rain: the same drops for the same seed, falling as drops fall."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from streamderain.rain import falling
from streamderain.rain.falling import Rain, Rainfall, View

CALM = Rain(rate_mm_per_hour=20, wind_m_per_s=0, gust_m_per_s=0, strength=20, exposure_seconds=1 / 400, seed=3)
HEIGHT, WIDTH = 120, 160


def opacity(rain: Rain, seconds: float = 0.0) -> Tensor:
    return Rainfall(rain, HEIGHT, WIDTH).opacity(seconds)


def changed(**settings: float) -> Rain:
    return dataclasses.replace(CALM, **settings)


def test_the_same_seed_is_the_same_rain_and_another_is_another() -> None:
    assert torch.equal(opacity(CALM, 1.5), opacity(CALM, 1.5))
    assert not torch.equal(opacity(CALM, 1.5), opacity(changed(seed=4), 1.5))


def test_a_moment_does_not_depend_on_those_asked_for_before() -> None:
    rainfall = Rainfall(CALM, HEIGHT, WIDTH)
    for seconds in (0.7, 0.1, 3.0):
        rainfall.opacity(seconds)
    assert torch.equal(rainfall.opacity(0.1), opacity(CALM, 0.1))


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    opacity(CALM)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("rate", [0.5, 5.0, 50.0, 200.0])
@pytest.mark.parametrize("strength", [1.0, 100.0])
def test_opacity_is_a_share(rate: float, strength: float) -> None:
    hidden = opacity(changed(rate_mm_per_hour=rate, strength=strength), 2.0)
    assert hidden.shape == (HEIGHT, WIDTH)
    assert hidden.min() >= 0
    assert hidden.max() <= 1
    assert hidden.max() > 0


def test_more_rate_is_more_rain() -> None:
    def mean(rate: float) -> float:
        rainfall = Rainfall(changed(rate_mm_per_hour=rate, strength=1), HEIGHT, WIDTH)
        return sum(rainfall.opacity(float(second)).mean().item() for second in range(4))

    amounts = [mean(rate) for rate in (1, 4, 16, 64)]
    assert all(less < more for less, more in itertools.pairwise(amounts))
    assert amounts[-1] > 3 * amounts[0]


def drop(first: Tensor, second: Tensor, most: int) -> tuple[int, int]:
    """By how many pixels down and to the right `first` must be moved to look most like `second`."""
    a, b = first - first.mean(), second - second.mean()

    def likeness(down: int, across: int) -> float:
        top, bottom = max(0, down), HEIGHT + min(0, down)
        left, right = max(0, across), WIDTH + min(0, across)
        moved = a[top - down : bottom - down, left - across : right - across]
        there = b[top:bottom, left:right]
        return float((moved * there).mean() / (moved.std() * there.std()))

    places = [(down, across) for down in range(-most, most + 1) for across in range(-6, 7)]
    return max(places, key=lambda place: likeness(*place))


def far_rain(rain: Rain) -> Rainfall:
    """Rain without its three near shells, so that all drops have much the same speed in the picture."""
    rainfall = Rainfall(rain, HEIGHT, WIDTH)
    rainfall._shells[:3] = [
        dataclasses.replace(
            shell,
            **{name: getattr(shell, name)[:0] for name in ("identity", "start_y", "speed_x", "speed_y", "opacity")},
        )
        for shell in rainfall._shells[:3]
    ]
    return rainfall


def test_drops_fall_by_their_speed_and_the_time_between_two_moments() -> None:
    rainfall = far_rain(CALM)
    focal = CALM.focal_heights * HEIGHT
    for milliseconds in (20, 40):
        seconds = milliseconds / 1000
        down, across = drop(rainfall.opacity(1.0), rainfall.opacity(1.0 + seconds), most=12)
        # Drops that can be seen so far away fall with 2 to 9 m/s; they are 4 to 8 metres away.
        assert 2 * focal / 8 * seconds < down < 9 * focal / 4 * seconds
        assert across == 0


def test_rain_does_not_rise_when_time_runs_backwards() -> None:
    rainfall = far_rain(CALM)
    down, _ = drop(rainfall.opacity(1.04), rainfall.opacity(1.0), most=12)
    assert down < 0


def test_wind_carries_drops_along() -> None:
    rainfall = far_rain(changed(wind_m_per_s=4))
    _, across = drop(rainfall.opacity(1.0), rainfall.opacity(1.04), most=12)
    assert across > 0


def tilt(hidden: Tensor) -> float:
    """Pixels that streaks go to the right for each one down: where the rows further down look most alike."""
    down, most = 10, 10
    upper, lower = hidden[:-down, most:-most], hidden[down:]
    upper = upper - upper.mean()
    likeness = [float((upper * lower[:, most + step : WIDTH - most + step]).sum()) for step in range(-most, most + 1)]
    return (likeness.index(max(likeness)) - most) / down


def test_wind_tilts_the_streaks() -> None:
    def streaks(wind: float) -> float:
        # Few and long, so that single streaks are what rows have in common.
        rain = changed(wind_m_per_s=wind, exposure_seconds=1 / 60, rate_mm_per_hour=5, strength=2)
        return tilt(opacity(rain, 1.0))

    assert streaks(0) == 0
    # Drops that leave streaks fall with 4 to 9 m/s.
    assert 3 / 9 <= streaks(3) <= 3 / 4
    assert -3 / 4 <= streaks(-3) <= -3 / 9
    assert 0 < streaks(1.5) < streaks(3)


def test_rain_brightens_what_is_dark_and_stays_in_range() -> None:
    clean = torch.full((3, HEIGHT, WIDTH), 0.2)
    clean[:, :30] = 1.0
    rainy = Rainfall(CALM, HEIGHT, WIDTH).on(clean, 0.5)
    assert rainy.shape == clean.shape
    assert rainy.min() >= 0
    assert rainy.max() <= 1
    assert rainy[:, 30:].mean() > clean[:, 30:].mean()


def test_a_pixel_without_a_drop_keeps_its_colour() -> None:
    clean = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    rainfall = Rainfall(changed(rate_mm_per_hour=1), HEIGHT, WIDTH)
    dry = rainfall.opacity(0.5) == 0
    assert dry.any()
    assert torch.equal(rainfall.on(clean, 0.5)[:, dry], clean[:, dry])


def test_a_turned_camera_sees_the_same_drops_elsewhere() -> None:
    rainfall = Rainfall(CALM, HEIGHT, WIDTH)
    before, after = rainfall.opacity(1.0), rainfall.opacity(1.0, View(x_px=12, y_px=-5))
    # Beyond the picture's edges, nothing is known that could be blurred into it.
    assert torch.allclose(after[5:-10, 17:-5], before[10:-5, 5:-17], atol=1e-3)


def test_wind_does_not_carry_drops_for_the_turning_of_the_camera() -> None:
    rainfall = Rainfall(changed(wind_m_per_s=4), HEIGHT, WIDTH)
    before, after = rainfall.opacity(1.0), rainfall.opacity(1.0, View(y_px=8))
    assert torch.allclose(after[13:-5, 5:-5], before[5:-13, 5:-5], atol=1e-3)


def test_far_turns_find_as_much_rain() -> None:
    rainfall = Rainfall(CALM, HEIGHT, WIDTH)
    amounts = [rainfall.opacity(1.0, View(x_px=turn, y_px=-turn)).mean().item() for turn in (0, 5e3, -5e4)]
    assert max(amounts) < 1.3 * min(amounts)


def test_a_pan_shears_the_streaks_and_makes_them_fainter() -> None:
    rainfall = Rainfall(changed(exposure_seconds=1 / 60, rate_mm_per_hour=5, strength=2), HEIGHT, WIDTH)
    still, right, left = (rainfall.opacity(1.0, View(x_px_per_s=pace)) for pace in (0, 500, -500))
    assert tilt(still) == 0
    assert tilt(right) > 0.2
    assert tilt(left) < -0.2
    assert right.max() < still.max()
    assert right.sum() == pytest.approx(still.sum().item(), rel=0.3)


def test_a_camera_that_follows_the_drops_sees_points() -> None:
    rainfall = far_rain(changed(exposure_seconds=1 / 60, rate_mm_per_hour=5, strength=0.1))
    streaks, points = rainfall.opacity(1.0), rainfall.opacity(1.0, View(y_px_per_s=-150))
    assert points.max() > streaks.max()
    assert rainfall.opacity(1.0, View(y_px_per_s=-1000)).isfinite().all()


def test_drops_fall_as_smoothly_after_hours_as_at_once() -> None:
    rainfall = far_rain(CALM)
    for hours in (1, 20):
        start = 3600.0 * hours
        # A hundredth of a frame: far drops move by less than a tenth of a pixel.
        change = (rainfall.opacity(start) - rainfall.opacity(start + 0.0004)).abs().mean()
        assert change < 0.2 * (rainfall.opacity(start) - rainfall.opacity(start + 0.04)).abs().mean()


@pytest.mark.parametrize("side", [16, 17, 200, 1080])
def test_a_drop_that_ends_a_hair_before_the_border_is_drawn(side: int) -> None:
    edge = torch.tensor([float(side)])
    before, nothing, one = torch.nextafter(edge, torch.zeros(1)), torch.zeros(1), torch.ones(1)
    for x, y in ((before, nothing + 2), (nothing + 2, before), (before, before)):
        canvas = falling._splat(side, side, x, y, nothing, nothing, one)
        assert canvas.shape == (side, side)
        assert canvas.sum() <= 1
