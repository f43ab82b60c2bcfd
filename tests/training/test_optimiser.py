"""The optimiser: which weights move how."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from streamderain.training.optimiser import Optimiser, orthogonal

RATE = 0.01


@pytest.fixture
def network() -> nn.Module:
    """A convolution that mixes channels, one that does not, and gains."""
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(24, 12, 3), nn.Conv2d(12, 12, 3, groups=12), nn.GroupNorm(1, 12))
    layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return layers


def descend(network: nn.Module, optimiser: Optimiser, steps: int = 1) -> None:
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        network(torch.rand(2, 24, 9, 9, generator=generator)).square().mean().backward()
        optimiser.step(RATE)


def weights_of(network: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in network.parameters()]


def test_what_mixes_channels_moves_as_much_in_every_direction(network: nn.Module) -> None:
    before = weights_of(network)
    descend(network, Optimiser(network, 1.0))
    moved = (weights_of(network)[0] - before[0]).flatten(1)
    # As large as a step of AdamW, in the mean; Newton and Schulz's iteration stops near 1, not at it.
    strengths = torch.linalg.svdvals(moved) / (RATE * 0.2 * max(moved.shape) ** 0.5)
    assert strengths.min() > 0.6
    assert strengths.max() < 1.3


def test_all_else_is_moved_by_adamw(network: nn.Module) -> None:
    twin = copy.deepcopy(network)
    usual = torch.optim.AdamW(list(twin.parameters())[1:], lr=RATE, weight_decay=1e-4)
    descend(network, Optimiser(network, 1.0))
    twin(torch.rand(2, 24, 9, 9, generator=torch.Generator().manual_seed(2))).square().mean().backward()
    usual.step()
    for ours, theirs in list(zip(network.parameters(), twin.parameters(), strict=True))[1:]:
        torch.testing.assert_close(ours, theirs)


def test_it_clears_the_gradients_and_takes_missing_ones_for_nothing(network: nn.Module) -> None:
    optimiser = Optimiser(network, RATE)
    descend(network, optimiser)
    assert all(weight.grad is None for weight in network.parameters())
    before = weights_of(network)
    optimiser.step(RATE)
    assert all(torch.equal(one, other) for one, other in zip(before, weights_of(network), strict=True))


def test_it_goes_on_from_its_state(network: nn.Module) -> None:
    optimiser = Optimiser(network, RATE)
    descend(network, optimiser, 3)
    twin, state = copy.deepcopy(network), copy.deepcopy(optimiser.state_dict())
    other = Optimiser(twin, 1.0)
    other.load_state_dict(state)
    for _ in range(2):
        descend(network, optimiser)
        descend(twin, other)
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(12, 144), (96, 24), (1, 9)])
def test_what_is_orthogonal_has_the_directions_of_what_was_not(shape: tuple[int, int]) -> None:
    matrix = 1e-4 * torch.randn(shape, generator=torch.Generator().manual_seed(3))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ orthogonal(matrix) @ right.T
    assert 0.6 < float(inside.diagonal().min()) <= float(inside.diagonal().max()) < 1.3
    torch.testing.assert_close(inside, inside.diagonal().diag(), rtol=0, atol=1e-3)


def test_what_is_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(4, 6)), torch.zeros(4, 6))
