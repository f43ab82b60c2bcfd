"""Haze and rain in front of it: as pale as it says, nearer things less."""

from __future__ import annotations

import pytest
import torch

from streamderain.rain.haze import Haze, VeiledRain
from streamderain.rain.painted import PaintedRain, Stroke


def scene() -> torch.Tensor:
    return torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("loss", [0.1, 0.6])
@pytest.mark.parametrize("horizon", [None, -0.5, 0.4, 1.2])
def test_no_more_light_is_lost_than_it_says(loss: float, horizon: float | None) -> None:
    haze = Haze(loss, whiteness=0.5, horizon_heights=horizon)
    through = haze.transmission(60, 80)
    assert through.shape == (60, 80)
    assert float(through.min()) >= 1 - loss - 1e-6
    assert float(through.max()) <= 1
    hazy = haze.on(scene())
    assert float(hazy.std()) < float(scene().std())
    assert float(hazy.min()) >= 0
    assert float(hazy.max()) <= 1


def test_without_a_horizon_all_is_equally_far_and_with_one_the_ground_is_nearer() -> None:
    assert Haze(0.5, 1.0).transmission(60, 80).unique().tolist() == [0.5]
    through = Haze(0.5, 1.0, horizon_heights=0.4).transmission(60, 80)[:, 0]
    assert float(through[0]) < 0.55
    assert float(through[-1]) > 0.8
    assert (through.diff() >= 0).all()


def test_black_shows_the_airlight() -> None:
    black = torch.zeros(3, 40, 40)
    assert float(Haze(0.4, whiteness=1.0).on(black).mean()) == pytest.approx(0.4)
    assert float(Haze(0.4, whiteness=0.0).on(black).abs().max()) == 0


def test_the_haze_stays_while_the_rain_falls() -> None:
    haze = Haze(0.5, 0.8)
    stroke = Stroke(density=0.002, length_px=12, angle=0.0, width_px=0.8, brightness=0.5)
    rain = VeiledRain(haze, PaintedRain((stroke,), seed=1))
    first, second = rain.on(scene(), 0.0), rain.on(scene(), 0.1)
    hazy = haze.on(scene())
    assert not torch.equal(first, second)
    assert torch.isclose(first, hazy).all(dim=0).float().mean() > 0.5
    assert torch.isclose(second, hazy).all(dim=0).float().mean() > 0.5
    assert (first > hazy + 0.1).any()
