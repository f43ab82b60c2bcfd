"""What a network has to beat, in a network's place: doing nothing, and the median of three frames."""

from __future__ import annotations

import torch
from torch import Tensor

from streamderain.temporal.filters import median_over_frames


class Nothing:
    """Gives every frame back as it came."""

    past = future = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def restore(self, windows: Tensor) -> Tensor:
        """(N, 1, 3, H, W) -> (N, 3, H, W), the same."""
        return windows[:, 0]


class MedianOfThree:
    """Each value is the middle one of the frame before, the frame and the frame after.

    Takes away every streak that stays in a place for one frame alone, and smears what moves.
    """

    past = future = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def restore(self, windows: Tensor) -> Tensor:
        """(N, 3, 3, H, W) -> (N, 3, H, W), each value one of the three that came."""
        return median_over_frames(windows)
