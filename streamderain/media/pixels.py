"""Between libav's pixel formats and PixelLayout: which format a frame is worked on in, and the copying.

Work is done on planar luma and chroma of 8, 10 or 12 bits, as the decoder gave it wherever it can be.
"""

from __future__ import annotations

import math
import re
from typing import cast

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from torch import Tensor

from streamderain.frames import Chroma, Matrix, PixelLayout, VideoInfo

FULL_RANGE = int(ColorRange.JPEG)
LIMITED_RANGE = int(ColorRange.MPEG)
RGB_SPACE = 0

_MATRICES: dict[int, Matrix] = {
    **dict.fromkeys((1, 7), "bt709"),
    **dict.fromkeys((4, 5, 6), "bt601"),
    **dict.fromkeys((9, 10), "bt2020"),
}
_SPACES: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace(9)}
_PLANAR = re.compile(r"(gray|yuvj?(?:420|422|444)p)(10le|12le)?")


def working_format(pixel_format: str) -> str:
    """The format that frames of `pixel_format` are worked on in: itself where it is planar luma and chroma
    of 8, 10 or 12 bits, else the nearest that is. Alpha is dropped.
    """
    match = _PLANAR.fullmatch(pixel_format)
    if match:
        return pixel_format.replace("yuvj", "yuv")
    # Large and even, so that the chroma size shows how it is subsampled.
    source = av.VideoFormat(pixel_format, 64, 64)
    bits = max(component.bits for component in source.components)
    depth = "" if bits <= 8 else "10le" if bits <= 10 else "12le"
    if len([component for component in source.components if not component.is_alpha]) == 1 and not source.has_palette:
        return f"gray{depth}"
    if source.is_rgb or source.has_palette or source.chroma_width(64) == 64:
        return f"yuv444p{depth}"
    return f"yuv{'422' if source.chroma_height(64) == 64 else '420'}p{depth}"


def layout_of(info: VideoInfo) -> PixelLayout:
    """How frames of this video are laid out once decoded.

    Where the file does not say which matrix it uses, BT.709 is taken for 720 lines and more, BT.601 below,
    as players do.
    """
    working = working_format(info.pixel_format)
    match = _PLANAR.fullmatch(working)
    assert match
    # libav takes grey without a tag for full range, as pictures have it.
    full_range = info.color_range == FULL_RANGE or (info.color_range == 0 and match[1] == "gray")
    untagged: Matrix = "bt709" if min(info.height, info.width) >= 720 or holds_rgb(info.pixel_format) else "bt601"
    return PixelLayout(
        height=info.height,
        width=info.width,
        chroma=cast(Chroma, "gray" if match[1] == "gray" else match[1][3:6]),
        bits=int((match[2] or "8").removesuffix("le")),
        matrix=_MATRICES.get(info.color_space, untagged),
        full_range=full_range and not holds_rgb(info.pixel_format),
        rotation=info.rotation,
    )


def holds_rgb(pixel_format: str) -> bool:
    """Whether the format stores red, green and blue, so that a matrix must be chosen for it."""
    source = av.VideoFormat(pixel_format, 64, 64)
    return source.is_rgb or source.has_palette


def to_planes(frame: av.VideoFrame, info: VideoInfo, layout: PixelLayout) -> Tensor:
    """The frame's samples as one flat tensor, (layout.samples,), uint8 or int16."""
    working = working_format(info.pixel_format)
    if frame.format.name.replace("yuvj", "yuv") != working:
        frame = _convert(frame, working, layout)
    sample = np.uint8 if layout.bits == 8 else np.int16
    flat = np.empty(layout.samples, sample)
    for plane, ours in zip(frame.planes, layout.split(torch.from_numpy(flat)), strict=True):
        rows = np.frombuffer(memoryview(plane), sample).reshape(plane.height, -1)
        ours.numpy()[...] = rows[:, : ours.shape[1]]
    return torch.from_numpy(flat)


def to_video_frame(data: Tensor, layout: PixelLayout, pixel_format: str, even: bool = False) -> av.VideoFrame:
    """A libav frame of `pixel_format` that holds these samples; `data` as `to_planes` gives it.

    With `even`, a last row or column is shown twice where their number is odd.
    """
    height, width = even_size(layout) if even else (layout.height, layout.width)
    frame = av.VideoFrame(width, height, _name(layout))
    for plane, ours in zip(frame.planes, layout.split(data), strict=True):
        samples = ours.numpy()
        missing = (plane.height - samples.shape[0], plane.width - samples.shape[1])
        rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(plane.height, -1)
        rows[:, : plane.width] = np.pad(samples, [(0, missing[0]), (0, missing[1])], mode="edge")
    frame.colorspace = _SPACES[layout.matrix]
    frame.color_range = FULL_RANGE if layout.full_range else LIMITED_RANGE
    return frame if pixel_format == frame.format.name else _convert(frame, pixel_format, layout)


def even_size(layout: PixelLayout) -> tuple[int, int]:
    """(height, width), a length rounded up to an even one where two luma samples share a chroma sample."""
    height = math.ceil(layout.height / 2) * 2 if layout.chroma == "420" else layout.height
    width = math.ceil(layout.width / 2) * 2 if layout.chroma in ("420", "422") else layout.width
    return height, width


def _name(layout: PixelLayout) -> str:
    kind = "gray" if layout.chroma == "gray" else f"yuv{layout.chroma}p"
    return kind if layout.bits == 8 else f"{kind}{layout.bits}le"


def _convert(frame: av.VideoFrame, wanted: str, layout: PixelLayout) -> av.VideoFrame:
    """Reformat with every colour property named, since libav's guesses shift colours."""
    space = _SPACES[layout.matrix]
    # libav holds all grey to be full range, and would squeeze it into limited.
    full = layout.full_range or layout.chroma == "gray"
    source, target = (
        ColorRange.JPEG if full or holds_rgb(name) else ColorRange.MPEG for name in (frame.format.name, wanted)
    )
    return frame.reformat(
        format=wanted, src_colorspace=space, dst_colorspace=space, src_color_range=source, dst_color_range=target
    )
