"""Straight streaks of light, drawn by the judge alone: what they look like stays as it is, whatever is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from streamderain.evaluation.judge.material import PRESENT, quantised
from streamderain.evaluation.metrics import luma, psnr

FAINTEST = 0.5
"""Of the brightest streak of a layer: streaks are not equally bright."""

CLOSE_DB = 0.5
MOST_STEPS = 12
MOST_COVER = 0.5


@dataclass(frozen=True)
class Streaks:
    """A kind of streaks: `lean` from the vertical in degrees, `length` in pixels, `width` the standard deviation across
    in pixels, `brightness` what the middle of the brightest adds to a picture of 0..1.
    """

    lean: float
    length: float
    width: float
    brightness: float

    def picture(self) -> Tensor:
        """One streak with a brightness of 1, odd and square: (K, K)."""
        reach = math.ceil(self.length / 2 + 3 * self.width)
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
        down, right = torch.meshgrid(offsets, offsets, indexing="ij")
        cos, sin = math.cos(math.radians(self.lean)), math.sin(math.radians(self.lean))
        beyond = ((down * cos + right * sin).abs() - self.length / 2).clamp(min=0)
        return torch.exp(-((right * cos - down * sin) ** 2 + beyond**2) / (2 * self.width**2))

    def on(self, window: Tensor, untouched_db: float, seed: int) -> Tensor:
        """A clean window, uint8 RGB (T, 3, H, W), with other streaks in each frame; the same shape and dtype.

        There are as many as bring the present frame to a PSNR on Y of about `untouched_db`, as far as so many can.
        """
        layers = _Layers(self, window, seed)
        return layers.on(layers.density(untouched_db))


class _Layers:
    """The streaks of a window's frames, for any density: where each begins and how bright it is are drawn once."""

    def __init__(self, streaks: Streaks, window: Tensor, seed: int) -> None:
        self._window, self._streaks = window, streaks
        self._streak = streaks.picture()
        self._margin = len(self._streak) - 1
        height, width = (length + self._margin for length in window.shape[-2:])
        generator = torch.Generator().manual_seed(seed)
        size = (2, len(window), height, width)
        self._chance, spread = torch.rand(size, generator=generator, dtype=torch.float64)
        self._brightness = streaks.brightness * (FAINTEST + (1 - FAINTEST) * spread)
        self._spectrum = torch.fft.rfft2(self._streak, s=(height, width))

    def density(self, untouched_db: float) -> float:
        """The streaks to a pixel that bring the present frame to about that PSNR, on the rainy side of it."""
        few, many = 0.0, MOST_COVER
        density = self._first_guess(untouched_db)
        for _ in range(MOST_STEPS):
            off_db = self._psnr(density) - untouched_db
            if abs(off_db) <= CLOSE_DB:
                return density
            few, many = (density, many) if off_db > 0 else (few, density)
            # Sparse streaks add up to an error that grows with their number, dense ones with its square.
            density *= 10 ** (0.07 * min(off_db, 10))
            if not few < density < many:
                density = (few + many) / 2
        return many

    def _first_guess(self, untouched_db: float) -> float:
        """What would do if no two streaks met and nothing was clipped."""
        energy = float((self._streak**2).sum() * (self._brightness**2).mean())
        return min(MOST_COVER, 10 ** (-untouched_db / 10) * (255 / 219) ** 2 / energy)

    def _psnr(self, density: float) -> float:
        """On Y, in dB, of the present frame with so many streaks to a pixel; infinite without any."""
        frames = slice(PRESENT, PRESENT + 1)
        return psnr(luma(self.on(density, frames)), luma(self._window[frames]))

    def on(self, density: float, frames: slice = slice(None)) -> Tensor:
        """The frames, uint8 (T, 3, H, W), with so many streaks to a pixel."""
        dots = torch.where(self._chance[frames] < density, self._brightness[frames], 0.0)
        spectrum = torch.fft.rfft2(dots) * self._spectrum
        light = torch.fft.irfft2(spectrum, s=dots.shape[-2:])[:, None, self._margin :, self._margin :]
        return quantised(self._window[frames].double() / 255 + light)
