"""PaintedRain: strokes where the numbers say, other dots at every moment."""

from __future__ import annotations

import random

import torch

from streamderain.rain.painted import PaintedRain, Stroke, paint_rain

STROKE = Stroke(density=0.003, length_px=15, angle=0.3, width_px=0.6, brightness=0.6)


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


def test_paint_is_drawn_from_the_number_alone_and_spares_some_of_the_picture() -> None:
    for number in range(30):
        rain = paint_rain(random.Random(number))
        assert rain == paint_rain(random.Random(number))
        layer = rain.layer(96, 96, 0.0)
        assert float(layer.min()) > -1e-5
        assert float(layer.max()) <= 1
        assert float((layer > 0.5).float().mean()) < 0.6
