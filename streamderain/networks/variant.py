"""Variant: what tells one DRSformer from another, and how it is read from weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Variant:
    """Everything that tells one DRSformer from another; the defaults are the published network.

    `blocks` and `heads` go from full resolution down to the latent level, and the decoder repeats
    the encoder's. `expansion` is the feed-forward network's hidden width over its input width.
    `past` and `future` count the neighbouring frames that enter beside the current one. `dense` counts the
    residual blocks before and behind the U-net, where `mefc` has its experts; only one of the two can be.
    `aligned` moves the neighbours onto the current frame before anything else, and lets each pixel choose between
    the current frame and what several agree on.
    """

    dim: int = 48
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    expansion: float = 2.66
    mefc: bool = True
    scale: int = 1
    past: int = 0
    future: int = 0
    dense: tuple[int, int] = (0, 0)
    aligned: bool = False

    @property
    def frames(self) -> int:
        """Frames that the network reads for each that it returns."""
        return self.past + 1 + self.future

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be divisible by this: three halvings below the stem, and as many
        below half the resolution where motion is looked for.
        """
        return max(8 * self.scale, 16 * self.aligned)

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Variant:
        """The variant that a state dict belongs to, read from its names and shapes.

        Raises KeyError when a name that every DRSformer has is missing, and other errors of look-up and
        arithmetic where the shapes are not those of a DRSformer.
        """

        def blocks(level: str) -> int:
            return len({name.split(".")[1] for name in state if name.startswith(f"{level}.")})

        def heads(depth: int) -> int:
            temperature = state.get(f"{levels[depth]}.0.attn.temperature")
            return cls.heads[depth] if temperature is None else temperature.shape[0]

        levels = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
        dim = state["patch_embed.proj.weight"].shape[0]
        hidden = {
            dim * 2**depth: state[f"{level}.0.ffn.project_out.weight"].shape[1] / 2
            for depth, level in enumerate(levels)
            if blocks(level) or level == "latent"
        }
        mefc = "encoder_level0.layers.1.preprocess.op.0.weight" in state
        past, future = state["window"].tolist() if "window" in state else (0, 0)
        if min(past, future) < 0:
            raise ValueError(f"{past = }, {future = }")
        return cls(
            dim=dim,
            blocks=(blocks(levels[0]), blocks(levels[1]), blocks(levels[2]), blocks(levels[3])),
            heads=(heads(0), heads(1), heads(2), heads(3)),
            expansion=_expansion(hidden),
            mefc=mefc,
            dense=(0, 0) if mefc else (blocks("encoder_level0"), blocks("refinement")),
            scale=math.isqrt(state["output.weight"].shape[0] // 3),
            past=past,
            future=future,
            aligned="vote.weight" in state,
        )


def _expansion(hidden: Mapping[int, float]) -> float:
    """The shortest decimal expansion that gives these hidden widths, by width; they are rounded down."""
    # The widest level leaves the narrowest interval.
    widest = max(hidden)
    for digits in range(1, 7):
        candidate = math.ceil(hidden[widest] / widest * 10.0**digits) / 10.0**digits
        if all(int(width * candidate) == each for width, each in hidden.items()):
            return candidate
    return hidden[widest] / widest
