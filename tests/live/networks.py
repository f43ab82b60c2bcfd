"""Networks that cost nothing, or exactly as much as a test wants."""

from __future__ import annotations

import time

import torch
from torch import Tensor


class Darker:
    """Takes light away, and takes `seconds` for it."""

    device = torch.device("cpu")
    past = future = 0

    def __init__(self, by: float = 0.1, seconds: float = 0.0) -> None:
        self.by, self.seconds = by, seconds
        self.calls = 0

    def restore(self, windows: Tensor) -> Tensor:
        self.calls += 1
        time.sleep(self.seconds)
        return windows[:, 0] - self.by
