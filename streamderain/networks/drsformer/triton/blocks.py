"""The blocks of a DRSformer for inference on an NVIDIA GPU: as those of `fused`, with the kernels of `kernels`.

Equal to the published form up to rounding, as `fused` is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamderain.networks.drsformer.fused import FusedAttention, fused
from streamderain.networks.drsformer.network import (
    DRSformer,
    LayerNorm,
    MixedScaleFeedForward,
    SparseTransformerBlock,
    TopKSparseAttention,
)
from streamderain.networks.drsformer.triton import kernels

NORMED_UP_TO = 256
"""Channels up to which normalisation and projection are one kernel, which then reads its pixels once. Nobody has
measured yet where two are quicker.
"""

ALIGNED = 8
"""A group of channels begins at a multiple of so many, so that the kernels read 16 bytes at a time."""


def with_kernels(network: DRSformer) -> DRSformer:
    """A network that computes what `network`, the published one, does, with blocks that call the kernels; `network`
    itself stays as it is.

    The rest is as in `fused`, and `lowered` takes it like a fused network.
    """
    return fused(network, KernelBlock)


class KernelBlock(nn.Module):
    """A SparseTransformerBlock."""

    def __init__(self, block: SparseTransformerBlock) -> None:
        super().__init__()
        self.attn = KernelAttention(block.norm1, block.attn)
        self.ffn = KernelFeedForward(block.norm2, block.ffn)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, channels innermost."""
        # Shuffled pixels come with channels outermost.
        x = x.contiguous(memory_format=torch.channels_last)
        x = x + self.attn(x)
        out: Tensor = x + self.ffn(x)
        return out


class KernelAttention(FusedAttention):
    """LayerNorm, then TopKSparseAttention, with queries, keys and values side by side in one picture."""

    def __init__(self, norm: LayerNorm, attention: TopKSparseAttention) -> None:
        super().__init__(norm, attention)
        del self.query, self.key, self.value
        self.pointwise = _NormedPointwise(norm, attention.qkv.weight)
        self.depthwise = copy.deepcopy(attention.qkv_dwconv)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), channels innermost -> the same."""
        # In which layout a convolution answers is up to its library.
        both = self.depthwise(self.pointwise(x)).contiguous(memory_format=torch.channels_last)
        query, key, value = torch.split(both, self.dim, dim=1)
        values = value.permute(0, 2, 3, 1)
        mixed = values.flatten(1, 2) @ self._mixing(query, key).to(x)
        return mixed.view(values.shape).permute(0, 3, 1, 2)

    def _mixing(self, query: Tensor, key: Tensor) -> Tensor:
        """(N, C, H, W) queries and keys -> (N, C, C), what the values of a pixel are multiplied with."""
        products, *squares = kernels.attention_statistics(query, key, self.heads)
        rows, columns = (each.sqrt().clamp(min=1e-12).view(-1, self.heads, self.width) for each in squares)
        scores = products * self.temperature / rows[..., :, None] / columns[..., None, :]
        return (self._sparse(scores).transpose(2, 3) @ self.projection).view(-1, self.dim, self.dim)


class KernelFeedForward(nn.Module):
    """LayerNorm, then MixedScaleFeedForward (eq. 6).

    Each of the two second convolutions reads pairs of neighbours in a row of channels: `hidden` of them behind 3x3
    kernels, which make the narrow pairs, then the same behind 5x5, which make the broad ones. Here the channels stand
    in two groups, those of odd number and those of even number, so that both of a pair have the same place in their
    groups. Groups are filled up with channels that stay zero.

    Where `hidden` is odd, one pair has the last channel behind its 3x3 kernel and the first one behind its 5x5. The
    last channel then stands once more, in front of the odd ones, with its 3x3 kernel in the middle of a 5x5 one; that
    pair is the first broad one, and the narrow ones begin one place later among the odd channels.
    """

    def __init__(self, norm: LayerNorm, ffn: MixedScaleFeedForward) -> None:
        super().__init__()
        hidden = len(ffn.dwconv3x3_1.weight)
        self.odd, self.size = hidden % 2, -(-hidden // (2 * ALIGNED)) * ALIGNED
        last = slice(hidden - self.odd, hidden)
        matrices, smalls, larges = (
            torch.split(each.weight, hidden) for each in (ffn.project_in, ffn.dwconv3x3, ffn.dwconv5x5)
        )
        middles = [F.pad(small[last], (1, 1, 1, 1)) for small in smalls]
        self.pointwise = _NormedPointwise(norm, self._grouped(matrices, [each[last] for each in matrices]))
        self.small = _Depthwise(self._grouped(smalls, [each[last] for each in smalls]))
        self.large = _Depthwise(self._grouped(larges, middles))
        # Narrow pairs and broad ones of one second convolution, then of the other.
        pairs = [hidden // 2, hidden - hidden // 2]
        sums = [part for each in (ffn.dwconv3x3_1, ffn.dwconv5x5_1) for part in torch.split(each.weight, pairs)]
        if self.odd:
            # From the pair of both kinds on, the channel of odd number is the first of a pair.
            sums[1::2] = [each.flip(1) for each in sums[1::2]]
        self.sums = nn.ModuleList(_DepthwiseSum(_filled(each, self.size)) for each in sums)
        columns = torch.split(ffn.project_out.weight[:, :, 0, 0].t(), 2 * pairs)
        self.project = nn.Linear(4 * self.size, ffn.project_out.out_channels, bias=False, device="meta")
        self.project.weight = _parameter(torch.cat([_filled(each, self.size) for each in columns]).t().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), channels innermost -> the same."""
        wide = self.pointwise(x)
        pictures = kernels.depthwise_pair(wide, self.small.taps, self.large.taps)
        # What has been read is as large as the answers are.
        answers = torch.split(wide, self.size, dim=1)
        for number, (add, answer) in enumerate(zip(self.sums, answers, strict=True)):
            half, broad = divmod(number, 2)
            odd, even = 2 * half * self.size, (2 * half + 1) * self.size
            odd += 0 if broad else self.odd
            add(*(pictures[broad][:, begin : begin + self.size] for begin in (even, odd)), answer)
        out: Tensor = self.project(wide.permute(0, 2, 3, 1))
        return out.permute(0, 3, 1, 2)

    def _grouped(self, halves: Sequence[Tensor], firsts: Sequence[Tensor]) -> Tensor:
        """What belongs to the channels of each second convolution, (hidden, ...), and to the one in front of its odd
        ones, if there is one -> (4 * size, ...), the groups.
        """
        groups = [
            group
            for half, first in zip(halves, firsts, strict=True)
            for group in (torch.cat((first, half[1::2])), half[::2])
        ]
        return torch.cat([_filled(each, self.size) for each in groups])


class _NormedPointwise(nn.Linear):
    """LayerNorm, then the 1x1 convolution of (outputs, C, 1, 1) `weight`."""

    def __init__(self, norm: LayerNorm, weight: Tensor) -> None:
        super().__init__(weight.shape[1], weight.shape[0], device="meta")
        flat = weight[:, :, 0, 0]
        self.weight = _parameter(flat * norm.body.weight)
        self.bias = _parameter(flat @ norm.body.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), channels innermost -> (N, outputs, H, W), channels innermost."""
        if self.in_features <= NORMED_UP_TO:
            return kernels.normed_pointwise(x, self.weight, self.bias)
        normed = F.layer_norm(x.permute(0, 2, 3, 1), (self.in_features,), eps=1e-5)
        return super().forward(normed).permute(0, 3, 1, 2)


class _Depthwise(nn.Conv2d):
    """The (C, 1, k, k) weights of a depthwise convolution; a module of a kind that `lowered` knows.

    Held as (1, C, k, k), where channels that are neighbours are so in memory too, with channels innermost.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__(len(weight), 1, weight.shape[-1], bias=False, device="meta")
        self.weight = _parameter(weight.transpose(0, 1).contiguous(memory_format=torch.channels_last))

    @property
    def taps(self) -> Tensor:
        """(C, 1, k, k), as `tap_major` lays them."""
        return self.weight.transpose(0, 1)


class _DepthwiseSum(nn.Module):
    """Two depthwise convolutions, of (C, 2, k, k) `weights`, of two pictures; their sum, and ReLU."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.even, self.odd = (_Depthwise(each) for each in torch.split(weights, 1, dim=1))

    def forward(self, even: Tensor, odd: Tensor, out: Tensor) -> None:
        """(N, C, H, W) each, channels innermost; `out` is written."""
        kernels.depthwise_sum(even, odd, self.even.taps, self.odd.taps, out)


def _filled(numbers: Tensor, size: int) -> Tensor:
    """(channels, ...) -> (size, ...), with zeros behind."""
    return F.pad(numbers, (0, 0) * (numbers.dim() - 1) + (0, size - len(numbers)))


def _parameter(numbers: Tensor) -> nn.Parameter:
    return nn.Parameter(numbers.detach().clone())
