"""The mixture-of-experts feature compensator of DRSformer (MEFC; Chen et al., CVPR 2023, section 3.4).

Parameter names are those of the published checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPERT_STEPS = 4
EXPERTS_PER_STEP = 8


class _Convolutions(nn.Module):
    """A sequence under the name `op`, as the published checkpoints have it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.op = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


def _separable(dim: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    depthwise = nn.Conv2d(dim, dim, kernel, padding=padding, dilation=dilation, groups=dim, bias=False)
    return [depthwise, nn.Conv2d(dim, dim, 1, bias=False)]


class ExpertLayer(nn.Module):
    """Eight experts side by side, each scaled by its weight, joined by a 1x1 convolution (eq. 7)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        separable = [
            _Convolutions(*_separable(dim, kernel), nn.ReLU(), *_separable(dim, kernel)) for kernel in (1, 3, 5, 7)
        ]
        dilated = [_Convolutions(*_separable(dim, kernel, dilation=2)) for kernel in (3, 5, 7)]
        pooling = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self._ops = nn.ModuleList([*separable, *dilated, pooling])
        self._out = nn.Sequential(nn.Conv2d(dim * EXPERTS_PER_STEP, dim, 1, bias=False), nn.ReLU())

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(N, C, H, W) features and (N, 8) expert weights -> (N, C, H, W)."""
        answers = [op(x) * weight.view(-1, 1, 1, 1) for op, weight in zip(self._ops, weights.unbind(1), strict=True)]
        out: Tensor = self._out(torch.cat(answers, dim=1))
        return out


class ExpertWeights(nn.Module):
    """The weights of all experts in all steps, from the mean of each channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        outputs = EXPERT_STEPS * EXPERTS_PER_STEP
        self.ca_fc = nn.Sequential(nn.Linear(dim, outputs * 2), nn.ReLU(), nn.Linear(outputs * 2, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4, 8), each row of eight adding up to one."""
        logits: Tensor = self.ca_fc(x.mean(dim=(2, 3)))
        return logits.view(-1, EXPERT_STEPS, EXPERTS_PER_STEP).softmax(dim=-1)


class ExpertSteps(nn.Module):
    """Four layers of experts in a row, each added to its input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.preprocess = _Convolutions(nn.Conv2d(dim, dim, 1, bias=False), nn.ReLU())
        self._ops = nn.ModuleList([ExpertLayer(dim) for _ in range(EXPERT_STEPS)])

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(N, C, H, W) features and (N, 4, 8) weights -> (N, C, H, W)."""
        x = self.preprocess(x)
        for step, step_weights in zip(self._ops, weights.unbind(1), strict=True):
            x = F.relu(x + step(x, step_weights))
        return x


class MixtureOfExperts(nn.Module):
    """Mixture-of-experts feature compensator with one layer of weights (MEFC, section 3.4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ExpertWeights(dim), ExpertSteps(dim)])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = self.layers[1](x, self.layers[0](x))
        return out
