"""Clean clips and the rain that is drawn on them, for the benchmarks that need a clean version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from streamderain.evaluation.passing import passing
from streamderain.media.images import list_images, read_clip, read_image
from streamderain.rain.falling import Rain, Rainfall

HEIGHT, WIDTH = 320, 480
RAINS = {
    "light": Rain(3, wind_m_per_s=0.5, exposure_seconds=1 / 120, strength=30, seed=101),
    "medium": Rain(12, wind_m_per_s=-1.5, exposure_seconds=1 / 90, strength=22, whiteness=0.5, seed=102),
    "heavy": Rain(50, wind_m_per_s=2.5, exposure_seconds=1 / 60, strength=22, whiteness=0.5, seed=103),
}
FILMED = (("pedestrians", 10, 10, 120, 100), ("road-from-above", 25, 150, 60, 150), ("dashcam", 25, 150, 200, 240))
"""Name, frame rate, first frame, top and left of the part. The last two clips were trained on up to frame 100."""

PANNED = ((2, 1.5), (6, 3.0), (13, 5.0))
"""Which of the photographs held out from training a camera passes over, and by how many pixels a frame."""

HELD_OUT_PHOTOS = 16


@dataclass(frozen=True)
class Clip:
    """Consecutive clean frames, uint8 RGB (T, 3, HEIGHT, WIDTH)."""

    name: str
    pictures: Tensor
    frame_rate: float

    def in_rain(self, kind: str, seed: int) -> Tensor:
        """The same frames in a rain of RAINS; another seed is other rain."""
        rain = RAINS[kind]
        return rained_on(self.pictures, replace(rain, seed=rain.seed + 1000 * seed), self.frame_rate)


def rained_on(clean: Tensor, rain: Rain, frame_rate: float) -> Tensor:
    """A clip, uint8 RGB (T, 3, H, W), as it would look in the rain."""
    rainfall = Rainfall(rain, *clean.shape[-2:])
    rainy = [rainfall.on(frame.float() / 255, number / frame_rate) for number, frame in enumerate(clean)]
    return (torch.stack(rainy) * 255).round().to(torch.uint8)


def clean_clips(data: Path, frames: int) -> Iterator[Clip]:
    """Three clips as they were filmed, and three photographs that a camera passes over."""
    for name, frame_rate, first, top, left in FILMED:
        pictures = read_clip(data / "clips" / "clean" / f"{name}.mp4", first + frames)[first:]
        yield Clip(name, pictures[..., top : top + HEIGHT, left : left + WIDTH], frame_rate)
    photos = list_images(data / "train" / "clean")[-HELD_OUT_PHOTOS:]
    for number, pace in PANNED:
        shown = passing(read_image(photos[number]), pace, frames, (HEIGHT, WIDTH), seed=round(pace * 10))
        yield Clip(f"photograph {number}", shown, 25)
