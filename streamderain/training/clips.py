"""Training samples: windows of frames with rain drawn anew for each, and the clean frame to reach.

A sample is a function of its seed and its number alone, so a resumed run goes on with the samples
that an uninterrupted one would have seen, whatever the number of workers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from streamderain.errors import TrainingError
from streamderain.media.images import read_clip, read_folder
from streamderain.rain.camera import Camera, draw_camera
from streamderain.rain.drawing import draw_rain
from streamderain.rain.falling import Rainfall
from streamderain.rain.lines import draw_lines
from streamderain.rain.painted import paint_rain

MOST_HIDDEN = 0.3
"""Mean opacity beyond which a picture is more rain than scene, and less rain is drawn."""

DRY_BEHIND_LINES = 0.4
"""Share of the samples with a fence or the like in which it does not rain."""

CLIP_FRAMES = 100
"""Frames that are read of each clip, a compromise with memory."""


@dataclass(frozen=True)
class Material:
    """What samples are cut from, all uint8 RGB: `photos` of (3, H, W), `clips` of (T, 3, H, W), `pairs`
    of rainy and clean (3, H, W).
    """

    photos: Sequence[Tensor]
    clips: Sequence[Tensor]
    pairs: Sequence[tuple[Tensor, Tensor]]

    @classmethod
    def read(cls, photos: Path, clips: Sequence[Path] = (), pairs: Path | None = None) -> Material:
        """Read a folder of photos, video files and a folder of pairs, with
        `rainy` and `clean` inside. Raises TrainingError when the photos are missing.
        """
        pictures = [picture for _, picture in read_folder(photos)] if photos.is_dir() else []
        if not pictures:
            raise TrainingError(f"no photos to train on in {photos}; name a folder of pictures with photos=FOLDER")
        return cls(pictures, cls.read_clips(clips), cls._read_pairs(pairs) if pairs else [])

    @staticmethod
    def _read_pairs(folder: Path) -> list[tuple[Tensor, Tensor]]:
        if not (folder / "clean").is_dir() or not (folder / "rainy").is_dir():
            raise TrainingError(f"{folder} holds no pairs; they are pictures of the same names in rainy and clean")
        clean = dict(read_folder(folder / "clean"))
        pairs = [(rainy, clean[name]) for name, rainy in read_folder(folder / "rainy") if name in clean]
        for rainy, reference in pairs:
            if rainy.shape != reference.shape:
                raise TrainingError(f"a pair in {folder} is {_size(rainy)} rainy and {_size(reference)} clean")
        return pairs

    @staticmethod
    def read_clips(clips: Sequence[Path]) -> list[Tensor]:
        """The first frames of each video, uint8 (T, 3, H, W)."""
        return [read_clip(path, CLIP_FRAMES) for path in clips]


@dataclass(frozen=True)
class Mix:
    """How often a sample is of which kind; what is left over are photos under a moving camera.

    A still is one picture in every frame of the window: the network must also derain photographs,
    and the first and last frame of a clip, whose missing neighbours are copies. In a share `unseen` of the
    windows the future or the past is a copy of the present; in a share `parallax` of those that move something
    passes in front, in a share `jolted` the camera jumps, and in a share `cut` another scene begins or ends.
    A share `lined` of the photos has a fence or the like before them, and nearly half of these are dry. A share
    `filmed` goes through a camera's faults. Of the rain, `painted` and `borrowed` are shares; what is left over falls.
    """

    still: float = 0.30
    pair: float = 0.06
    clip: float = 0.10
    parallax: float = 0.4
    unseen: float = 0.15
    jolted: float = 0.1
    cut: float = 0.08
    dry: float = 0.08
    lined: float = 0.15
    filmed: float = 0.6
    painted: float = 0.25
    borrowed: float = 0.25


class RainySamples(Dataset[tuple[Tensor, Tensor]]):
    """Endless samples: (window * 3, patch, patch) rainy and (3, patch, patch) clean, float32 in 0..1."""

    def __init__(self, material: Material, patch: int, past: int, future: int, seed: int, mix: Mix | None = None):
        self.material, self.patch, self.seed = material, patch, seed
        self.past, self.future = past, future
        self.mix = mix or Mix()
        self._check()
        # Flat pictures teach little, and texture is what deraining harms first.
        self._busyness = [
            float((photo[:, 1:].float() - photo[:, :-1].float()).abs().mean()) + 1 for photo in material.photos
        ]

    def _check(self) -> None:
        material, frames = self.material, self.past + 1 + self.future
        pictures = [*material.photos, *(clip[0] for clip in material.clips), *(clean for _, clean in material.pairs)]
        smallest = min(pictures, key=lambda picture: min(picture.shape[-2:]))
        if min(smallest.shape[-2:]) < self.patch:
            raise TrainingError(
                f"a picture is {_size(smallest)}; for samples of {self.patch} leave it out, or lower patch"
            )
        if any(len(clip) < frames for clip in material.clips):
            raise TrainingError(f"a clip is shorter than the {frames} frames that the network reads; leave it out")

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = random.Random(self.seed * 2**41 + index)
        draw = rng.random()
        if draw < self.mix.pair and self.material.pairs:
            rainy, clean = self._pair(rng)
        else:
            rainy, clean = self._drawn(draw - self.mix.pair, rng)
        if rng.random() < self.mix.unseen:
            rainy = self._one_sided(rainy, rng)
        if rng.random() < 0.5:
            rainy, clean = rainy.flip(-1), clean.flip(-1)
        return rainy.flatten(0, 1).contiguous(), clean.contiguous()

    def _drawn(self, draw: float, rng: random.Random) -> tuple[Tensor, Tensor]:
        """A window with drawn rain, or none, and its clean current frame; `draw` decides the kind of scene."""
        mix = self.mix
        still = draw < mix.still
        lined, dry = rng.random() < mix.lined, mix.dry
        if still:
            window = self._still(rng)
        elif draw < mix.still + mix.clip and self.material.clips:
            window = self._clip(rng)
        else:
            window = self._moving_photo(rng)
        if not still and len(window) > 1 and rng.random() < mix.cut:
            window = self._with_cut(window, rng)
        if lined:
            window, dry = self._behind_lines(window, still, rng), max(mix.dry, DRY_BEHIND_LINES)
        rainy = window if rng.random() < dry else self._rained_on(window, still, rng)
        return self._filmed(rainy, window, still, rng)

    def _one_sided(self, window: Tensor, rng: random.Random) -> Tensor:
        """Copies of the present instead of the future, as in a live stream, or of the past, as where a clip begins."""
        present = window[self.past]
        if rng.random() < 0.75:
            return torch.cat((window[: self.past + 1], present.expand(self.future, -1, -1, -1)))
        return torch.cat((present.expand(self.past, -1, -1, -1), window[self.past :]))

    def _pair(self, rng: random.Random) -> tuple[Tensor, Tensor]:
        rainy, clean = rng.choice(self.material.pairs)
        top, left = self._corner(clean, rng)
        cut = (slice(None), slice(top, top + self.patch), slice(left, left + self.patch))
        return self._repeated(rainy[cut].float() / 255), clean[cut].float() / 255

    def _still(self, rng: random.Random) -> Tensor:
        photo = self._photo(rng)
        top, left = self._corner(photo, rng)
        return self._repeated(photo[:, top : top + self.patch, left : left + self.patch].float() / 255)

    def _clip(self, rng: random.Random) -> Tensor:
        clip = rng.choice(self.material.clips)
        first = rng.randrange(len(clip) - self.past - self.future)
        top, left = self._corner(clip[0], rng)
        frames = clip[first : first + self.past + 1 + self.future]
        return frames[:, :, top : top + self.patch, left : left + self.patch].float() / 255

    def _moving_photo(self, rng: random.Random) -> Tensor:
        """Frames of a camera that passes over a photo, at times with a cut-out of another in front."""
        photo = self._photo(rng)
        behind = self._passing(photo.float() / 255, rng)
        if rng.random() >= self.mix.parallax:
            return behind
        photo = self._photo(rng).float() / 255
        front = self._passing(torch.cat((photo, _cut_out(photo, rng))), rng)
        return torch.lerp(behind, front[:, :3], front[:, 3:])

    def _with_cut(self, window: Tensor, rng: random.Random) -> Tensor:
        """Frames of another scene on the far side of a cut before or behind the current frame."""
        other, first = self._moving_photo(rng), rng.randint(1, len(window) - 1)
        if first <= self.past:
            return torch.cat((other[:first], window[first:]))
        return torch.cat((window[:first], other[first:]))

    def _behind_lines(self, window: Tensor, still: bool, rng: random.Random) -> Tensor:
        size = 2 * self.patch
        lines = draw_lines(size, rng).picture(size)
        if rng.random() < 0.4:
            other = draw_lines(size, rng).picture(size)
            lines = torch.where(other[3:] > lines[3:], other, lines)
        top, left = self._corner(lines, rng)
        cut = lines[None, :, top : top + self.patch, left : left + self.patch]
        front = cut if still else self._passing(lines, rng)
        return torch.lerp(window, front[:, :3].expand_as(window), front[:, 3:])

    def _passing(self, picture: Tensor, rng: random.Random) -> Tensor:
        """(C, H, W) -> (frames, C, patch, patch): a camera that pans, turns and zooms, from calm to shaken."""
        height, width = picture.shape[-2:]
        calm = rng.random() < 0.25
        pace = 0.0 if calm else 10 ** rng.uniform(-0.5, 1.25)
        direction = rng.uniform(0, 2 * math.pi)
        jolt = rng.uniform(2, 20) if rng.random() < self.mix.jolted else 0.0
        turn, zoom = (0.0, 0.0) if calm else (rng.gauss(0, 0.004), rng.gauss(0, 0.006))
        scale = rng.uniform(0.7, 1.15)
        reach = self.patch * scale / 2
        x = rng.uniform(min(reach, width / 2), max(width - reach, width / 2))
        y = rng.uniform(min(reach, height / 2), max(height - reach, height / 2))
        views = []
        for step in range(-self.past, self.future + 1):
            size, angle = scale * math.exp(zoom * step), turn * step
            # Half-widths of the view in the unit square that affine_grid speaks of.
            across, down = self.patch * size / width, self.patch * size / height
            cos, sin = math.cos(angle), math.sin(angle)
            centre_x = (x + pace * step * math.cos(direction) + rng.gauss(0, jolt)) / width * 2 - 1
            centre_y = (y + pace * step * math.sin(direction) + rng.gauss(0, jolt)) / height * 2 - 1
            views.append([[across * cos, -across * sin, centre_x], [down * sin, down * cos, centre_y]])
        shape = [len(views), len(picture), self.patch, self.patch]
        grid = F.affine_grid(torch.tensor(views), shape, align_corners=False)
        source = picture[None].expand(len(views), -1, -1, -1)
        return F.grid_sample(source, grid, padding_mode="reflection", align_corners=False)

    def _rained_on(self, window: Tensor, still: bool, rng: random.Random) -> Tensor:
        draw = rng.random()
        rain: SomeRain
        if draw < self.mix.painted:
            rain = paint_rain(rng)
        elif draw < self.mix.painted + self.mix.borrowed and self.material.pairs:
            rain = borrow_rain(self.material.pairs, self.patch, rng)
        else:
            rain = self._falling(rng)
        begin, frame_rate = rng.uniform(0, 10), rng.choice((10, 15, 24, 25, 30, 50, 60))
        if still:
            return self._repeated(rain.on(window[0], begin))
        return torch.stack([rain.on(frame, begin + step / frame_rate) for step, frame in enumerate(window)])

    def _filmed(self, rainy: Tensor, clean: Tensor, still: bool, rng: random.Random) -> tuple[Tensor, Tensor]:
        """Both windows through one camera: (frames, 3, H, W) twice -> the rainy window, the clean current frame."""
        camera = draw_camera(rng) if rng.random() < self.mix.filmed else Camera()
        if not still:
            return camera.film(rainy), camera.film(clean)[self.past]
        return self._repeated(camera.film(rainy[:1])[0]), camera.film(clean[:1])[0]

    def _falling(self, rng: random.Random) -> Rainfall:
        rain = draw_rain(rng)
        rainfall = Rainfall(rain, self.patch, self.patch)
        while rainfall.opacity(0.0).mean() > MOST_HIDDEN:
            rain = replace(rain, rate_mm_per_hour=rain.rate_mm_per_hour / 4)
            rainfall = Rainfall(rain, self.patch, self.patch)
        return rainfall

    def _photo(self, rng: random.Random) -> Tensor:
        return rng.choices(self.material.photos, self._busyness)[0]

    def _repeated(self, picture: Tensor) -> Tensor:
        return picture.expand(self.past + 1 + self.future, -1, -1, -1)

    def _corner(self, picture: Tensor, rng: random.Random) -> tuple[int, int]:
        height, width = picture.shape[-2:]
        return rng.randint(0, height - self.patch), rng.randint(0, width - self.patch)


class SomeRain(Protocol):
    """Anything that rains on a picture, (3, H, W) float RGB in 0..1, at a moment."""

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """The picture in the rain, the same shape and range."""


@dataclass(frozen=True)
class BorrowedRain:
    """Rain taken off a training pair, `layer` of (H, W) in 0..1; each moment gets another part of it."""

    layer: Tensor
    strength: float
    seed: int

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1 and no larger than the layer, with its light added."""
        rng = random.Random(self.seed * 2**32 + round(seconds * 1000))
        height, width = clean.shape[-2:]
        top = rng.randint(0, self.layer.shape[-2] - height)
        left = rng.randint(0, self.layer.shape[-1] - width)
        light = self.layer[top : top + height, left : left + width]
        return (clean + self.strength * light).clamp(0, 1)


def borrow_rain(pairs: Sequence[tuple[Tensor, Tensor]], patch: int, rng: random.Random) -> BorrowedRain:
    """The rain of one of `pairs`, from a part of it where the scene is dark enough for rain to show."""
    for _ in range(4):
        rainy, clean = rng.choice(pairs)
        side = min(2 * patch, *clean.shape[-2:])
        top, left = rng.randint(0, clean.shape[-2] - side), rng.randint(0, clean.shape[-1] - side)
        cut = (slice(None), slice(top, top + side), slice(left, left + side))
        if (rainy[cut].amax(dim=0) == 255).float().mean() < 0.25:
            break
    # The darkest channel is the last to be clipped, so the largest difference is the whole light.
    layer = (rainy[cut].float() - clean[cut].float()).amax(dim=0).clamp(min=0) / 255
    if rng.random() < 0.5:
        layer = layer.flip(-1)
    return BorrowedRain(layer, 10 ** rng.uniform(-0.6, 0.1), rng.randrange(2**31))


def _cut_out(photo: Tensor, rng: random.Random) -> Tensor:
    """Soft-edged blobs, some large, some like twigs: (3, H, W) -> (1, H, W) in 0..1."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    height, width = photo.shape[-2:]
    across = rng.choice((3, 6, 12, 40))
    coarse = torch.rand(1, 1, max(2, across * height // width), across, generator=generator)
    fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0]
    return torch.sigmoid((fine - rng.uniform(0.45, 0.7)) * 60)


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]}x{picture.shape[-2]}"
