"""Material to train on that no disk holds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from streamderain.training.material import Material


def photo(seed: int, height: int = 72, width: int = 88) -> Tensor:
    """(3, height, width) uint8 of blotches, which change wherever a camera looks."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    return (picture * 255).to(torch.uint8)


@pytest.fixture
def material() -> Material:
    """Photos and a clip."""
    clip = torch.stack([photo(9).roll(2 * step, dims=2) for step in range(6)])
    return Material([photo(1), photo(2)], [clip])
