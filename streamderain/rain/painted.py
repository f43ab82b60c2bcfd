"""Rain as picture editors paint it: dots of noise smeared along a line and added to the picture.

Most published pairs were made so, and so is much rain in films. Paint knows neither depth nor time: each moment
gets dots of its own, as when rain is fast and frames are few.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stroke:
    """One direction of painted rain: `density` is the share of pixels that begin a streak, `length_px` its
    length, `angle` its lean from the vertical in radians, `width_px` its Gaussian width, `brightness` what its
    middle adds to a picture of 0..1.
    """

    density: float
    length_px: float
    angle: float
    width_px: float
    brightness: float


@dataclass(frozen=True)
class PaintedRain:
    """Strokes on top of each other, drawn from `seed`."""

    strokes: tuple[Stroke, ...]
    seed: int

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, with the paint of the moment `seconds` added; same shape."""
        height, width = clean.shape[-2:]
        return (clean + self.layer(height, width, seconds)).clamp(0, 1)

    def layer(self, height: int, width: int, seconds: float) -> Tensor:
        """The light that the strokes add: (H, W), 0..1."""
        generator = torch.Generator().manual_seed(self.seed * 2**31 + round(seconds * 1000))
        total = torch.zeros(height, width)
        for stroke in self.strokes:
            kernel = _smear(stroke)
            reach = kernel.shape[-1] // 2
            size = (height + 2 * reach, width + 2 * reach)
            dots = torch.rand(size, generator=generator) < stroke.density
            # Streaks are not equally bright, and a few outshine the rest.
            dots = dots * (0.25 + 0.75 * torch.rand(size, generator=generator) ** 2)
            total += _convolved(dots, kernel) * stroke.brightness
        return total.clamp(max=1)


def _smear(stroke: Stroke) -> Tensor:
    """The picture of one streak with a brightness of 1, odd and square: (K, K)."""
    reach = math.ceil(stroke.length_px / 2 + 2 * stroke.width_px)
    offsets = torch.arange(-reach, reach + 1).float()
    down, right = torch.meshgrid(offsets, offsets, indexing="ij")
    along = down * math.cos(stroke.angle) + right * math.sin(stroke.angle)
    across = right * math.cos(stroke.angle) - down * math.sin(stroke.angle)
    beyond = (along.abs() - stroke.length_px / 2).clamp(min=0)
    return torch.exp(-(across**2 + beyond**2) / (2 * stroke.width_px**2))


def _convolved(dots: Tensor, kernel: Tensor) -> Tensor:
    """(H + K - 1, W + K - 1) and (K, K) -> (H, W), by Fourier transforms, as streaks are long."""
    spectrum = torch.fft.rfft2(dots) * torch.fft.rfft2(kernel, s=dots.shape)
    first = len(kernel) - 1
    convolved: Tensor = torch.fft.irfft2(spectrum, s=dots.shape)
    return convolved[first:, first:]


def paint_rain(rng: random.Random) -> PaintedRain:
    """Painted rain from a drizzle in one direction to a downpour in five."""
    count = rng.choice((1, 1, 1, 1, 2, 3, 5))
    lean, spread = rng.gauss(0, 0.35), rng.choice((0.03, 0.15, 0.5))
    cover = 10 ** rng.uniform(-1.9, -0.35) / count
    strokes = []
    for _ in range(count):
        length, width = 10 ** rng.uniform(0.8, 1.75), rng.uniform(0.35, 1.1)
        strokes.append(
            Stroke(
                density=min(0.05, cover / (length * width * 2.5)),
                length_px=length,
                angle=lean + rng.gauss(0, spread),
                width_px=width,
                brightness=10 ** rng.uniform(-1.1, 0.0),
            )
        )
    return PaintedRain(tuple(strokes), rng.randrange(2**31))
