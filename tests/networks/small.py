"""Networks small enough for a test."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from streamderain.networks.drsformer.network import DRSformer
from streamderain.networks.drsformer.variant import Variant

M = TypeVar("M", bound=nn.Module)

TINY = Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 2, 2, 4), mefc=False)

BARE = replace(TINY, blocks=(0, 0, 0, 1))
"""The same with a single block, for what takes its time for each of them."""

ALIGNED = Variant(
    (8, 16, 16, 16), (0, 0, 1, 1), (1, 1, 2, 2), mefc=False, scale=2, past=2, future=2, dense=(1, 1), aligned=True
)
"""One that follows motion, with dense blocks."""


def doubling(width: int) -> tuple[int, int, int, int]:
    """The widths of a network whose levels double, as the published one's do."""
    return (width, 2 * width, 4 * width, 8 * width)


def network(variant: Variant = TINY, seed: int = 0) -> DRSformer:
    """A network with random weights that are the same for the same seed."""
    torch.manual_seed(seed)
    return DRSformer(variant).eval().requires_grad_(False)


def shaken(module: M, dtype: torch.dtype = torch.float64, seed: int = 0) -> M:
    """The module with other weights than those it begins with, which are ones and zeros in part; the same for the same
    seed.
    """
    torch.manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, dtype=torch.float64)
    return module.to(dtype).eval().requires_grad_(False)
