"""Variant: what tells one DRSformer from another, and how it is read from weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from streamderain.networks.drsformer.alignment import candidate_count
from streamderain.temporal.lucas_kanade import ROUNDS, SMALLEST


@dataclass(frozen=True)
class Variant:
    """Everything that tells one DRSformer from another; the defaults are the published network.

    `widths`, in channels, `blocks`, `heads` and `residual` go from full resolution down to the latent level, and the
    decoder repeats the encoder's, at its first level at twice the width. `residual` counts the residual blocks of
    dense convolutions that stand in front of a level's transformer blocks. `expansion` is the feed-forward network's
    hidden width over its input width. `past` and `future` count the neighbouring frames that enter beside the current
    one. `dense` counts the residual blocks before and behind the U-net, where `mefc` has its experts; only one of the
    two can be. `aligned` moves the neighbours onto the current frame before anything else, and lets each pixel choose
    between the current frame and what several agree on. `mirrored` runs each picture through the trunk as it is and as
    a mirror shows it, once trained, and takes the mean of both answers: the "enhanced prediction" of Timofte et al.
    ("Seven ways to improve example-based single image super resolution", CVPR 2016) with two of its eight views.

    Raises ValueError for widths that heads do not divide, or that no pixels can be shuffled into.
    """

    widths: tuple[int, int, int, int] = (48, 96, 192, 384)
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    residual: tuple[int, int, int, int] = (0, 0, 0, 0)
    expansion: float = 2.66
    mefc: bool = True
    scale: int = 1
    past: int = 0
    future: int = 0
    dense: tuple[int, int] = (0, 0)
    aligned: bool = False
    mirrored: bool = False

    def __post_init__(self) -> None:
        if min(self.widths) < 1 or any(width % 4 for width in self.widths[1:]):
            raise ValueError(f"widths is {self.widths}; allowed: multiples of 4 below the first level")
        for width, heads, blocks in zip(self.widths, self.heads, self.blocks, strict=True):
            if blocks and (heads < 1 or width % heads):
                raise ValueError(f"{heads} heads cannot share {width} channels; set heads that divide widths")

    @property
    def frames(self) -> int:
        """Frames that the network reads for each that it returns."""
        return self.past + 1 + self.future

    @property
    def pictures(self) -> int:
        """Pictures that it is given where its frames were aligned outside: they, and the medians of them."""
        return self.frames + candidate_count(self.past) - 1

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be divisible by this: three halvings below the stem, and as many
        below half the resolution where motion is looked for.
        """
        return max(8 * self.scale, 16 * self.aligned)

    @property
    def least_side(self) -> int:
        """Height and width from which on motion is looked for at all resolutions, as a trace does at any size."""
        return 2 * SMALLEST * 2 ** (len(ROUNDS) - 1) if self.aligned else 1

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Variant:
        """The variant that a state dict belongs to, read from its names and shapes.

        Raises KeyError when a name that every DRSformer has is missing, and other errors of look-up and
        arithmetic where the shapes are not those of a DRSformer.
        """

        def parts(level: str) -> int:
            return len({name.split(".")[1] for name in state if name.startswith(f"{level}.")})

        def dense(level: str) -> int:
            return sum(name.startswith(f"{level}.") and name.endswith(".first.weight") for name in state)

        def heads(depth: int) -> int:
            temperature = state.get(f"{levels[depth]}.{residual[depth]}.attn.temperature")
            return cls.heads[depth] if temperature is None else temperature.shape[0]

        levels = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
        stem = state["patch_embed.proj.weight"].shape[0]
        below = (state[f"{name}.body.0.weight"].shape[0] * 4 for name in ("down1_2", "down2_3", "down3_4"))
        widths = _four([stem, *below])
        residual = _four([dense(level) for level in levels])
        blocks = _four([parts(level) - count for level, count in zip(levels, residual, strict=True)])
        hidden = {
            width: state[f"{level}.{first}.ffn.project_out.weight"].shape[1] / 2
            for width, level, first, count in zip(widths, levels, residual, blocks, strict=True)
            if count or level == "latent"
        }
        mefc = "encoder_level0.layers.1.preprocess.op.0.weight" in state
        past, future = state["window"].tolist() if "window" in state else (0, 0)
        if min(past, future) < 0:
            raise ValueError(f"{past = }, {future = }")
        return cls(
            widths=widths,
            blocks=blocks,
            heads=_four([heads(depth) for depth in range(4)]),
            residual=residual,
            expansion=_expansion(hidden),
            mefc=mefc,
            dense=(0, 0) if mefc else (parts("encoder_level0"), parts("refinement")),
            scale=math.isqrt(state["output.weight"].shape[0] // 3),
            past=past,
            future=future,
            aligned="vote.weight" in state,
            mirrored="mirrored" in state,
        )


def _four(numbers: Sequence[int]) -> tuple[int, int, int, int]:
    first, second, third, latent = numbers
    return first, second, third, latent


def _expansion(hidden: Mapping[int, float]) -> float:
    """The shortest decimal expansion that gives these hidden widths, by width; they are rounded down."""
    # The widest level leaves the narrowest interval.
    widest = max(hidden)
    for digits in range(1, 7):
        candidate = math.ceil(hidden[widest] / widest * 10.0**digits) / 10.0**digits
        if all(int(width * candidate) == each for width, each in hidden.items()):
            return candidate
    return hidden[widest] / widest
