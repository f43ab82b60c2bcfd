"""Padding: to what a network takes, mirrored, and taken back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from streamderain.backends.padding import padded


@pytest.mark.parametrize("multiple", [8, 16, 32])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (8, 8), (16, 33), (37, 51)])
def test_padding_gives_the_network_its_multiple_and_takes_it_back(height: int, width: int, multiple: int) -> None:
    seen = []

    def watched(pictures: Tensor) -> Tensor:
        seen.append(pictures.shape[-2:])
        return pictures

    pictures = torch.rand(1, 3, height, width)
    assert torch.equal(padded(watched, pictures, multiple), pictures)
    ((high, wide),) = seen
    assert high % multiple == wide % multiple == 0
    assert high - height < multiple
    assert wide - width < multiple


def test_padding_mirrors_what_is_there() -> None:
    row = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 8, 5)
    seen = []
    padded(lambda pictures: seen.append(pictures) or pictures, row, 8)
    assert seen[0][0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 64), (64, 20), (63, 64)])
def test_a_network_of_one_size_is_given_that(height: int, width: int) -> None:
    seen = []
    pictures = torch.rand(1, 3, height, width)
    answer = padded(lambda given: seen.append(tuple(given.shape[-2:])) or given, pictures, 1, (64, 64))
    assert torch.equal(answer, pictures)
    assert seen == [(64, 64)]
