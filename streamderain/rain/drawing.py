"""Rain of every shape, drawn for training: one call, any kind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from torch import Tensor

from streamderain.rain.falling import Rain, Rainfall
from streamderain.rain.haze import Haze, VeiledRain
from streamderain.rain.painted import paint_downpour, paint_leaning_rain, paint_plain_rain, paint_rain, paint_texture

MOST_HIDDEN = 0.3
"""Mean opacity beyond which a picture is more rain than scene, and less rain falls."""


class SomeRain(Protocol):
    """Anything that rains on a picture at a moment."""

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, in the rain; the same shape and range."""


@dataclass(frozen=True)
class Kinds:
    """How often rain is of which kind; what is left over falls. `plain` rain is where training begins, `leaning` rain
    is painted too.

    Veiled rain is painted rain or texture behind which the picture pales, by a share of its light between those of
    `veil_loss`, less more often than more: who learns to undo a veil also learns to change what is dry.
    """

    plain: float = 0.0
    painted: float = 0.45
    downpour: float = 0.1
    texture: float = 0.1
    veiled: float = 0.08
    leaning: float = 0.0
    veil_loss: tuple[float, float] = (0.1, 0.6)


def draw_any_rain(rng: random.Random, height: int, width: int, kinds: Kinds | None = None) -> SomeRain:
    """Rain for pictures of `height` by `width` pixels, drawn from `rng` alone."""
    kinds, draw = kinds or Kinds(), rng.random()
    shares: tuple[tuple[float, Callable[[random.Random], SomeRain]], ...] = (
        (kinds.plain, paint_plain_rain),
        (kinds.painted, paint_rain),
        (kinds.downpour, paint_downpour),
        (kinds.texture, paint_texture),
        (kinds.veiled, partial(draw_veiled_rain, loss=kinds.veil_loss)),
        (kinds.leaning, paint_leaning_rain),
    )
    for share, draw_kind in shares:
        if draw < share:
            return draw_kind(rng)
        draw -= share
    return draw_rainfall(rng, height, width)


def draw_veiled_rain(rng: random.Random, loss: tuple[float, float]) -> VeiledRain:
    """Painted rain before a haze that takes between the shares `loss` of the light."""
    low, high = loss
    haze = Haze(
        loss=low + (high - low) * rng.random() ** 2,
        whiteness=rng.random(),
        horizon_heights=rng.uniform(-0.5, 1.2) if rng.random() < 0.5 else None,
    )
    return VeiledRain(haze, paint_rain(rng) if rng.random() < 0.6 else paint_texture(rng))


def draw_rainfall(rng: random.Random, height: int, width: int) -> Rainfall:
    """Rain that falls on pictures of `height` by `width` pixels, and leaves most of them to be seen."""
    rain = draw_rain(rng)
    rainfall = Rainfall(rain, height, width)
    while rainfall.opacity(0.0).mean() > MOST_HIDDEN:
        rain = replace(rain, rate_mm_per_hour=rain.rate_mm_per_hour / 4)
        rainfall = Rainfall(rain, height, width)
    return rainfall


def draw_rain(rng: random.Random) -> Rain:
    """Rain from a few drops to a cloudburst, through cameras from slow to fast, most of it well visible.

    Wide on purpose: rain in pictures on the net is drawn far stronger than rain is. Physics makes long
    streaks faint; here the opacity of a drop of 1.5 mm two metres away is drawn, from an eighth to hiding all,
    whatever the exposure.
    """
    exposure = 10 ** rng.uniform(-2.9, -1.2)
    focal, height = rng.uniform(0.8, 1.6), rng.randint(240, 1400)
    physical = 0.0015 / (5.5 * exposure) * 0.0015 * focal * height / 2
    return Rain(
        rate_mm_per_hour=10 ** rng.uniform(0.2, 2.1),
        wind_m_per_s=rng.gauss(0, 2.0),
        gust_m_per_s=rng.choice((0.05, 0.3, 1.0)),
        exposure_seconds=exposure,
        focal_heights=focal,
        picture_height=height,
        strength=10 ** rng.uniform(-0.9, 0.5) / physical,
        whiteness=rng.uniform(0, 1),
        defocus_px=rng.uniform(0.3, 1.5),
        nearest_metres=rng.choice((0.25, 0.5, 0.5)),
        farthest_metres=rng.choice((2.0, 4.0, 8.0)),
        seed=rng.randrange(2**31),
    )
