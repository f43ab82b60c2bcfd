"""The values that travel through the pipeline: VideoInfo, PixelLayout, Frame, Effort, Restored.

They carry and check; they know no codec and no thread. Beside them, what the pipeline asks of a Network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

Chroma = Literal["gray", "420", "422", "444"]
Matrix = Literal["bt601", "bt709", "bt2020", "fcc", "smpte240m"]


@dataclass(frozen=True)
class PixelLayout:
    """How one flat buffer holds a picture: a luma plane, then two chroma planes, row by row.

    `height` and `width` are those of the coded luma plane, in pixels; `bits` per sample are 8, 10 or
    12; `rotation` is how many degrees counter-clockwise, a multiple of 90, the coded picture must be
    turned to stand upright, and `mirrored` whether left and right are changed over then.
    """

    height: int
    width: int
    chroma: Chroma = "420"
    bits: int = 8
    matrix: Matrix = "bt709"
    full_range: bool = False
    rotation: int = 0
    mirrored: bool = False

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each plane; a half of an odd length is rounded up."""
        luma = (self.height, self.width)
        if self.chroma == "gray":
            return (luma,)
        rows = math.ceil(self.height / 2) if self.chroma == "420" else self.height
        columns = self.width if self.chroma == "444" else math.ceil(self.width / 2)
        return (luma, (rows, columns), (rows, columns))

    @property
    def samples(self) -> int:
        """Samples of all planes together, the length of the flat buffer."""
        return sum(height * width for height, width in self.plane_shapes)

    def split(self, data: Tensor) -> tuple[Tensor, ...]:
        """(..., samples) -> one view of shape (..., height, width) for each plane."""
        lengths = [height * width for height, width in self.plane_shapes]
        planes = torch.split(data, lengths, dim=-1)
        return tuple(
            plane.view(*plane.shape[:-1], *shape) for plane, shape in zip(planes, self.plane_shapes, strict=True)
        )


@dataclass(frozen=True)
class VideoInfo:
    """What a source says of its video before the first frame is decoded.

    `height` and `width` are the coded ones, in pixels. `frame_rate` is the average, in frames per
    second; it, `duration_seconds` and `frames` are None where the header does not say. With
    `has_variable_rate` not all frames are shown for equally long. The colour tags are the numbers of
    ISO/IEC 23091-4, 2 meaning unspecified. `rotation` and `mirrored` are PixelLayout's;
    `display_matrix`, of which they are the gist, holds libav's nine numbers. `chroma_location` is by libav's name,
    `field_order` by its number: 1 progressive, 2 and 5 top field shown first, 3 and 4 bottom first, 0 unknown.

    `mastering_display` holds x and y of red, green, blue and white (CIE 1931), then the least and the most light of
    the display it was graded on, in cd/m2; None for what is not said. `content_light` are the most light of a pixel and
    of a frame's mean, in cd/m2 (CTA-861.3).
    """

    codec: str
    pixel_format: str
    height: int
    width: int
    time_base: Fraction
    frame_rate: Fraction | None = None
    duration_seconds: float | None = None
    frames: int | None = None
    sample_aspect_ratio: Fraction | None = None
    color_range: int = 0
    color_space: int = 2
    color_primaries: int = 2
    color_trc: int = 2
    rotation: int = 0
    mirrored: bool = False
    display_matrix: tuple[int, ...] | None = None
    chroma_location: str = "unspecified"
    field_order: int = 0
    mastering_display: tuple[Fraction | None, ...] | None = None
    content_light: tuple[int, int] | None = None
    has_variable_rate: bool = False

    @property
    def is_interlaced(self) -> bool:
        """Whether a frame holds two fields, of two moments."""
        return self.field_order > 1

    @property
    def shows_top_first(self) -> bool:
        """Whether the field of the first line is the earlier one, in an interlaced video."""
        return self.field_order in (2, 5)

    @property
    def expected_frames(self) -> int | None:
        """Frames that will come, from the header or from duration and rate; None when neither is known."""
        if self.frames:
            return self.frames
        if self.duration_seconds and self.frame_rate:
            return round(self.duration_seconds * self.frame_rate)
        return None


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: `data`, (layout.samples,) uint8, or int16 for more than 8 bits, and its exact time,
    `pts` units of `time_base` seconds.

    Frames whose `scene` differs have nothing in common, as on the two sides of a cut. One that `repeats` shows
    nothing that the frame before it did not show, the rain included. `arrived` is when a live one's packet came, by
    time.monotonic(). `original` is what the decoder gave, where that holds more than `data`: side data, fields, alpha,
    samples of another kind. It is for the encoder alone; whoever makes a frame of another hands it on.
    """

    data: Tensor
    layout: PixelLayout
    pts: int
    time_base: Fraction
    scene: int = 0
    repeats: bool = False
    arrived: float | None = None
    original: Any = None

    def __post_init__(self) -> None:
        if self.data.shape != (self.layout.samples,):
            raise ValueError(f"data has shape {tuple(self.data.shape)}; {self.layout} needs ({self.layout.samples},)")

    @property
    def seconds(self) -> float:
        """The presentation time."""
        return float(self.pts * self.time_base)


class Event(Protocol):
    """A point in the work of a device, like torch.cuda.Event."""

    def synchronize(self) -> None:
        """Block until the device has come this far."""


class Effort(Enum):
    """What a network does for a frame: all it can, the same at half the size, or nothing, and the frame stays as it
    came. From most to least.
    """

    FULL = "full"
    HALF = "half"
    NONE = "none"


@dataclass(frozen=True, eq=False)
class Restored:
    """A frame before and after, both on the host, with the same layout and time, and what was done for it."""

    rainy: Frame
    clean: Frame
    effort: Effort = Effort.FULL


class Network(Protocol):
    """What the pipeline asks of a network; Restorer is one."""

    device: torch.device

    @property
    def past(self) -> int:
        """Frames before the current one that it reads."""

    @property
    def future(self) -> int:
        """Frames after the current one that it reads."""

    def restore(self, windows: Tensor) -> Tensor:
        """(N, past + 1 + future, 3, H, W) RGB in 0..1 -> (N, 3, H, W).

        One that `takes_aligned` is given windows that were aligned outside; see Restorer.
        """


def takes_aligned(network: Network) -> bool:
    """Whether `network` wants its windows aligned, and does not look for motion itself; it says so by an attribute."""
    return getattr(network, "takes_aligned", False)
