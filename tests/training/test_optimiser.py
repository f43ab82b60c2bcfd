"""The optimiser: which weights move how."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from streamderain.errors import TrainingError
from streamderain.training.optimiser import Optimiser

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
    assert strengths.min() > 0.5
    assert strengths.max() < 1.5


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


def test_an_old_torch_is_told(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(TrainingError, match=r"for training install torch 2\.9 or later"):
        Optimiser(network, RATE)
