"""The function of a DRSformer with less work and less memory traffic, for inference alone.

What is linear and stands in a row becomes one matrix: the four branches of the attention and its projection; a
normalisation's weights and the projection behind it; an expert's last projection and the layer that joins the
experts. Queries and keys are normalised on their small matrix of products instead of on the pixels. The
convolutions of two inputs to one output, for which no library has a fast kernel, become sums of depthwise ones.

Equal to the published form up to rounding. Where rounding swaps two scores at the edge of what a branch keeps,
the answers differ by more, in a whole row of the attention.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamderain.networks.drsformer.experts import EXPERTS_PER_STEP, ExpertLayer, ExpertSteps, MixtureOfExperts
from streamderain.networks.drsformer.network import (
    KEPT_FRACTIONS,
    DRSformer,
    LayerNorm,
    MixedScaleFeedForward,
    SparseTransformerBlock,
    TopKSparseAttention,
)


def fused(network: DRSformer, block: Callable[[SparseTransformerBlock], nn.Module] | None = None) -> DRSformer:
    """A network that computes what `network` does, with fused blocks; `network` itself stays as it is.

    `block` makes of a transformer block what stands in its place, a FusedBlock by default.

    It has no state dict that could be loaded or saved, and cannot be trained.
    """
    quick = copy.deepcopy(network)
    _replace(quick, block or FusedBlock)
    return quick.eval().requires_grad_(False)


def lowered(network: DRSformer, dtype: torch.dtype) -> DRSformer:
    """A fused network whose trunk takes and gives `dtype`, such as torch.bfloat16; `network` itself, changed.

    Convolutions are in `dtype`; normalisation and the attention's scores are worked out in float32 all the same.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(dtype)
    return network


def _replace(module: nn.Module, block: Callable[[SparseTransformerBlock], nn.Module]) -> None:
    for name, child in module.named_children():
        if isinstance(child, SparseTransformerBlock):
            setattr(module, name, block(child))
        elif isinstance(child, MixtureOfExperts):
            setattr(module, name, FusedExperts(child))
        else:
            _replace(child, block)


class FusedBlock(nn.Module):
    """A SparseTransformerBlock."""

    def __init__(self, block: SparseTransformerBlock) -> None:
        super().__init__()
        self.attn = FusedAttention(block.norm1, block.attn)
        self.ffn = FusedFeedForward(block.norm2, block.ffn)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        x = x + self.attn(x)
        out: Tensor = x + self.ffn(x)
        return out


class FusedAttention(nn.Module):
    """LayerNorm, then TopKSparseAttention: eqs. 3 to 5, with one matrix for all branches and the projection."""

    own_head: Tensor
    temperature: Tensor
    projection: Tensor
    branch_weights: Tensor
    keeps: Tensor

    def __init__(self, norm: LayerNorm, attention: TopKSparseAttention) -> None:
        super().__init__()
        self.dim = dim = attention.project_out.weight.shape[0]
        self.heads = attention.temperature.shape[0]
        self.width = dim // self.heads
        parts = zip(*(torch.split(each.weight, dim) for each in (attention.qkv, attention.qkv_dwconv)), strict=True)
        self.query, self.key, self.value = (
            nn.Sequential(_after_norm(norm, pointwise), _depthwise(depthwise)) for pointwise, depthwise in parts
        )
        # Of the products of all queries with all keys, those within a head.
        own = torch.arange(dim, device=attention.temperature.device).view(self.heads, 1, self.width)
        self.register_buffer("own_head", own.expand(-1, self.width, -1).reshape(dim, self.width))
        self.register_buffer("temperature", attention.temperature)
        # (heads, width, dim): each head's part of the projection, transposed.
        projection = attention.project_out.weight.view(dim, self.heads, self.width).permute(1, 2, 0)
        self.register_buffer("projection", projection.contiguous())
        weights = torch.cat([attention.get_parameter(f"attn{branch}") for branch in range(1, len(KEPT_FRACTIONS) + 1)])
        self.register_buffer("branch_weights", weights)
        kept = [max(1, self.width * numerator // denominator) for numerator, denominator in KEPT_FRACTIONS]
        # (ranks, branches): one where the branch keeps the score of that rank.
        keeps = [[float(rank < count) for count in kept] for rank in range(max(kept))]
        self.register_buffer("keeps", weights.new_tensor(keeps))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        normed = _normalised(x, self.dim)
        mixing = self._mixing(_tokens(self.query(normed)), _tokens(self.key(normed)))
        return _picture(_tokens(self.value(normed)) @ mixing.to(x), x)

    def _mixing(self, query: Tensor, key: Tensor) -> Tensor:
        """(N, H * W, C) queries and keys -> (N, C, C), what the values of a pixel are multiplied with."""
        count, _, dim = query.shape
        query, key = _precise(query), _precise(key)
        products = query.transpose(1, 2) @ key
        if self.heads > 1:
            products = products.gather(2, self.own_head.expand(count, -1, -1))
        scores = products.view(count, self.heads, self.width, self.width) * self.temperature
        scores = scores / self._lengths(query)[..., :, None] / self._lengths(key)[..., None, :]
        # (N, heads, width of keys, C) -> (N, C of keys, C)
        return (self._sparse(scores).transpose(2, 3) @ self.projection).view(count, dim, dim)

    def _lengths(self, tokens: Tensor) -> Tensor:
        """(N, H * W, C) -> (N, heads, width), over all pixels; at least what F.normalize divides by."""
        return tokens.square().sum(dim=1).sqrt().clamp(min=1e-12).view(-1, self.heads, self.width)

    def _sparse(self, scores: Tensor) -> Tensor:
        """What TopKSparseAttention's `_sparse` returns, with one search for all branches."""
        top, index = self._ranked(scores)
        exponentials = (top - top[..., :1]).exp()
        shares = (self.branch_weights / (exponentials @ self.keeps)) @ self.keeps.t()
        return torch.zeros_like(scores).scatter(-1, index, exponentials * shares)

    def _ranked(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """What any branch keeps of each row, largest first, and the places of these scores."""
        top, index = scores.topk(self.keeps.shape[0], dim=-1)
        return top, index


class FusedFeedForward(nn.Module):
    """LayerNorm, then MixedScaleFeedForward (eq. 6)."""

    def __init__(self, norm: LayerNorm, ffn: MixedScaleFeedForward) -> None:
        super().__init__()
        self.dim = ffn.project_out.weight.shape[0]
        seconds = (ffn.dwconv3x3_1.weight, ffn.dwconv5x5_1.weight)
        projections = ffn.project_out.weight.chunk(2, dim=1)
        self.halves = nn.ModuleList(
            _Half(norm, ffn, number * len(second), second, projection)
            for number, (second, projection) in enumerate(zip(seconds, projections, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        normed = _normalised(x, self.dim)
        out: Tensor = self.halves[0](normed) + self.halves[1](normed)
        return out


class _Half(nn.Module):
    """What reaches one of the two second convolutions, and what becomes of it up to the output.

    `second`, (hidden, 2, k, k), reads pairs of neighbours in a row of channels: `hidden` of them from `begin` on
    behind 3x3 kernels, then the same behind 5x5. The first of all pairs come as one tensor here and the second of
    all pairs as another, so that each meets a depthwise convolution and nothing is cut or joined. Pairs behind 3x3
    are one branch, those behind 5x5 the other; where `hidden` is odd, one pair has a channel of each kind and goes
    with the 5x5 ones, its 3x3 kernel in the middle of a 5x5 one.
    """

    def __init__(
        self, norm: LayerNorm, ffn: MixedScaleFeedForward, begin: int, second: Tensor, projection: Tensor
    ) -> None:
        super().__init__()
        hidden = len(second)
        own = slice(begin, begin + hidden)
        small, large = ffn.dwconv3x3.weight[own], ffn.dwconv5x5.weight[own]
        pairs = [(first, first + 1) for first in range(0, 2 * hidden, 2)]
        narrow, broad = pairs[: hidden // 2], pairs[hidden // 2 :]
        self.narrow = _Pairs(small, narrow, second[: len(narrow)], projection[:, : len(narrow)])
        kernels = torch.cat((F.pad(small, (1, 1, 1, 1)), large))
        self.broad = _Pairs(kernels, broad, second[len(narrow) :], projection[:, len(narrow) :])
        orders = [
            [place % hidden for place in places] for branch in (narrow, broad) for places in zip(*branch, strict=True)
        ]
        # Both branches read the same where `hidden` is even.
        distinct = [order for number, order in enumerate(orders) if order not in orders[:number]]
        self.reads = [distinct.index(order) for order in orders]
        self.inputs = nn.ModuleList(_after_norm(norm, ffn.project_in.weight[own][order]) for order in distinct)

    def forward(self, normed: Tensor) -> Tensor:
        inputs = [project(normed) for project in self.inputs]
        pairs = [inputs[number] for number in self.reads]
        out: Tensor = self.narrow(*pairs[:2]) + self.broad(*pairs[2:])
        return out


class _Pairs(nn.Module):
    """The first convolutions of pairs of channels, given by their places in `kernels`; the second ones, and their part
    of the projection.
    """

    def __init__(self, kernels: Tensor, pairs: list[tuple[int, int]], second: Tensor, projection: Tensor) -> None:
        super().__init__()
        self.firsts = nn.ModuleList(_depthwise(kernels[list(places)]) for places in zip(*pairs, strict=True))
        self.seconds = nn.ModuleList(_depthwise(each) for each in torch.split(second, 1, dim=1))
        self.project = _pointwise(projection)

    def forward(self, *pair: Tensor) -> Tensor:
        one, other = (
            second(F.relu(first(x))) for x, first, second in zip(pair, self.firsts, self.seconds, strict=True)
        )
        out: Tensor = self.project(F.relu(one + other))
        return out


class FusedExperts(nn.Module):
    """A MixtureOfExperts (section 3.4)."""

    def __init__(self, experts: MixtureOfExperts) -> None:
        super().__init__()
        steps = experts.layers[1]
        assert isinstance(steps, ExpertSteps)
        self.weigh = copy.deepcopy(experts.layers[0])
        self.preprocess = copy.deepcopy(steps.preprocess)
        self.steps = nn.ModuleList(FusedExpertLayer(layer) for layer in steps._ops if isinstance(layer, ExpertLayer))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        weights = self.weigh(x)
        x = self.preprocess(x)
        for number, step in enumerate(self.steps):
            x = F.relu(x + step(x, weights[:, number]))
        return x


class FusedExpertLayer(nn.Module):
    """An ExpertLayer (eq. 7): each expert's last projection, its weight and the join are one matrix."""

    tails: Tensor

    def __init__(self, layer: ExpertLayer) -> None:
        super().__init__()
        join = layer._out[0].get_parameter("weight")
        dim = join.shape[0]
        experts = [
            _expert(expert, part) for expert, part in zip(layer._ops, torch.split(join, dim, dim=1), strict=True)
        ]
        self.bodies = nn.ModuleList(body for body, _ in experts)
        # (8, C, C), from the experts' channels to those of the join.
        self.register_buffer("tails", torch.stack([tail[:, :, 0, 0].t() for _, tail in experts]))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(N, C, H, W) features and (N, 8) expert weights -> (N, C, H, W)."""
        answers = torch.cat([_tokens(body(x)) for body in self.bodies], dim=2)
        matrix = (weights.view(-1, EXPERTS_PER_STEP, 1, 1) * self.tails).flatten(1, 2)
        return F.relu(_picture(answers @ matrix.to(answers), x))


def _expert(expert: nn.Module, join: Tensor) -> tuple[nn.Module, Tensor]:
    """What of an expert stays a module, and the 1x1 weights, (C, C, 1, 1), of the rest with its part of the join."""
    if isinstance(expert, nn.AvgPool2d):
        return copy.deepcopy(expert), join
    layers = copy.deepcopy(expert.get_submodule("op"))
    assert isinstance(layers, nn.Sequential)
    *body, depthwise, pointwise = layers
    tail = _product(join, pointwise.get_parameter("weight"))
    kernel = depthwise.get_parameter("weight")
    if kernel.shape[-1] > 1:
        return nn.Sequential(*body, depthwise), tail
    # A depthwise convolution of single pixels scales what the next one reads.
    scale, first, activation = body
    scaled = first.get_parameter("weight") * scale.get_parameter("weight").transpose(0, 1)
    return nn.Sequential(_pointwise(scaled), activation), tail * kernel.transpose(0, 1)


def _product(second: Tensor, first: Tensor) -> Tensor:
    """The weights of one 1x1 convolution that does what `first` and then `second` do."""
    return (second[:, :, 0, 0] @ first[:, :, 0, 0])[..., None, None]


def _precise(x: Tensor) -> Tensor:
    """In float32 where it is in less: what is rounded among the scores swaps their order."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _normalised(x: Tensor, dim: int) -> Tensor:
    """LayerNorm without its weights: (N, C, H, W) -> the same shape; C is `dim`, a number even in a traced network."""
    pixels = x.flatten(2).transpose(1, 2)
    return F.layer_norm(pixels, (dim,), eps=1e-5).transpose(1, 2).reshape(x.shape)


def _after_norm(norm: LayerNorm, weight: Tensor) -> nn.Conv2d:
    """A 1x1 convolution of (outputs, C, 1, 1) `weight` that also does what `norm` does behind its normalisation."""
    flat = weight[:, :, 0, 0]
    return _pointwise(weight * norm.body.weight.view(1, -1, 1, 1), flat @ norm.body.bias)


def _pointwise(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None, device="meta")
    convolution.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        convolution.bias = nn.Parameter(bias.detach().clone())
    return convolution


def _depthwise(weight: Tensor) -> nn.Conv2d:
    channels, _, size, _ = weight.shape
    convolution = nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=False, device="meta")
    convolution.weight = nn.Parameter(weight.detach().clone())
    return convolution


def _tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C), without a copy where channels are innermost."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _picture(tokens: Tensor, like: Tensor) -> Tensor:
    """(N, H * W, C) -> (N, C, H, W) of the height and width of `like`."""
    height, width = like.shape[-2:]
    return tokens.view(tokens.shape[0], height, width, -1).permute(0, 3, 1, 2)
