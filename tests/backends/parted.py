"""A network of three parts that takes no time to convert."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from streamderain.backends.runnable import Descriptor, PartedNetwork, Runnable


class Parted(PartedNetwork):
    """Adds to a picture what two convolutions make of it; the same for the same seed."""

    parts = ("stem", "trunk", "joined")

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.eval().requires_grad_(False)

    def stem(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See PartedNetwork."""
        return frames - 0.5, frames

    def entry_of_codes(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """See PartedNetwork."""
        return self.stem(codes.float() / 255)

    def of_codes(self, codes: Tensor) -> Tensor:
        """All of it, of codes."""
        stem, choices = self.entry_of_codes(codes)
        return self.joined(choices, self.trunk(stem))

    def trunk(self, stem: Tensor) -> Tensor:
        """See PartedNetwork."""
        made: Tensor = self.second(torch.tanh(self.first(stem)))
        return made

    def joined(self, choices: Tensor, answer: Tensor) -> Tensor:
        """See PartedNetwork."""
        return choices + answer


def parted(seed: int = 0) -> Runnable:
    """One that backends can run, and keep on disk."""
    return Runnable(Descriptor("parted", lowers=True, pictures=1), Parted(seed), sources=(Path(__file__),))
