"""A picture of how a clip goes on in time: one line of each frame, the newest at the bottom.

What stands still draws upright stripes; rain and flicker are specks and steps in them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from torch import Tensor

from streamderain.errors import SinkError
from streamderain.media.images import write_image

LEAST_STRIP = 128
"""Pixels; lines of a short clip are repeated until its strip is as high."""

MOST_FRAMES = 512
"""Later frames are left out, so that neither memory nor the picture grows with the video."""

GAP = 4
"""White pixels between two strips."""


class TemporalProfile:
    """Collects the middle lines of versions of a clip: rainy, derained, and clean where there is one."""

    def __init__(self) -> None:
        self._lines: list[tuple[Tensor, ...]] = []

    def add(self, *versions: Tensor) -> None:
        """Take one frame in each of its versions, uint8 RGB (1, 3, H, W), in the order from top to bottom.

        Frames of another width than the first are left out.
        """
        fits = not self._lines or self._lines[0][0].shape[-1] == versions[0].shape[-1]
        if fits and len(self._lines) < MOST_FRAMES:
            # A copy, as a view would keep the whole frame.
            self._lines.append(tuple(frame[0, :, frame.shape[-2] // 2].clone() for frame in versions))

    def picture(self) -> Tensor:
        """A strip for each version, one above the other: uint8 RGB (3, strips high, W).

        There must have been a frame.
        """
        repeats = max(1, math.ceil(LEAST_STRIP / len(self._lines)))
        strips: list[Tensor] = []
        for lines in zip(*self._lines, strict=True):
            strip = torch.stack(lines, dim=1).repeat_interleave(repeats, dim=1)
            strips += (torch.full_like(strip[:, :GAP], 255), strip) if strips else (strip,)
        return torch.cat(strips, dim=1)

    def write(self, folder: Path, *names: str) -> Path:
        """Write the picture as PNG into `folder`, which is made, under `names` joined. Raises SinkError."""
        path = folder / ("-".join(re.sub(r"[^\w.-]+", "-", name).strip("-") for name in names) + ".png")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder} cannot be made: {error.strerror}") from error
        write_image(path, self.picture())
        return path
