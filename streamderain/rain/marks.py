"""Strokes that end and are no rain: chalk and paint on a road, cracks, kerbs, the edges of paths.

Each looks like a streak; but streaks are many, and all lean alike.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from streamderain.rain.lines import along_and_across, tinted

MOST_DIRECTIONS = 3
"""Directions that strokes share, as what is painted on a road does; in other pictures each has its own."""

BESIDE = 0.3
"""Share of the strokes that have another close by their side, as a kerb has its shadow and a crack its rim."""


@dataclass(frozen=True)
class Stroke:
    """In pixels, `right` of the middle of the picture and `down` of it, leaning by `angle` radians from the vertical.

    `opacity`, 0..1, is less by the share `fading` at its lower end.
    """

    right: float
    down: float
    angle: float
    length_px: float
    width_px: float
    opacity: float
    fading: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Marks:
    """Strokes, of which the most opaque is seen where they cross."""

    strokes: tuple[Stroke, ...]

    def picture(self, size: int) -> Tensor:
        """Colour and opacity: (4, size, size) in 0..1."""
        picture = torch.zeros(4, size, size)
        for stroke in self.strokes:
            along, across = along_and_across(size, stroke.angle, stroke.right, stroke.down)
            inside = (stroke.length_px / 2 + 0.5 - along.abs()).clamp(0, 1)
            inside *= (stroke.width_px / 2 + 0.5 - across.abs()).clamp(0, 1)
            faded = 1 - stroke.fading * (along / stroke.length_px + 0.5).clamp(0, 1)
            opacity = stroke.opacity * faded * inside
            colour = torch.tensor(stroke.colour).view(3, 1, 1).expand(-1, size, size)
            front = opacity > picture[3]
            picture = torch.where(front, torch.cat((colour, opacity[None])), picture)
        return picture


def draw_marks(size: int, rng: random.Random) -> Marks:
    """Marks for a picture of `size` by `size` pixels, a quarter of which holds one to ten, as often few as many."""
    shared = [rng.uniform(-math.pi / 2, math.pi / 2) for _ in range(rng.randint(1, MOST_DIRECTIONS))]
    is_shared = rng.random() < 0.5
    strokes: list[Stroke] = []
    for _ in range(int(10 ** rng.uniform(0.6, 1.5))):
        angle = rng.choice(shared) + rng.gauss(0, 0.05) if is_shared else rng.uniform(-math.pi / 2, math.pi / 2)
        stroke = Stroke(
            right=rng.uniform(-size / 2, size / 2),
            down=rng.uniform(-size / 2, size / 2),
            angle=angle,
            length_px=10 ** rng.uniform(1.0, 2.4),
            width_px=_width(rng),
            opacity=_opacity(rng),
            fading=rng.random(),
            colour=_colour(rng),
        )
        strokes.append(stroke)
        if rng.random() < BESIDE:
            strokes.append(_beside(stroke, rng))
    return Marks(tuple(strokes))


def _beside(stroke: Stroke, rng: random.Random) -> Stroke:
    """As long, and touching it along its left or right."""
    width = _width(rng)
    aside = rng.choice((-1, 1)) * (stroke.width_px + width) / 2
    return replace(
        stroke,
        right=stroke.right + aside * math.cos(stroke.angle),
        down=stroke.down - aside * math.sin(stroke.angle),
        width_px=width,
        opacity=_opacity(rng),
        colour=_colour(rng),
    )


def _width(rng: random.Random) -> float:
    return 10 ** rng.uniform(-0.1, 0.8)


def _opacity(rng: random.Random) -> float:
    return 10 ** rng.uniform(-0.9, 0.0)


def _colour(rng: random.Random) -> tuple[float, float, float]:
    """Brighter than most of what is behind, three times of four."""
    grey = rng.uniform(0.5, 1.0) if rng.random() < 0.75 else rng.uniform(0.0, 0.5)
    return tinted(grey, 0.1, rng)
