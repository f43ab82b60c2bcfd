"""Networks small enough for a test, and files of their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.variant import Variant

TINY = Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 2, 2, 4), mefc=False)


def doubling(width: int) -> tuple[int, int, int, int]:
    """The widths of a network whose levels double, as the published one's do."""
    return (width, 2 * width, 4 * width, 8 * width)


def network(variant: Variant = TINY, seed: int = 0) -> DRSformer:
    """A network with random weights that are the same for the same seed."""
    torch.manual_seed(seed)
    return DRSformer(variant).eval().requires_grad_(False)


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for the weights in the package; empty."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    monkeypatch.setattr(weights, "BUNDLED", folder)
    return folder
