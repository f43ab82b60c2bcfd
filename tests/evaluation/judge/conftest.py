"""Small material to judge on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamderain.evaluation.judge.material import Material
from tests.pictures import write_image


def busy(seed: int, height: int = 200, width: int = 220) -> Tensor:
    """A picture of blobs and grain, uint8 RGB (3, height, width), neither bright nor flat."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 9, generator=generator)
    blobs = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    grain = torch.rand(3, height, width, generator=generator)
    return (40 + 70 * blobs + 25 * grain).round().clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three photographs."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        write_image(folder / f"{number}.png", busy(number))
    return folder


@pytest.fixture(scope="session")
def material(photos: Path) -> Material:
    """The last two of the photographs, and a clip that pans."""
    wide = busy(7, 200, 260)
    clip = torch.stack([wide[:, :, 2 * number : 2 * number + 220] for number in range(8)])
    read = Material.read(photos, held_out=2)
    return Material(read.photos, clip, read.digest)
