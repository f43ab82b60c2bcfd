"""Thin things that look like rain and are none: fences, posts, cables, hair, blinds.

A network that has seen no fence takes it for rain and wipes it out.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lines:
    """Curves side by side, in pixels, along a direction that leans by `angle` radians from the vertical.

    Each of `offsets` is a curve's distance from the middle of the picture; it waves by `amplitude` over
    `wavelength`. Unless the curves are `alike`, each is out of step with the next and of another shade, from black
    to `colour`.
    """

    offsets: tuple[float, ...]
    angle: float
    width_px: float
    amplitude: float
    wavelength: float
    alike: bool
    colour: tuple[float, float, float]
    seed: int

    def picture(self, size: int) -> Tensor:
        """Colour and opacity: (4, size, size) in 0..1."""
        generator = torch.Generator().manual_seed(self.seed)
        along, across = along_and_across(size, self.angle)
        opacity, shade = torch.zeros(size, size), torch.ones(size, size)
        for offset in self.offsets:
            phase, bright = (0.0, 1.0) if self.alike else torch.rand(2, generator=generator).tolist()
            middle = offset + self.amplitude * torch.sin(2 * math.pi * (along / self.wavelength + phase))
            curve = (self.width_px / 2 + 0.5 - (across - middle).abs()).clamp(0, 1)
            shade = torch.where(curve > opacity, bright, shade)
            opacity = torch.maximum(opacity, curve)
        return torch.cat((torch.tensor(self.colour).view(3, 1, 1) * shade, opacity[None]))


def draw_lines(size: int, rng: random.Random) -> Lines:
    """A fence, posts, cables, hair or a blind, for a picture of `size` by `size` pixels."""
    kind = rng.choice(("fence", "fence", "posts", "cables", "hair", "blind"))
    angle = rng.gauss(0, 0.1) if rng.random() < 0.7 else rng.uniform(-math.pi / 2, math.pi / 2)
    amplitude, wavelength, alike = 0.0, float(size), True
    reach = 0.75 * size
    if kind in ("fence", "blind"):
        spacing = rng.uniform(4, 30)
        width = rng.uniform(0.8, 3.0) if kind == "fence" else spacing * rng.uniform(0.3, 0.7)
        count = int(2 * reach / spacing)
        offsets = [-reach + spacing * (number + rng.random() * 0.1) for number in range(count)]
    elif kind == "posts":
        # One alone is told from a streak only by how far it goes.
        angle, width = rng.gauss(0, 0.03), rng.uniform(1.5, 6)
        offsets = [rng.uniform(-size / 2, size / 2) for _ in range(rng.randint(1, 4))]
    elif kind == "cables":
        angle += math.pi / 2
        width, amplitude, wavelength = rng.uniform(0.8, 2.5), rng.uniform(0, 12), size * rng.uniform(1.5, 4)
        offsets = [rng.uniform(-reach, reach) for _ in range(rng.randint(1, 6))]
    else:
        alike, width = False, rng.uniform(0.5, 1.2)
        amplitude, wavelength = rng.uniform(1, 15), size * rng.uniform(0.4, 2)
        offsets = [rng.uniform(-reach, reach) for _ in range(int(10 ** rng.uniform(0.9, 2.1)))]
    grey = rng.random()
    colour = tinted(grey, 0.15, rng)
    return Lines(tuple(offsets), angle, width, amplitude, wavelength, alike, colour, rng.randrange(2**31))


def along_and_across(size: int, angle: float, right: float = 0.0, down: float = 0.0) -> tuple[Tensor, Tensor]:
    """How far each pixel of a picture, (size, size), lies along a direction that leans by `angle` radians from the
    vertical, and across it; in pixels from a point that is `right` of the middle and `down` of it.
    """
    axis = torch.arange(size) - (size - 1) / 2
    y, x = torch.meshgrid(axis - down, axis - right, indexing="ij")
    return y * math.cos(angle) + x * math.sin(angle), x * math.cos(angle) - y * math.sin(angle)


def tinted(grey: float, spread: float, rng: random.Random) -> tuple[float, float, float]:
    """A grey with each of red, green and blue off by `spread` at most, all in 0..1."""
    red, green, blue = (min(1.0, max(0.0, grey + rng.uniform(-spread, spread))) for _ in range(3))
    return red, green, blue
