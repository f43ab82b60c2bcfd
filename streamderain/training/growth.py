"""A trained network made wider and deeper without changing what it computes, so that it need not begin anew; or made to
look at single pictures, with which it computes what it did with windows of copies.

After Net2Net (Chen, Goodfellow and Shlens, 2016, arXiv 1511.05641): every channel of a level is taken twice, and the
weights that read it are halved; further residual blocks begin as zero. A little noise lets the twins part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant

NOISE = 0.05
"""Standard deviation of the noise over that of the weights it is added to."""

_Map = Tensor
"""For each channel of the wide network, the channel of the narrow one that it repeats."""


def can_grow(narrow: Variant, wide: Variant) -> bool:
    """Whether `wide` is `narrow`, perhaps with levels of twice the width, with more residual blocks, or aligned, or for
    single pictures.
    """
    same = ("blocks", "expansion", "scale")
    looks_as_far = (narrow.past, narrow.future) == (wide.past, wide.future) and wide.aligned >= narrow.aligned
    heads = zip(narrow.blocks, narrow.heads, wide.heads, strict=True)
    fewer, more = (each.dense + each.residual for each in (narrow, wide))
    return (
        all(new in (old, 2 * old) for old, new in zip(narrow.widths, wide.widths, strict=True))
        and (looks_as_far or wide.frames == 1)
        and all(getattr(narrow, name) == getattr(wide, name) for name in same)
        and all(old == new for blocks, old, new in heads if blocks)
        and not (narrow.mefc or wide.mefc)
        and all(new >= old for old, new in zip(fewer, more, strict=True))
    )


def grown(state: Mapping[str, Tensor], wide: Variant, noise: float = NOISE, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a `wide` network that computes what the narrow one of `state` does, but for the noise.

    Attention is an approximation: of twice as many scores, the top thirds and fifths round elsewhere.
    """
    torch.manual_seed(seed)
    new = DRSformer(wide).state_dict()
    narrow = Variant.of(state)
    _Grower(state, new, narrow, wide).grow()
    if wide.widths != narrow.widths:
        for value in new.values():
            if value.dim() == 4 and value.abs().max() > 0:
                value += noise * value.std() * torch.randn_like(value)
    return new


class _Grower:
    """Writes the weights of the narrow network, `old`, into those of the `wide` one, `new`."""

    def __init__(self, old: Mapping[str, Tensor], new: dict[str, Tensor], narrow: Variant, wide: Variant) -> None:
        self.old, self.new, self.narrow, self.wide = old, new, narrow, wide

    def grow(self) -> None:
        channels = [self._repeated(depth) for depth in range(4)]
        # What an Upsample gives stands before what the encoder's level gives.
        joined = [torch.cat((own, own + width)) for own, width in zip(channels, self.narrow.widths, strict=True)]
        self._stem(channels[0])
        self._residual_blocks("encoder_level0", self.narrow.dense[0], channels[0])
        for depth, level in enumerate(("encoder_level1", "encoder_level2", "encoder_level3", "latent")):
            self._level(level, depth, channels[depth])
        for depth, level in ((1, "decoder_level2"), (2, "decoder_level3")):
            self._level(level, depth, channels[depth])
            self._convolution(f"reduce_chan_level{depth + 1}", channels[depth], joined[depth])
        self._level("decoder_level1", 0, joined[0])
        for depth, (down, up) in enumerate((("down1_2", "up2_1"), ("down2_3", "up3_2"), ("down3_4", "up4_3"))):
            self._convolution(f"{down}.body.0", self._repeated(depth + 1, 1 / 4), channels[depth])
            self._convolution(f"{up}.body.0", self._repeated(depth, 4), channels[depth + 1])
        self._residual_blocks("refinement", self.narrow.dense[1], joined[0])
        self._convolution("output", None, joined[0])
        if self.narrow.aligned and self.wide.aligned:
            self._convolution("vote", None, joined[0])

    def _stem(self, outputs: _Map) -> None:
        # An aligned network reads more than frames, behind them: how far medians leave the frame, of copies not at all.
        weight = self.old["patch_embed.proj.weight"][outputs]
        if self.wide.frames == 1:
            pixel = 3 * self.wide.scale**2
            frames = weight[:, : self.narrow.frames * pixel]
            weight = frames.reshape(len(frames), -1, pixel, *frames.shape[2:]).sum(dim=1)
        self.new["patch_embed.proj.weight"].zero_()
        self.new["patch_embed.proj.weight"][:, : weight.shape[1]].copy_(weight)

    def _repeated(self, depth: int, share: float = 1) -> _Map:
        """Of a level's channels, or of `share` as many: four pixels are shuffled out of one, or into it."""
        narrow, wide = self.narrow.widths[depth], self.wide.widths[depth]
        return torch.arange(int(narrow * share)).repeat(wide // narrow)

    def _convolution(self, name: str, outputs: _Map | None, inputs: _Map | None, new_name: str = "") -> None:
        weight, new_name = self.old[f"{name}.weight"], new_name or name
        weight = weight if outputs is None else weight[outputs]
        # What is read twice counts half.
        weight = weight if inputs is None else weight[:, inputs] * (weight.shape[1] / len(inputs))
        self.new[f"{new_name}.weight"].copy_(weight)
        if f"{name}.bias" in self.old:
            bias = self.old[f"{name}.bias"]
            self.new[f"{new_name}.bias"].copy_(bias if outputs is None else bias[outputs])

    def _level(self, level: str, depth: int, channels: _Map) -> None:
        self._residual_blocks(level, self.narrow.residual[depth], channels)
        for number in range(self.narrow.blocks[depth]):
            # Further residual blocks stand in front.
            old, new = (f"{level}.{each.residual[depth] + number}" for each in (self.narrow, self.wide))
            self._transformer_block(old, new, self.narrow.heads[depth], channels)

    def _residual_blocks(self, level: str, count: int, channels: _Map) -> None:
        for number in range(count):
            for layer in ("first", "second"):
                self._convolution(f"{level}.{number}.{layer}", channels, channels)

    def _transformer_block(self, old: str, new: str, heads: int, channels: _Map) -> None:
        for norm in ("norm1", "norm2"):
            for part in ("weight", "bias"):
                self._take(f"{old}.{norm}.body.{part}", channels, f"{new}.{norm}.body.{part}")
        self._attention(f"{old}.attn", f"{new}.attn", heads, channels)
        self._feed_forward(f"{old}.ffn", f"{new}.ffn", channels)

    def _take(self, name: str, channels: _Map, new_name: str) -> None:
        self.new[new_name].copy_(self.old[name][channels])

    def _attention(self, old: str, new: str, heads: int, channels: _Map) -> None:
        width = self.old[f"{old}.project_out.weight"].shape[0]
        # Twins stay in the head of their original.
        in_heads = _twins(torch.split(torch.arange(width), width // heads), len(channels))
        triple = torch.cat([in_heads + part * width for part in range(3)])
        self._convolution(f"{old}.qkv", triple, channels, f"{new}.qkv")
        self._take(f"{old}.qkv_dwconv.weight", triple, f"{new}.qkv_dwconv.weight")
        self._convolution(f"{old}.project_out", channels, in_heads, f"{new}.project_out")
        for other in ("temperature", "attn1", "attn2", "attn3", "attn4"):
            self.new[f"{new}.{other}"].copy_(self.old[f"{old}.{other}"])

    def _feed_forward(self, old: str, new: str, channels: _Map) -> None:
        hidden, wide = (
            state[f"{name}.dwconv3x3_1.weight"].shape[0] for state, name in ((self.old, old), (self.new, new))
        )
        # Both stages split their channels in halves, which twins must not leave.
        halves = _twins(torch.split(torch.arange(2 * hidden), hidden), 2 * wide)
        mixed = _twins(torch.split(torch.arange(hidden), [hidden // 2, hidden - hidden // 2]), wide)
        self._convolution(f"{old}.project_in", halves, channels, f"{new}.project_in")
        for kernel in ("3x3", "5x5"):
            self._take(f"{old}.dwconv{kernel}.weight", halves, f"{new}.dwconv{kernel}.weight")
            self._take(f"{old}.dwconv{kernel}_1.weight", mixed, f"{new}.dwconv{kernel}_1.weight")
        self._convolution(f"{old}.project_out", channels, torch.cat((mixed, mixed + hidden)), f"{new}.project_out")


def _twins(groups: Sequence[_Map], channels: int) -> _Map:
    """Each group as often, in its own place, as makes so many channels of all."""
    times = channels // sum(map(len, groups))
    return torch.cat([group.repeat(times) for group in groups])
