"""How weights move: those that mix channels by Muon, the rest by AdamW."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from streamderain.errors import TrainingError

DECAY = 1e-4


class Optimiser:
    """Moves the weights of `network` against their gradients. Those of a convolution are a matrix, outputs by all that
    each reads, which Muon moves by as much in every direction as in that of the steepest descent (Jordan et al., 2024,
    "Muon: An optimizer for hidden layers"); its steps have the size of AdamW's, and thus its rate (Liu et al., 2025,
    arXiv 2502.16982, eq. 4). Filters of single channels, gains and temperatures are AdamW's.

    The network stays on its device and in its memory format from here on. Raises TrainingError where torch has no Muon.
    """

    def __init__(self, network: nn.Module, rate: float) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise TrainingError(f"torch {torch.__version__} has no Muon; for training install torch 2.9 or later")
        mixing = [weight for weight in network.parameters() if weight.ndim > 1 and weight.shape[1] > 1]
        others = [weight for weight in network.parameters() if weight.ndim < 2 or weight.shape[1] == 1]
        self._matrices = [(weight, nn.Parameter(_as_matrix(weight.detach()))) for weight in mixing]
        self._parts = {
            "muon": torch.optim.Muon(
                [matrix for _, matrix in self._matrices], rate, DECAY, adjust_lr_fn="match_rms_adamw"
            ),
            "adamw": torch.optim.AdamW(others, rate, weight_decay=DECAY, fused=True),
        }

    def step(self, rate: float) -> None:
        """One step at `rate` against the gradients that the network's weights have now, which are then cleared."""
        for weight, matrix in self._matrices:
            matrix.grad, weight.grad = None if weight.grad is None else _as_matrix(weight.grad), None
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on with."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was asked."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


def _as_matrix(weight: Tensor) -> Tensor:
    """(outputs, inputs, ...) as (outputs, the rest), the same memory where channels are stored last."""
    return weight.movedim(1, -1).reshape(len(weight), -1)
