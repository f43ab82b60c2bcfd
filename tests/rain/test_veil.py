"""The veil: as dense as rain is, the denser the further away, and the colour of the light around."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from streamderain.rain.veil import Veil, extinction_per_metre, plausible_depth

HEIGHT, WIDTH = 60, 80


@pytest.mark.parametrize("rate", [1.0, 10.0, 50.0])
def test_extinction_is_what_others_measure(rate: float) -> None:
    decibels = extinction_per_metre(rate) * 1000 * 10 / math.log(10)
    # ITU-R P.1814: 1.58 R^0.63 in Japan, 1.076 R^0.67 in France.
    assert decibels == pytest.approx(1.58 * rate**0.63, rel=0.01)
    assert decibels == pytest.approx(1.076 * rate**0.67, rel=0.5)


def test_the_ground_rises_to_the_horizon_without_an_edge() -> None:
    column = plausible_depth(HEIGHT, WIDTH, 72.0, 150.0)[:, 0]
    assert column[0] == pytest.approx(150, rel=0.01)
    assert all(higher > lower for higher, lower in itertools.pairwise(column[5:].tolist()))
    assert column[-1] == pytest.approx(3 * 72 / (HEIGHT / 2), rel=0.05)
    jumps = (column[1:] / column[:-1]).log().abs()
    assert jumps.max() < 0.4


def test_a_camera_that_looks_down_sees_near_ground_everywhere() -> None:
    assert plausible_depth(HEIGHT, WIDTH, 72.0, 150.0, horizon_heights=-1.0).max() < 10


def test_more_rain_and_more_distance_hide_more() -> None:
    through = [Veil(rate, HEIGHT, WIDTH).transmission for rate in (2, 10, 50)]
    assert through[0].shape == (HEIGHT, WIDTH)
    assert all((dense < thin).all() for thin, dense in itertools.pairwise(through))
    assert through[2][0, 0] < through[2][-1, 0]
    assert 0.4 < through[2][0, 0] < 0.7
    doubled = Veil(50, HEIGHT, WIDTH, density=2).transmission
    assert torch.allclose(doubled, through[2] ** 2)


def test_contrast_goes_and_the_dark_grows_brighter() -> None:
    clean = torch.zeros(3, HEIGHT, WIDTH)
    clean[:, :, ::2] = 0.8
    veiled = Veil(50, HEIGHT, WIDTH).on(clean)
    assert veiled.shape == clean.shape
    assert veiled.min() >= 0
    assert veiled.max() <= 1
    contrast = veiled[0, :, 0] - veiled[0, :, 1]
    assert contrast[0] < contrast[-1] < 0.8
    assert veiled[0, 0, 1] > 0.2


def test_an_even_grey_under_a_grey_sky_keeps_its_grey() -> None:
    grey = torch.full((3, HEIGHT, WIDTH), 0.5)
    assert torch.allclose(Veil(50, HEIGHT, WIDTH).on(grey, whiteness=0.0), grey, atol=1e-5)
