"""What samples are cut from: photographs and clips that are clean, read into memory once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from streamderain.errors import TrainingError
from streamderain.media.images import read_clip, read_folder

CLIP_FRAMES = 100
"""Frames that are read of each clip, a compromise with memory."""


@dataclass(frozen=True)
class Material:
    """Clean pictures, all uint8 RGB: `photos` of (3, H, W), `clips` of (T, 3, H, W)."""

    photos: Sequence[Tensor]
    clips: Sequence[Tensor]

    @classmethod
    def read(cls, photos: Path, clips: Sequence[Path] = ()) -> Material:
        """Read a folder of photos, and the first frames of video files.

        Raises TrainingError when the photos are missing.
        """
        pictures = [picture for _, picture in read_folder(photos)] if photos.is_dir() else []
        if not pictures:
            raise TrainingError(f"no photos to train on in {photos}; name a folder of pictures with photos=FOLDER")
        return cls(pictures, [read_clip(path, CLIP_FRAMES) for path in clips])

    def divided(self, held_out: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The photos to learn from, and the last `held_out` of them, which only judge; at least one of each."""
        first = max(1, len(self.photos) - held_out)
        return self.photos[:first], self.photos[first:] or self.photos[:1]

    def check(self, side: int, frames: int) -> None:
        """Raise TrainingError where a picture has no room for a square of `side` pixels, or a clip for `frames`."""
        pictures = [*self.photos, *(clip[0] for clip in self.clips)]
        smallest = min(pictures, key=lambda picture: min(picture.shape[-2:]))
        height, width = smallest.shape[-2:]
        if min(height, width) < side:
            raise TrainingError(f"a picture is {width}x{height}; for windows of {side} leave it out, or lower window")
        if any(len(clip) < frames for clip in self.clips):
            raise TrainingError(f"a clip is shorter than the {frames} frames that the network reads; leave it out")
