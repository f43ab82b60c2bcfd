"""Clips through the engine as a live stream on this machine takes them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from streamderain.config import LiveConfig
from streamderain.engine.colour import add_rgb, to_rgb
from streamderain.engine.engine import Dials, Engine
from streamderain.frames import Effort, Frame, Network, PixelLayout, Restored
from streamderain.live.run import for_live


def frames(pictures: Tensor, frame_rate: int) -> Iterator[Frame]:
    """(T, 3, H, W) uint8 RGB as frames whose planes hold all of its colours."""
    layout = PixelLayout(*pictures.shape[-2:], chroma="444", full_range=True)
    black = torch.zeros(1, layout.samples, dtype=torch.uint8)
    black[:, layout.height * layout.width :] = 128
    for number, picture in enumerate(pictures):
        yield Frame(add_rgb(black, picture[None] / 255, layout)[0], layout, number, Fraction(1, frame_rate))


def live(network: Network, pictures: Tensor, frame_rate: int, effort: Effort = Effort.FULL) -> Iterator[Restored]:
    """Each frame before and after, with the settings of a live stream, blending off."""
    config = for_live(LiveConfig(device="cpu", blend=0.0), network.device)
    engine = Engine(network, config, Dials(config.strength, 0.0, effort))
    engine.prepare(next(frames(pictures, frame_rate)), may_halve=effort is Effort.HALF)
    return engine.run(frames(pictures, frame_rate))


def picture(frame: Frame) -> Tensor:
    """(3, H, W) uint8 RGB."""
    return to_rgb(frame.data[None], frame.layout).clamp_(0, 1).mul_(255).round_().to(torch.uint8)[0]
