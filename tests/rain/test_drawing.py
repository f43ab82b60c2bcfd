"""draw_any_rain: every kind by its share, from the generator alone, and never so much that nothing is seen."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from streamderain.rain.drawing import MOST_HIDDEN, Kinds, draw_any_rain, draw_rain, draw_rainfall
from streamderain.rain.falling import Rainfall
from streamderain.rain.haze import VeiledRain
from streamderain.rain.painted import PaintedRain

CLEAN = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(1))


def test_the_same_number_is_the_same_rain_at_the_same_moment() -> None:
    for number in range(40):
        first, again = (draw_any_rain(random.Random(number), 48, 64).on(CLEAN, 0.5) for _ in range(2))
        assert torch.equal(first, again)
        assert first.shape == CLEAN.shape
        assert first.dtype == torch.float32
        assert float(first.min()) >= 0
        assert float(first.max()) <= 1


def test_moments_and_numbers_differ() -> None:
    rain = draw_any_rain(random.Random(3), 48, 64)
    assert not torch.equal(rain.on(CLEAN, 0.5), rain.on(CLEAN, 0.6))
    assert not torch.equal(rain.on(CLEAN, 0.5), draw_any_rain(random.Random(4), 48, 64).on(CLEAN, 0.5))


def test_kinds_come_by_their_shares() -> None:
    rng = random.Random(1)
    drawn = Counter(type(draw_any_rain(rng, 16, 16, Kinds(0.0, 0.3, 0.1, 0.1, 0.2))) for _ in range(400))
    assert drawn[PaintedRain] / 400 == pytest.approx(0.5, abs=0.08)
    assert drawn[VeiledRain] / 400 == pytest.approx(0.2, abs=0.06)
    assert drawn[Rainfall] / 400 == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    ("kinds", "only"),
    [
        (Kinds(1.0, 0.0, 0.0, 0.0, 0.0), PaintedRain),
        (Kinds(0.0, 1.0, 0.0, 0.0, 0.0), PaintedRain),
        (Kinds(0.0, 0.0, 1.0, 0.0, 0.0), PaintedRain),
        (Kinds(0.0, 0.0, 0.0, 1.0, 0.0), PaintedRain),
        (Kinds(0.0, 0.0, 0.0, 0.0, 1.0), VeiledRain),
        (Kinds(0.0, 0.0, 0.0, 0.0, 0.0, leaning=1.0), PaintedRain),
        (Kinds(0.0, 0.0, 0.0, 0.0, 0.0), Rainfall),
    ],
)
def test_a_kind_can_be_had_alone(kinds: Kinds, only: type) -> None:
    assert {type(draw_any_rain(random.Random(number), 16, 16, kinds)) for number in range(20)} == {only}


def test_a_veil_is_as_strong_as_the_caller_allows() -> None:
    kinds = Kinds(0.0, 0.0, 0.0, 0.0, 1.0, veil_loss=(0.2, 0.3))
    losses = [draw_any_rain(random.Random(number), 16, 16, kinds).haze.loss for number in range(40)]  # type: ignore[attr-defined]
    assert min(losses) >= 0.2
    assert max(losses) <= 0.3
    assert max(losses) - min(losses) > 0.05


def test_falling_rain_leaves_the_scene_to_be_seen() -> None:
    for number in range(30):
        assert float(draw_rainfall(random.Random(number), 64, 64).opacity(0.0).mean()) <= MOST_HIDDEN


def test_rain_is_drawn_over_all_cameras() -> None:
    assert draw_rain(random.Random(1)) == draw_rain(random.Random(1))
    assert draw_rain(random.Random(1)) != draw_rain(random.Random(2))
    drawn = [draw_rain(random.Random(number)) for number in range(200)]
    exposures = [rain.exposure_seconds for rain in drawn]
    assert min(exposures) < 1 / 500
    assert max(exposures) > 1 / 20
    assert {rain.nearest_metres for rain in drawn} == {0.25, 0.5}
    assert {rain.farthest_metres for rain in drawn} == {2.0, 4.0, 8.0}
