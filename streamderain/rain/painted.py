"""Rain as pictures are given it by hand: streaks and smeared noise in layers, added to the picture.

Most published pairs were made so, and so is much rain in films. Paint knows neither depth nor time: each moment
gets streaks of its own, as when rain is fast and frames are few.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from streamderain.rain.falling import sky_of
from streamderain.rain.smeared import Floats, SmearedNoise
from streamderain.rain.streaks import Streaks

MOST_LIGHT = 0.3
"""Mean light of a layer beyond which a picture is more rain than scene, and the rain is drawn fainter."""

MOST_LIGHT_OF_DOWNPOURS = 0.55
"""The same where all that is to be learnt is to find the scene again."""

WHITE = (1.0, 1.0, 1.0)
LENGTHS_PX = (6.0, 120.0)
WIDTHS_PX = (0.35, 2.0)
BRIGHTNESSES = (0.1, 1.0)
LEAST_SLENDERNESS, LEAST_OF_DROPS = 12, 4
"""Of a streak, and of some that are seldom drawn, its length by its width; what is rounder is snow."""


class Layer(Protocol):
    """Light that one layer of paint adds."""

    def light(self, height: int, width: int, generator: np.random.Generator) -> Floats:
        """Light drawn from `generator`: (height, width), from 0 on."""


@dataclass(frozen=True)
class Stroke:
    """Streaks of one direction: `density` is the share of pixels in which one has its middle, `length_px` its
    length, `angle` its lean from the vertical in radians, `width_px` its Gaussian width, `brightness` what its
    middle adds to a picture of 0..1.

    `spread` is the standard deviation of the angle, `unlike` how far streaks differ in length and brightness, 0..1.
    `bend` is the most by which a streak is curved, a share of its length, `ends` the powers with which its light
    falls off towards both ends.
    """

    density: float
    length_px: float
    angle: float
    width_px: float
    brightness: float
    spread: float = 0.0
    unlike: float = 0.0
    bend: float = 0.0
    ends: tuple[float, float] = (0.0, 0.0)

    def light(self, height: int, width: int, generator: np.random.Generator) -> Floats:
        """Streaks drawn from `generator`: (height, width), from 0 on."""
        reach = self.length_px / 2 + 2 * self.width_px
        beyond_x = reach * min(1.0, abs(math.sin(self.angle)) + 2 * self.spread) + 1
        beyond_y = reach * min(1.0, abs(math.cos(self.angle)) + 2 * self.spread) + 1
        area = (height + 2 * beyond_y) * (width + 2 * beyond_x)
        count = int(self.density * area + generator.random())
        across, down, length, bright, bent = generator.random((5, count), dtype=np.float32)
        lengths = self.length_px * (1 - self.unlike * 0.5 * length)
        return Streaks(
            x=across * (width + 2 * beyond_x) - beyond_x,
            y=down * (height + 2 * beyond_y) - beyond_y,
            length_px=lengths,
            lean=self.angle + self.spread * generator.standard_normal(count, dtype=np.float32),
            bend=lengths * self.bend * (2 * bent - 1),
            # A few streaks outshine the rest.
            brightness=self.brightness * (1 - self.unlike * 0.75 * (1 - bright**2)),
            width_px=self.width_px,
            ends=self.ends,
        ).light(height, width)


@dataclass(frozen=True)
class PaintedRain:
    """Layers on top of each other, drawn from `seed`.

    `blending` says how light meets the picture: `add`, `screen`, which spares what is bright, or `cover`, which
    hides it. `colour` is the light's, None for that of the picture's sky. Where streaks cross, no more than
    about `ceiling` comes together, and in the mean no more than `most_light`.
    """

    strokes: tuple[Layer, ...]
    seed: int
    blending: Literal["add", "screen", "cover"] = "add"
    colour: tuple[float, float, float] | None = WHITE
    ceiling: float = 1.0
    most_light: float = MOST_LIGHT

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, with the paint of the moment `seconds` on it; same shape."""
        height, width = clean.shape[-2:]
        layer = self.layer(height, width, seconds)
        colour = sky_of(clean) if self.colour is None else torch.tensor(self.colour).view(3, 1, 1)
        if self.blending == "add":
            return (clean + layer * colour).clamp(0, 1)
        if self.blending == "screen":
            return 1 - (1 - clean) * (1 - layer * colour)
        return clean.lerp(colour.expand_as(clean), layer.expand_as(clean))

    def layer(self, height: int, width: int, seconds: float) -> Tensor:
        """The light of all layers: (H, W), 0..1, `most_light` at the most in the mean."""
        generator = np.random.default_rng((self.seed, round(seconds * 1000)))
        total = np.zeros((height, width), np.float32)
        for stroke in self.strokes:
            total += stroke.light(height, width, generator)
        # Single streaks keep their light, sums of many bend towards the ceiling.
        together = total / (1 + (total / self.ceiling) ** 4) ** 0.25
        together *= min(1.0, self.most_light / max(float(together.mean()), 1e-6))
        return torch.from_numpy(together.clip(0, 1))


def paint_rain(rng: random.Random) -> PaintedRain:
    """Painted rain from a drizzle in one direction to a downpour in five, at times by the editor's recipe."""
    leans = _leans(rng)
    cover = _cover(rng) / len(leans)
    if rng.random() < 0.2:
        strokes: list[Layer] = [_smeared(lean, cover, rng) for lean in leans[:2]]
    else:
        strokes = [stroke for lean in leans for stroke in _layers(lean, cover, rng)]
    return _on_paper(tuple(strokes), rng)


def paint_downpour(rng: random.Random) -> PaintedRain:
    """Painted rain so dense and bright that little of the picture is without it; half of it is woven rather than drawn,
    bright streaks on fainter ones, at its densest without a pixel between them that would tell how dark the picture is.
    """
    leans = _leans(rng)
    if rng.random() < 0.5:
        woven = [_smeared(lean, 1.0, rng) for lean in leans[:2]]
        strokes: list[Layer] = [
            replace(each, cover=1 - 0.6 * rng.random() ** 2, brightness=rng.uniform(0.6, 1.0)) for each in woven
        ]
    else:
        cover = 10 ** rng.uniform(-0.5, 0.7) / len(leans)
        drawn = [stroke for lean in leans for stroke in _layers(lean, cover, rng)]
        strokes = [replace(each, brightness=max(each.brightness, rng.uniform(0.3, 1.0))) for each in drawn]
    return replace(
        _on_paper(tuple(strokes), rng),
        # Beyond white, so that where many cross they still differ.
        ceiling=10 ** rng.uniform(0, 0.6),
        most_light=rng.uniform(0.15, MOST_LIGHT_OF_DOWNPOURS),
    )


def paint_plain_rain(rng: random.Random) -> PaintedRain:
    """One layer of streaks alike, plain to see: what a network that knows nothing learns first, and one that knows but
    rain from above learns of other leans, which half of them have.
    """
    return _plain(_leans(rng)[0], rng)


def paint_leaning_rain(rng: random.Random) -> PaintedRain:
    """Painted rain in one direction, from halfway down to flat, half of it plain: as rain is to the sides of a camera
    that drives, and what a still keeps where too little of it is learnt from.
    """
    lean = rng.choice((-1, 1)) * rng.uniform(math.pi / 4, math.pi / 2)
    if rng.random() < 0.5:
        return _plain(lean, rng)
    return _on_paper(tuple(_layers(lean, _cover(rng), rng)), rng)


def paint_texture(rng: random.Random) -> PaintedRain:
    """Dense thin rain that cannot be counted: short faint streaks by the thousand, almost a grain."""
    lean, length = _leans(rng)[0], 10 ** rng.uniform(0.5, 1.3)
    bright = 10 ** rng.uniform(-1.2, -0.5)
    noise = SmearedNoise(
        dots=rng.choice((1.0, 1.0, rng.uniform(0.1, 0.6))),
        grain_px=rng.uniform(0.7, 1.5),
        length_px=length,
        lean=lean,
        cover=rng.uniform(0.3, 0.95),
        brightness=bright,
    )
    width = rng.uniform(WIDTHS_PX[0], 0.7)
    thin = Stroke(
        density=rng.uniform(0.3, 1.0) / (length * width * 2.5),
        length_px=max(length, LENGTHS_PX[0]),
        angle=lean,
        width_px=width,
        brightness=bright,
        spread=rng.choice((0.0, 0.03, 0.1)),
        unlike=rng.random(),
    )
    # Where thousands overlap they would not stay faint.
    return replace(_on_paper(rng.choice(((noise,), (thin,), (noise, thin))), rng), ceiling=1.5 * bright)


def _on_paper(strokes: tuple[Layer, ...], rng: random.Random) -> PaintedRain:
    """`strokes` in some light, blended in some way."""
    grey = rng.uniform(0.7, 1.0)
    bluish = (grey * rng.uniform(0.8, 1.0), grey * rng.uniform(0.9, 1.0), grey)
    return PaintedRain(
        strokes,
        seed=rng.randrange(2**31),
        blending=rng.choice(("add", "add", "add", "screen", "cover")),
        colour=rng.choice((WHITE, WHITE, WHITE, (grey, grey, grey), bluish, None)),
        ceiling=rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 1.0,
    )


def _leans(rng: random.Random) -> list[float]:
    """One to five directions, radians from the vertical: half of them near it, half anywhere."""
    count = rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 5))
    lean = rng.gauss(0, 0.3) if rng.random() < 0.5 else rng.uniform(-math.pi / 2, math.pi / 2)
    if rng.random() < 0.15:
        lean = 0.0
    spread = rng.choice((0.03, 0.15, 0.5, 2.0))
    return [lean, *(lean + rng.gauss(0, spread) for _ in range(count - 1))]


def _cover(rng: random.Random) -> float:
    """About the share of a picture that streaks cover, from a drizzle's to a downpour's."""
    return float(10 ** rng.uniform(-1.4, 0.2))


def _plain(lean: float, rng: random.Random) -> PaintedRain:
    length, width = rng.uniform(15, 100), rng.uniform(0.6, WIDTHS_PX[1])
    stroke = Stroke(
        density=10 ** rng.uniform(-1.3, -0.6) / (length * width * 2.5),
        length_px=length,
        angle=lean,
        width_px=width,
        brightness=rng.uniform(0.25, 0.8),
    )
    return PaintedRain((stroke,), rng.randrange(2**31))


def _layers(lean: float, cover: float, rng: random.Random) -> list[Stroke]:
    """One to three layers that lean alike, the nearer the fewer, longer, wider and brighter."""
    count, length = rng.choice((1, 1, 2, 3)), _drawn(LENGTHS_PX, rng)
    slenderness = LEAST_OF_DROPS if rng.random() < 0.15 else LEAST_SLENDERNESS
    widest = min(WIDTHS_PX[1], max(length / slenderness, WIDTHS_PX[0]))
    nearest = Stroke(
        density=0.0,
        length_px=length,
        angle=lean,
        width_px=rng.uniform(WIDTHS_PX[0], widest),
        brightness=_drawn(BRIGHTNESSES, rng),
        spread=rng.choice((0.0, 0.01, 0.03, 0.1)),
        unlike=rng.random(),
        bend=rng.uniform(0, 0.08) if rng.random() < 0.2 else 0.0,
        ends=rng.choice(((0.0, 0.0), (0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (1.5, 0.3))),
    )
    return [_further(nearest, number, cover / count, rng) for number in range(count)]


def _further(nearest: Stroke, number: int, cover: float, rng: random.Random) -> Stroke:
    """The layer `number` behind the nearest, 0 for itself, which covers about the share `cover`."""
    away = 1.0 if not number else rng.uniform(0.4, 0.9) ** number
    width = max(WIDTHS_PX[0], nearest.width_px * away)
    length = max(LENGTHS_PX[0], nearest.length_px * away)
    return replace(
        nearest,
        density=cover / (length * width * 2.5),
        length_px=length,
        width_px=width,
        brightness=nearest.brightness * away,
    )


def _smeared(lean: float, cover: float, rng: random.Random) -> SmearedNoise:
    length = _drawn(LENGTHS_PX, rng)
    return SmearedNoise(
        dots=rng.choice((1.0, 10 ** rng.uniform(-2, -0.3))),
        grain_px=rng.uniform(0.8, min(3.0, max(1.0, length / 8))),
        length_px=length,
        lean=lean,
        cover=min(0.8, max(0.03, cover)),
        brightness=_drawn((0.15, 1.0), rng),
    )


def _drawn(span: tuple[float, float], rng: random.Random) -> float:
    """A number between both, in which each doubling is as likely."""
    return float(math.exp(rng.uniform(math.log(span[0]), math.log(span[1]))))
