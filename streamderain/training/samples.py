"""Training samples: windows of frames with rain drawn anew for each, and the clean frame to reach.

A sample is a function of its seed and its number alone, so a resumed run goes on with the samples
that an uninterrupted one would have seen, whatever the number of workers.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from streamderain.errors import TrainingError
from streamderain.rain.camera import Camera, draw_camera
from streamderain.rain.drawing import Kinds, draw_any_rain
from streamderain.rain.lines import draw_lines
from streamderain.rain.marks import draw_marks
from streamderain.training.material import Material

DRY_BEHIND_LINES = 0.4
"""Share of the samples with a fence or the like in which it does not rain."""

MARKED = 0.4
"""Share of what looks like rain that are strokes which end, each by itself, in the place of fences and the like."""

OVEREXPOSURE = (1.2, 3.0)
"""By what the light is multiplied before it is cut off at white."""


@dataclass(frozen=True)
class Mix:
    """How often a sample is of which kind; what is left over are photos under a moving camera.

    A still is one picture in every frame of the window: the network must also derain photographs,
    and the first and last frame of a clip, whose missing neighbours are copies. In a share `unseen` of the
    windows the future or the past is a copy of the present; in a share `parallax` of those that move something
    passes in front, in a share `jolted` the camera jumps, and in a share `cut` another scene begins or ends.
    A share `lined` of what moves and `lined_still` of the stills, which alone cannot tell, has a fence or the like
    before it, and nearly half of these are dry. A share `overexposed` has white where the sky was, as most pictures of
    rain have, and a share `filmed` goes through a camera's faults. `plain`, `painted`,
    `downpour`, `texture`, `veiled` and `leaning` are kinds of rain, see Kinds.
    """

    still: float = 0.33
    clip: float = 0.12
    parallax: float = 0.4
    unseen: float = 0.15
    jolted: float = 0.1
    cut: float = 0.08
    dry: float = 0.08
    lined: float = 0.12
    lined_still: float = 0.03
    overexposed: float = 0.12
    filmed: float = 0.6
    plain: float = Kinds.plain
    painted: float = Kinds.painted
    downpour: float = Kinds.downpour
    texture: float = Kinds.texture
    veiled: float = Kinds.veiled
    leaning: float = Kinds.leaning

    @classmethod
    def of(cls, shares: Mapping[str, float]) -> Mix:
        """The usual shares but for those given. Raises TrainingError for one that there is not, or that is no share."""
        known = [each.name for each in dataclasses.fields(cls)]
        for name, share in shares.items():
            if name not in known:
                raise TrainingError(f"no share of the samples is called {name}; allowed: {', '.join(known)}")
            if not 0 <= share <= 1:
                raise TrainingError(f"the share {name} is {share}; allowed: 0 to 1")
        return cls(**shares)


class RainySamples(Dataset[tuple[Tensor, Tensor]]):
    """Endless samples: (T, 3, side, side) rainy and (3, side, side) clean, the current frame, float32 in 0..1."""

    def __init__(self, material: Material, side: int, past: int, future: int, seed: int, mix: Mix | None = None):
        material.check(side, past + 1 + future)
        self.material, self.side, self.seed = material, side, seed
        self.past, self.future = past, future
        self.mix = mix = mix or Mix()
        self._kinds = Kinds(mix.plain, mix.painted, mix.downpour, mix.texture, mix.veiled, mix.leaning)
        # Flat pictures teach little, and texture is what deraining harms first.
        self._busyness = [
            float((photo[:, 1:].float() - photo[:, :-1].float()).abs().mean()) + 1 for photo in material.photos
        ]

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = random.Random(self.seed * 2**41 + index)
        rainy, clean = self._drawn(rng)
        if rng.random() < self.mix.unseen:
            rainy = self._one_sided(rainy, rng)
        return rainy, clean

    def _drawn(self, rng: random.Random) -> tuple[Tensor, Tensor]:
        """A window with drawn rain, or none, and its clean current frame."""
        mix, draw = self.mix, rng.random()
        still = draw < mix.still
        lined = rng.random() < (mix.lined_still if still else mix.lined)
        if still:
            window = self._still(rng)
        elif draw < mix.still + mix.clip and self.material.clips:
            window = self._clip(rng)
        else:
            window = self._moving_photo(rng)
        if not still and len(window) > 1 and rng.random() < mix.cut:
            window = self._with_cut(window, rng)
        if lined:
            window = self._behind_lines(window, still, rng)
        if rng.random() < mix.overexposed:
            window = (window * rng.uniform(*OVEREXPOSURE)).clamp(max=1)
        dry = rng.random() < (max(mix.dry, DRY_BEHIND_LINES) if lined else mix.dry)
        rainy = window if dry else self._rained_on(window, still, rng)
        return self._filmed(rainy, window, still, rng)

    def _one_sided(self, window: Tensor, rng: random.Random) -> Tensor:
        """Copies of the present instead of the future, as in a live stream, or of the past, as where a clip begins."""
        present = window[self.past]
        if rng.random() < 0.75:
            return torch.cat((window[: self.past + 1], present.expand(self.future, -1, -1, -1)))
        return torch.cat((present.expand(self.past, -1, -1, -1), window[self.past :]))

    def _still(self, rng: random.Random) -> Tensor:
        photo = self._photo(rng)
        top, left = self._corner(photo, rng)
        return self._repeated(photo[:, top : top + self.side, left : left + self.side].float() / 255)

    def _clip(self, rng: random.Random) -> Tensor:
        clip = rng.choice(self.material.clips)
        first = rng.randrange(len(clip) - self.past - self.future)
        top, left = self._corner(clip[0], rng)
        frames = clip[first : first + self.past + 1 + self.future]
        return frames[:, :, top : top + self.side, left : left + self.side].float() / 255

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
        size = 2 * self.side
        lines = self._lines(size, rng)
        if rng.random() < 0.4:
            other = self._lines(size, rng)
            lines = torch.where(other[3:] > lines[3:], other, lines)
        top, left = self._corner(lines, rng)
        cut = lines[None, :, top : top + self.side, left : left + self.side]
        front = cut if still else self._passing(lines, rng)
        return torch.lerp(window, front[:, :3].expand_as(window), front[:, 3:])

    @staticmethod
    def _lines(size: int, rng: random.Random) -> Tensor:
        drawn = draw_marks(size, rng) if rng.random() < MARKED else draw_lines(size, rng)
        return drawn.picture(size)

    def _passing(self, picture: Tensor, rng: random.Random) -> Tensor:
        """(C, H, W) -> (frames, C, side, side): a camera that pans, turns and zooms, from calm to shaken."""
        height, width = picture.shape[-2:]
        calm = rng.random() < 0.25
        pace = 0.0 if calm else 10 ** rng.uniform(-0.5, 1.5)
        direction = rng.uniform(0, 2 * math.pi)
        jolt = rng.uniform(2, 20) if rng.random() < self.mix.jolted else 0.0
        turn, zoom = (0.0, 0.0) if calm else (rng.gauss(0, 0.004), rng.gauss(0, 0.006))
        scale = rng.uniform(0.7, 1.15)
        reach = self.side * scale / 2
        x = rng.uniform(min(reach, width / 2), max(width - reach, width / 2))
        y = rng.uniform(min(reach, height / 2), max(height - reach, height / 2))
        views = []
        for step in range(-self.past, self.future + 1):
            size, angle = scale * math.exp(zoom * step), turn * step
            # Half-widths of the view in the unit square that affine_grid speaks of.
            across, down = self.side * size / width, self.side * size / height
            cos, sin = math.cos(angle), math.sin(angle)
            centre_x = (x + pace * step * math.cos(direction) + rng.gauss(0, jolt)) / width * 2 - 1
            centre_y = (y + pace * step * math.sin(direction) + rng.gauss(0, jolt)) / height * 2 - 1
            views.append([[across * cos, -across * sin, centre_x], [down * sin, down * cos, centre_y]])
        shape = [len(views), len(picture), self.side, self.side]
        grid = F.affine_grid(torch.tensor(views), shape, align_corners=False)
        source = picture[None].expand(len(views), -1, -1, -1)
        return F.grid_sample(source, grid, padding_mode="reflection", align_corners=False)

    def _rained_on(self, window: Tensor, still: bool, rng: random.Random) -> Tensor:
        rain = draw_any_rain(rng, self.side, self.side, self._kinds)
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

    def _photo(self, rng: random.Random) -> Tensor:
        return rng.choices(self.material.photos, self._busyness)[0]

    def _repeated(self, picture: Tensor) -> Tensor:
        return picture.expand(self.past + 1 + self.future, -1, -1, -1)

    def _corner(self, picture: Tensor, rng: random.Random) -> tuple[int, int]:
        height, width = picture.shape[-2:]
        return rng.randint(0, height - self.side), rng.randint(0, width - self.side)


def _cut_out(photo: Tensor, rng: random.Random) -> Tensor:
    """Soft-edged blobs, some large, some like twigs: (3, H, W) -> (1, H, W) in 0..1."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    height, width = photo.shape[-2:]
    across = rng.choice((3, 6, 12, 40))
    coarse = torch.rand(1, 1, max(2, across * height // width), across, generator=generator)
    fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0]
    return torch.sigmoid((fine - rng.uniform(0.45, 0.7)) * 60)
