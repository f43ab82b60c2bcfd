"""What viewers see before the first picture is there."""

from __future__ import annotations

from fractions import Fraction

import torch

from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.wall import TIME_BASE

USUAL = VideoInfo("", "yuv420p", 720, 1280, TIME_BASE, Fraction(25))
"""The picture of a source of which nothing is known."""


def blank(layout: PixelLayout, seconds: float) -> Frame:
    """A black frame of that presentation time."""
    data = torch.full((layout.samples,), 1 << (layout.bits - 1), dtype=torch.uint8 if layout.bits == 8 else torch.int16)
    layout.split(data)[0].fill_(0 if layout.full_range else 16 << (layout.bits - 8))
    return Frame(data, layout, round(seconds / TIME_BASE), TIME_BASE)
