"""A trained network made wider and deeper without changing what it computes, so that it need not begin anew.

After Net2Net (Chen, Goodfellow and Shlens, 2016, arXiv 1511.05641): every channel is taken twice, and the weights
that read it are halved; further residual blocks begin as zero. A little noise lets the twins part.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from streamderain.networks.drsformer import DRSformer
from streamderain.networks.variant import Variant

NOISE = 0.05
"""Standard deviation of the noise over that of the weights it is added to."""

_Map = Tensor
"""For each channel of the wide network, the channel of the narrow one that it repeats."""


def can_grow(narrow: Variant, wide: Variant) -> bool:
    """Whether `wide` is `narrow`, perhaps at twice the width, with more residual blocks, or aligned."""
    same = ("blocks", "heads", "expansion", "scale", "past", "future")
    return (
        wide.dim in (narrow.dim, 2 * narrow.dim)
        and wide.aligned >= narrow.aligned
        and all(getattr(narrow, name) == getattr(wide, name) for name in same)
        and not (narrow.mefc or wide.mefc)
        and all(more >= less for less, more in zip(narrow.dense, wide.dense, strict=True))
    )


def grown(state: Mapping[str, Tensor], wide: Variant, noise: float = NOISE, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a `wide` network that computes what the narrow one of `state` does, but for the noise.

    Attention is an approximation: of twice as many scores, the top thirds and fifths round elsewhere.
    """
    torch.manual_seed(seed)
    new = DRSformer(wide).state_dict()
    _Grower(state, new, wide).grow()
    if wide.dim > len(state["patch_embed.proj.weight"]):
        for value in new.values():
            if value.dim() == 4 and value.abs().max() > 0:
                value += noise * value.std() * torch.randn_like(value)
    return new


class _Grower:
    """Writes the weights of the narrow network, `old`, into those of the `wide` one, `new`."""

    def __init__(self, old: Mapping[str, Tensor], new: dict[str, Tensor], wide: Variant) -> None:
        self.old, self.new, self.wide = old, new, wide
        self.dim = old["patch_embed.proj.weight"].shape[0]
        self.times = wide.dim // self.dim

    def grow(self) -> None:
        dim, repeated = self.dim, self._repeated
        skipped = torch.cat((repeated(dim), repeated(dim, dim)))
        self._stem(repeated(dim))
        self._residual_blocks("encoder_level0", repeated(dim))
        for depth, level in enumerate(("encoder_level1", "encoder_level2", "encoder_level3", "latent")):
            self._transformer_blocks(level, depth, repeated(dim * 2**depth))
        for depth, level in ((1, "decoder_level2"), (2, "decoder_level3")):
            self._transformer_blocks(level, depth, repeated(dim * 2**depth))
        self._transformer_blocks("decoder_level1", 0, skipped)
        for depth, name in enumerate(("down1_2", "down2_3", "down3_4")):
            self._convolution(f"{name}.body.0", repeated(dim * 2**depth // 2), repeated(dim * 2**depth))
        for depth, name in ((1, "up2_1"), (2, "up3_2"), (3, "up4_3")):
            self._convolution(f"{name}.body.0", repeated(dim * 2**depth * 2), repeated(dim * 2**depth))
        for depth in (1, 2):
            width = dim * 2**depth
            joined = torch.cat((repeated(width), repeated(width, width)))
            self._convolution(f"reduce_chan_level{depth + 1}", repeated(width), joined)
        self._residual_blocks("refinement", skipped)
        self._convolution("output", None, skipped)
        if "vote.weight" in self.old:
            self._convolution("vote", None, skipped)

    def _stem(self, outputs: _Map) -> None:
        # An aligned network reads more than frames, behind them.
        weight = self.old["patch_embed.proj.weight"][outputs]
        self.new["patch_embed.proj.weight"].zero_()
        self.new["patch_embed.proj.weight"][:, : weight.shape[1]].copy_(weight)

    def _repeated(self, channels: int, first: int = 0) -> _Map:
        return torch.arange(first, first + channels).repeat(self.times)

    def _convolution(self, name: str, outputs: _Map | None, inputs: _Map | None) -> None:
        weight = self.old[f"{name}.weight"]
        weight = weight if outputs is None else weight[outputs]
        weight = weight if inputs is None else weight[:, inputs] / self.times
        self.new[f"{name}.weight"].copy_(weight)
        if f"{name}.bias" in self.old:
            bias = self.old[f"{name}.bias"]
            self.new[f"{name}.bias"].copy_(bias if outputs is None else bias[outputs])

    def _residual_blocks(self, name: str, channels: _Map) -> None:
        number = 0
        while f"{name}.{number}.first.weight" in self.old:
            for layer in ("first", "second"):
                self._convolution(f"{name}.{number}.{layer}", channels, channels)
            number += 1

    def _transformer_blocks(self, level: str, depth: int, channels: _Map) -> None:
        for number in range(self.wide.blocks[depth]):
            name = f"{level}.{number}"
            for norm in ("norm1", "norm2"):
                for part in ("weight", "bias"):
                    self._take(f"{name}.{norm}.body.{part}", channels)
            self._attention(f"{name}.attn", self.wide.heads[depth], channels)
            self._feed_forward(f"{name}.ffn", channels)

    def _take(self, name: str, channels: _Map) -> None:
        self.new[name].copy_(self.old[name][channels])

    def _attention(self, name: str, heads: int, channels: _Map) -> None:
        width = len(channels) // self.times
        # Twins stay in the head of their original.
        in_heads = torch.cat([self._repeated(width // heads, head * (width // heads)) for head in range(heads)])
        triple = torch.cat([in_heads + part * width for part in range(3)])
        self._convolution(f"{name}.qkv", triple, channels)
        self._take(f"{name}.qkv_dwconv.weight", triple)
        self._convolution(f"{name}.project_out", channels, in_heads)
        for other in ("temperature", "attn1", "attn2", "attn3", "attn4"):
            self.new[f"{name}.{other}"].copy_(self.old[f"{name}.{other}"])

    def _feed_forward(self, name: str, channels: _Map) -> None:
        hidden = self.old[f"{name}.dwconv3x3_1.weight"].shape[0]
        # Both stages split their channels in halves, which twins must not leave.
        halves = torch.cat((self._repeated(hidden), self._repeated(hidden, hidden)))
        mixed = torch.cat((self._repeated(hidden // 2), self._repeated(hidden - hidden // 2, hidden // 2)))
        self._convolution(f"{name}.project_in", halves, channels)
        for kernel in ("3x3", "5x5"):
            self._take(f"{name}.dwconv{kernel}.weight", halves)
            self._take(f"{name}.dwconv{kernel}_1.weight", mixed)
        self._convolution(f"{name}.project_out", channels, torch.cat((mixed, mixed + hidden)))
