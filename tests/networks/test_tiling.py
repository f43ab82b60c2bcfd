"""Tiles: they cover everything, stay small, and do not show."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from streamderain.networks.tiling import OVERLAP, tiled, tiled_to

SIZES = [(1, 1), (1, 200), (200, 1), (64, 64), (37, 151), (130, 70), (257, 199)]


def itself(pictures: Tensor) -> Tensor:
    return pictures


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("largest", [50, 1000, 4096, 10**9])
def test_the_identity_comes_through_tiles(height: int, width: int, largest: int) -> None:
    pictures = torch.rand(2, 3, height, width)
    torch.testing.assert_close(tiled(itself, pictures, largest), pictures, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [(64, 48), (16, 256)])
def test_tiles_of_one_size_cover_all_and_are_no_larger(height: int, width: int, size: tuple[int, int]) -> None:
    seen = set()

    def watched(tile: Tensor) -> Tensor:
        seen.add(tuple(tile.shape[-2:]))
        return tile

    pictures = torch.rand(1, 3, height, width)
    torch.testing.assert_close(tiled_to(watched, pictures, size), pictures, rtol=0, atol=1e-5)
    assert seen == {(min(height, size[0]), min(width, size[1]))}


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_constant_shows_no_seams(height: int, width: int) -> None:
    answer = tiled(lambda tile: torch.full_like(tile, 0.7), torch.rand(1, 3, height, width), largest=900)
    torch.testing.assert_close(answer, torch.full_like(answer, 0.7), rtol=0, atol=1e-6)


def test_tiles_that_disagree_fade_into_each_other() -> None:
    levels = iter(range(100))

    def level(tile: Tensor) -> Tensor:
        return torch.full_like(tile, float(next(levels)))

    answer = tiled(level, torch.zeros(1, 1, 8, 400), largest=8 * 216)[0, 0, 4]
    assert next(levels) == 2, "there should have been two tiles"
    steps = answer.diff()
    assert answer[0] == 0
    assert answer[-1] == 1
    assert steps.min() >= -1e-6
    assert steps.max() < 1.5 / OVERLAP


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("largest", [100, 2000])
def test_all_tiles_have_one_size_that_is_allowed(height: int, width: int, largest: int) -> None:
    sizes = []

    def measured(tile: Tensor) -> Tensor:
        sizes.append(tuple(tile.shape[-2:]))
        return tile

    tiled(measured, torch.zeros(1, 1, height, width), largest)
    # A network is prepared for each size that comes.
    assert len(set(sizes)) == 1
    # Tiles that are little more than their overlap are cut no further.
    assert math.prod(sizes[0]) <= largest or max(sizes[0]) <= 2 * OVERLAP
    assert len(sizes) > 1 or height * width <= max(largest, (2 * OVERLAP) ** 2)


def test_a_picture_that_fits_goes_through_whole() -> None:
    seen = []

    def watched(tile: Tensor) -> Tensor:
        seen.append(tuple(tile.shape))
        return tile

    tiled(watched, torch.zeros(2, 3, 40, 50), largest=2000)
    assert seen == [(2, 3, 40, 50)]


def test_tiles_may_change_the_number_of_channels() -> None:
    answer = tiled(lambda tile: tile[:, :3], torch.rand(1, 9, 60, 70), largest=1000)
    assert answer.shape == (1, 3, 60, 70)
