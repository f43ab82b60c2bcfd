"""What the judge looks at: photographs and a clip that are held out from training, and the windows cut from them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from streamderain.errors import EvaluationError
from streamderain.evaluation.passing import passing
from streamderain.media.images import list_images, read_clip, read_image

HELD_OUT_PHOTOS = 16
"""The last by name, as in configs/train-fast.yaml."""

FRAMES = 5
PRESENT = FRAMES // 2
SIZE = 192
"""Side of a window in pixels: the fewest with which every level of the motion pyramid is at work."""

CLIP_FRAMES = 100
PACES = (1.0, 2.0, 4.0)
"""Pixels of a photo by which a camera passes in a frame."""

TRIES = 8
LUMA = (30.0, 150.0)
LEAST_BUSY = 3.0
"""Where rain shows, and where there is something to harm: the mean in codes that a place should have, and the mean
difference of neighbouring pixels.
"""


@dataclass(frozen=True, eq=False)
class Material:
    """`photos`, uint8 RGB (3, H, W) each, and a `clip`, uint8 RGB (T, 3, H, W), or none.

    `digest` is the SHA-256 of their files, so that weights are compared on equal material alone.
    """

    photos: Sequence[Tensor]
    clip: Tensor | None
    digest: str

    @classmethod
    def read(cls, photos: Path, clip: Path | None = None, held_out: int = HELD_OUT_PHOTOS) -> Material:
        """The last `held_out` pictures of a folder, by name, and the first frames of a video.

        Raises EvaluationError where there are none, or ones that are too small.
        """
        files = list_images(photos)[-held_out:] if photos.is_dir() and held_out > 0 else []
        if not files:
            raise EvaluationError(f"no photos to judge on in {photos}; name a folder of pictures with --photos")
        if clip and not clip.is_file():
            raise EvaluationError(f"no clip to judge on at {clip}; name a clean video with --clip")
        digest = hashlib.sha256()
        for path in (*files, *([clip] if clip else [])):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        material = cls(
            [read_image(path) for path in files], read_clip(clip, CLIP_FRAMES) if clip else None, digest.hexdigest()
        )
        material.check()
        return material

    def check(self) -> None:
        """Raise EvaluationError for what no window can be cut from."""
        sizes = [picture.shape[-2:] for picture in (*self.photos, *([] if self.clip is None else self.clip[:1]))]
        smallest = min(sizes, key=min)
        if min(smallest) < SIZE:
            raise EvaluationError(
                f"a picture to judge on is {smallest[1]}x{smallest[0]}; {SIZE}x{SIZE} or more is needed"
            )
        if self.clip is not None and len(self.clip) < FRAMES:
            raise EvaluationError(f"the clip to judge on has {len(self.clip)} frames; {FRAMES} or more are needed")

    def still(self, rng: random.Random) -> Tensor:
        """One picture in every frame of a window, from a place that suits: uint8 (FRAMES, 3, SIZE, SIZE)."""
        return repeated(_fitting(self._cut(rng) for _ in range(TRIES)))

    def moving(self, rng: random.Random, paces: Sequence[float] = PACES) -> Tensor:
        """A camera that passes over such a place, at one of `paces`: uint8 (FRAMES, 3, SIZE, SIZE)."""
        return _fitting(self._passed(rng, paces) for _ in range(TRIES))

    def filmed(self, rng: random.Random) -> Tensor:
        """Consecutive frames of a place in the clip, which there must be: uint8 (FRAMES, 3, SIZE, SIZE)."""
        assert self.clip is not None
        first = rng.randint(0, len(self.clip) - FRAMES)
        top, left = (rng.randint(0, length - SIZE) for length in self.clip.shape[-2:])
        return self.clip[first : first + FRAMES, :, top : top + SIZE, left : left + SIZE]

    def _cut(self, rng: random.Random) -> Tensor:
        photo = rng.choice(self.photos)
        top, left = (rng.randint(0, length - SIZE) for length in photo.shape[-2:])
        return photo[:, top : top + SIZE, left : left + SIZE]

    def _passed(self, rng: random.Random, paces: Sequence[float]) -> Tensor:
        photo, pace = rng.choice(self.photos), rng.choice(paces)
        y, x = (rng.uniform(-1, 1) * (1 - SIZE / length) for length in photo.shape[-2:])
        return passing(photo, pace, FRAMES, (SIZE, SIZE), rng.randrange(2**31), (x, y))


def repeated(picture: Tensor) -> Tensor:
    """(3, H, W) -> (FRAMES, 3, H, W), without a copy."""
    return picture.expand(FRAMES, -1, -1, -1)


def _fitting(tries: Iterator[Tensor]) -> Tensor:
    """The first that suits; where none does, the busiest."""
    found = []
    for each in tries:
        found.append(each)
        if LUMA[0] <= float(each.float().mean()) <= LUMA[1] and _busyness(each) >= LEAST_BUSY:
            return each
    return max(found, key=_busyness)


def _busyness(picture: Tensor) -> float:
    values = picture.float()
    return float((values[..., 1:, :] - values[..., :-1, :]).abs().mean())


def present(window: Tensor) -> Tensor:
    """The frame that is derained: (FRAMES, 3, H, W) -> (1, 3, H, W)."""
    return window[PRESENT : PRESENT + 1]


def quantised(pictures: Tensor) -> Tensor:
    """0..1 -> uint8, as a camera gives it."""
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8)
