"""TemporalBlender: each derained frame leans on the one before it where the two agree."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AGREEMENT = 0.03
"""Difference, in units of 0..1, at which a pixel takes a third of what it takes at no difference."""

NEIGHBOURHOOD = 5
"""Side in pixels of the square over which agreement is judged, so that noise alone does not decide."""


class TemporalBlender:
    """Causal blending with the last output, pixel by pixel, no motion followed.

    Where the frames differ, at edges that move or behind a cut, nothing is taken, so nothing trails.
    `strength` of 0..1 is the share that the past has where the frames agree wholly.
    """

    def __init__(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"{strength = }; blending is allowed from 0 to 1")
        self.strength = strength
        self._last: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """Blend consecutive derained frames, (N, 3, H, W) float in 0..1, that follow those of the last
        call; another height or width begins anew. Returns the same shape.
        """
        if self.strength == 0:
            return frames
        blended = []
        for frame in torch.split(frames, 1):
            if self._last is not None and self._last.shape == frame.shape:
                frame = frame + self._share(frame, self._last) * (self._last - frame)
            self._last = frame
            blended.append(frame)
        return torch.cat(blended)

    def _share(self, frame: Tensor, last: Tensor) -> Tensor:
        difference = (frame - last).abs().amax(dim=1, keepdim=True)
        local = F.avg_pool2d(difference, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2, count_include_pad=False)
        # Half at most, so that a still scene averages over time and old light fades.
        return 0.5 * self.strength * torch.exp(-torch.maximum(local, difference / 2) / AGREEMENT)
