"""PaintedRain: layers where the numbers say, other streaks at every moment, and drawn over all that rain can be."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from streamderain.rain.painted import (
    MOST_LIGHT,
    MOST_LIGHT_OF_DOWNPOURS,
    PaintedRain,
    Stroke,
    paint_downpour,
    paint_leaning_rain,
    paint_plain_rain,
    paint_rain,
    paint_texture,
)
from streamderain.rain.smeared import SmearedNoise

STROKE = Stroke(density=0.003, length_px=15, angle=0.3, width_px=0.6, brightness=0.6)
DRAWN = [paint_rain(random.Random(number)) for number in range(400)]
STROKES = [stroke for rain in DRAWN for stroke in rain.strokes if isinstance(stroke, Stroke)]


def share(true: list[bool]) -> float:
    return sum(true) / len(true)


def test_paint_adds_light_and_never_takes_any() -> None:
    clean = torch.rand(3, 40, 50)
    rainy = PaintedRain((STROKE,), seed=1).on(clean, 0.0)
    assert rainy.shape == clean.shape
    assert (rainy >= clean - 1e-5).all()
    assert (rainy > clean + 0.05).any()


def test_a_moment_is_the_same_whenever_it_is_asked_for_and_unlike_the_next() -> None:
    rain = PaintedRain((STROKE, STROKE), seed=3)
    assert torch.equal(rain.layer(30, 30, 0.5), rain.layer(30, 30, 0.5))
    assert not torch.equal(rain.layer(30, 30, 0.5), rain.layer(30, 30, 0.54))
    assert not torch.equal(rain.layer(30, 30, 0.5), PaintedRain((STROKE, STROKE), seed=4).layer(30, 30, 0.5))


@pytest.mark.parametrize("angle", [0.0, 1.5])
@pytest.mark.parametrize("length", [6, 120])
def test_there_are_as_many_streaks_as_it_says_up_to_the_edges(length: float, angle: float) -> None:
    stroke = Stroke(density=0.02 / length, length_px=length, angle=angle, width_px=1.0, brightness=0.1)
    light = sum(stroke.light(160, 160, np.random.default_rng(seed)) for seed in range(60))
    expected = 60 * stroke.density * length * math.sqrt(2 * math.pi) * 0.1
    assert light.mean() == pytest.approx(expected, rel=0.1)
    edges = np.concatenate([light[:20].ravel(), light[-20:].ravel(), light[:, :20].ravel(), light[:, -20:].ravel()])
    assert edges.mean() == pytest.approx(expected, rel=0.15)


def test_unlike_streaks_differ_and_like_ones_do_not() -> None:
    """By how much the middle half of the pictures differ in what is brightest."""

    def ratio(unlike: float) -> float:
        stroke = dataclasses.replace(STROKE, density=1.5e-4, angle=0.0, width_px=1.0, unlike=unlike)
        brightest = [float(stroke.light(100, 100, np.random.default_rng(seed)).max()) for seed in range(80)]
        quarter, half = np.quantile([light for light in brightest if light > 0.02], (0.25, 0.5))
        return float(quarter / half)

    assert ratio(0.0) > 0.9
    assert ratio(1.0) < 0.85


@pytest.mark.parametrize("colour", [(1.0, 0.8, 0.6), None])
def test_light_meets_the_picture_as_the_blending_says(colour: tuple[float, float, float] | None) -> None:
    clean = torch.full((3, 60, 80), 0.4)
    clean[:, :20] = 0.9
    added, screened, covered = (
        PaintedRain((STROKE,), 5, blending=blending, colour=colour).on(clean, 0.0)
        for blending in ("add", "screen", "cover")
    )
    layer = PaintedRain((STROKE,), 5).layer(60, 80, 0.0)
    light = torch.tensor(colour).view(3, 1, 1) if colour else torch.full((3, 1, 1), 0.9)
    torch.testing.assert_close(added, (clean + layer * light).clamp(max=1))
    torch.testing.assert_close(screened, clean + layer * light * (1 - clean))
    torch.testing.assert_close(covered, clean * (1 - layer) + layer * light)


def test_streaks_that_cross_stay_under_the_ceiling_and_single_ones_keep_their_light() -> None:
    dense, few = (dataclasses.replace(STROKE, density=density, brightness=0.3) for density in (0.02, 2e-4))
    low = PaintedRain((dense,), 1, ceiling=0.4).layer(96, 96, 0.0)
    assert low.max() <= 0.4
    assert PaintedRain((dense,), 1).layer(96, 96, 0.0).max() > 0.5
    single = PaintedRain((few,), 1).layer(96, 96, 0.0)
    assert PaintedRain((few,), 1, ceiling=0.4).layer(96, 96, 0.0).max() > 0.9 * single.max()


@pytest.mark.parametrize(
    ("paint", "most"),
    [(paint_rain, MOST_LIGHT), (paint_texture, MOST_LIGHT), (paint_downpour, MOST_LIGHT_OF_DOWNPOURS)],
)
def test_paint_is_drawn_from_the_number_alone_and_leaves_the_picture_to_be_seen(
    paint: Callable[[random.Random], PaintedRain], most: float
) -> None:
    clean = torch.rand(3, 96, 96)
    for number in range(60):
        rain = paint(random.Random(number))
        assert rain == paint(random.Random(number))
        layer = rain.layer(96, 96, 0.0)
        assert float(layer.min()) >= 0
        assert float(layer.max()) <= 1
        assert float(layer.mean()) <= most + 1e-4
        rainy = rain.on(clean, 0.0)
        assert float(rainy.min()) >= 0
        assert float(rainy.max()) <= 1


def test_of_a_picture_in_a_downpour_little_is_left_alone() -> None:
    light = [float(paint_downpour(random.Random(number)).layer(96, 96, 0.0).mean()) for number in range(60)]
    usual = [float(rain.layer(96, 96, 0.0).mean()) for rain in DRAWN[:60]]
    assert share([each > 0.1 for each in light]) > 0.6
    assert share([each > 0.1 for each in usual]) < 0.4


def test_drawn_rain_can_mostly_be_seen() -> None:
    brightest = [float(rain.layer(96, 96, 0.0).max()) for rain in DRAWN[:150]]
    assert share([light > 0.05 for light in brightest]) > 0.9
    assert share([light > 0.5 for light in brightest]) > 0.2


def test_it_leans_everywhere_and_mostly_near_the_vertical() -> None:
    leans = [abs(math.remainder(stroke.angle, math.pi)) for stroke in STROKES]
    degrees = [math.degrees(lean) for lean in leans]
    for low in range(0, 90, 10):
        assert share([low <= lean < low + 10 for lean in degrees]) > 0.02, low
    assert share([lean < 30 for lean in degrees]) > 0.5
    assert share([lean == 0 for lean in leans]) > 0.05


@pytest.mark.parametrize(
    ("what", "low", "high"), [("length_px", 7, 110), ("width_px", 0.4, 1.9), ("brightness", 0.1, 0.9)]
)
def test_lengths_widths_and_brightnesses_reach_both_ends(what: str, low: float, high: float) -> None:
    values = [getattr(stroke, what) for stroke in STROKES]
    assert share([value < low for value in values]) > 0.01
    assert share([value > high for value in values]) > 0.005
    middle = (low + high) / 2
    assert share([value > middle for value in values]) > 0.1


def test_streaks_of_the_known_sets_are_among_them() -> None:
    """Those of Rain100L: a sigma about 1.3, 20 to 80 pixels long, near the vertical."""
    alike = [
        1.1 <= stroke.width_px <= 1.5 and 20 <= stroke.length_px <= 80 and abs(stroke.angle) < 0.4 for stroke in STROKES
    ]
    assert share(alike) > 0.03


def test_all_kinds_of_layers_are_drawn() -> None:
    assert {rain.blending for rain in DRAWN} == {"add", "screen", "cover"}
    assert share([rain.colour is None for rain in DRAWN]) > 0.05
    assert share([any(isinstance(stroke, SmearedNoise) for stroke in rain.strokes) for rain in DRAWN]) > 0.1
    assert share([stroke.bend > 0.02 for stroke in STROKES]) > 0.05
    assert {stroke.ends[0] for stroke in STROKES} >= {0.0, 0.5, 1.0, 1.5}
    directions = [len({getattr(stroke, "angle", None) for stroke in rain.strokes}) for rain in DRAWN]
    assert share([count == 1 for count in directions]) > 0.4
    assert share([count >= 3 for count in directions]) > 0.1


def test_what_is_further_is_thinner_fainter_and_denser() -> None:
    layered = [
        (one, two)
        for rain in DRAWN
        for one, two in zip(rain.strokes, rain.strokes[1:], strict=False)
        if isinstance(one, Stroke) and isinstance(two, Stroke) and one.angle == two.angle
    ]
    assert len(layered) > 50
    assert share([far.brightness < near.brightness for near, far in layered]) > 0.8
    assert share([far.width_px <= near.width_px for near, far in layered]) > 0.8
    assert share([far.density >= near.density for near, far in layered]) > 0.8


def test_texture_is_faint_and_everywhere() -> None:
    layers = [paint_texture(random.Random(number)).layer(96, 96, 0.0) for number in range(60)]
    assert all(float(layer.max()) < 0.5 for layer in layers)
    # No larger part is free of it.
    emptiest = [float(layer.unfold(0, 24, 24).unfold(1, 24, 24).amax(dim=(2, 3)).min()) for layer in layers]
    assert share([light > 0.02 for light in emptiest]) > 0.9


def test_plain_rain_is_one_layer_that_is_plain_to_see() -> None:
    leans = []
    for seed in range(60):
        rain = paint_plain_rain(random.Random(seed))
        (stroke,) = rain.strokes
        leans.append(abs(stroke.angle))
        layer = rain.layer(96, 96, 0.0)
        assert float(layer.max()) > 0.15
        assert float((layer > 0.05).float().mean()) > 0.005
    assert share([lean < math.pi / 6 for lean in leans]) > 0.5, "most fall"
    assert share([lean > math.pi / 3 for lean in leans]) > 0.08, "and some fly sideways"


def test_leaning_rain_leans_to_either_side_down_to_flat() -> None:
    leans = []
    for seed in range(80):
        rain = paint_leaning_rain(random.Random(seed))
        angles = {stroke.angle for stroke in rain.strokes}
        assert len(angles) == 1, "one direction"
        leans.append(math.degrees(angles.pop()))
        assert float(rain.layer(96, 96, 0.0).max()) > 0.02
    assert all(45 <= abs(lean) <= 90 for lean in leans)
    assert share([lean > 0 for lean in leans]) == pytest.approx(0.5, abs=0.2)
    assert share([abs(lean) > 80 for lean in leans]) > 0.1
