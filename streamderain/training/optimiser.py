"""How weights move: those that mix channels by Muon, the rest by AdamW."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

DECAY = 1e-4
MOMENTUM = 0.95
STEPS = 5
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315
"""Of the polynomial that brings singular values from anywhere in 0..1 near 1 in few steps (Jordan et al., 2024)."""


class Optimiser:
    """Moves the weights of `network` against their gradients: what mixes channels by Muon, whose steps have the size of
    AdamW's and thus its rate, and by AdamW filters of single channels, gains and temperatures.
    """

    def __init__(self, network: nn.Module, rate: float) -> None:
        mixing = [weight for weight in network.parameters() if _mixes_channels(weight)]
        others = [weight for weight in network.parameters() if not _mixes_channels(weight)]
        self._parts = {
            "muon": Muon(mixing, rate),
            "adamw": torch.optim.AdamW(others, rate, weight_decay=DECAY, fused=True),
        }

    def step(self, rate: float) -> None:
        """One step at `rate` against the gradients that the network's weights have now, which are then cleared."""
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on with."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was asked. Raises KeyError where it was another optimiser's."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal: a weight is a matrix, outputs by all that each reads, and moves as far in every
    direction as in that of the steepest descent (Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural
    networks"), a step of the size of AdamW's (Liu et al., 2025, arXiv 2502.16982, eq. 4).

    torch has it for matrices alone, in bfloat16, in which a CPU without instructions for it takes thirty times as long.
    """

    def __init__(self, weights: list[nn.Parameter], rate: float) -> None:
        super().__init__(weights, {"lr": rate})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step against the gradients; a weight without one stays."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum: Tensor = state["momentum"]
                momentum.lerp_(weight.grad, 1 - MOMENTUM)
                # Nesterov's: as if the momentum had already met this gradient once more.
                ahead = weight.grad.lerp(momentum, MOMENTUM).flatten(1)
                step = orthogonal(ahead).mul_(0.2 * math.sqrt(max(ahead.shape)))
                weight.mul_(1 - group["lr"] * DECAY).sub_(step.view(weight.shape), alpha=group["lr"])


def _mixes_channels(weight: Tensor) -> bool:
    return weight.ndim > 1 and weight.shape[1] > 1


def orthogonal(matrix: Tensor) -> Tensor:
    """`matrix`, (M, N), with singular values that are all about 1, from 0.7 to 1.2, where they were not next to 0: by
    Newton and Schulz's iteration, which knows `matrix` by the smaller of its Gram matrices alone, and so works there.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    matrix = matrix / (matrix.norm() + 1e-7)
    gram = matrix @ matrix.T
    turned = factor = _factor(gram)
    for _ in range(STEPS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        turned = factor @ turned
    return turned @ matrix


def _factor(gram: Tensor) -> Tensor:
    """What the matrix of this Gram matrix is multiplied by in a step of the iteration."""
    one = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return LINEAR * one + CUBIC * gram + QUINTIC * gram @ gram
