"""Between libav's pixel formats and PixelLayout: which format a frame is worked on in, and the copying.

Work is done on planar luma and chroma of 8, 10 or 12 bits, as the decoder gave it wherever it can be.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import av
import numpy as np
import torch
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from torch import Tensor

from streamderain.frames import Chroma, Matrix, PixelLayout, VideoInfo
from streamderain.media.sidedata import carried_kinds

FULL_RANGE = int(ColorRange.JPEG)
LIMITED_RANGE = int(ColorRange.MPEG)
RGB_SPACE = 0

ONE_THREAD = 1
"""What libav's scaler is to use: it writes rows of more than 8 bits beyond their ends, and with several threads over
what another has written already, where no padding lies between (libswscale 9).
"""

_MATRICES: dict[int, Matrix] = {
    1: "bt709",
    4: "fcc",
    **dict.fromkeys((5, 6), "bt601"),
    7: "smpte240m",
    **dict.fromkeys((9, 10), "bt2020"),
}
_SPACES: dict[Matrix, Colorspace] = {
    "bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace(9), "fcc": Colorspace.FCC,
    "smpte240m": Colorspace.SMPTE240M,
}  # fmt: skip
_PLANAR = re.compile(r"(gray|yuvj?(?:420|422|444)p)(10le|12le)?")
_DEPTHS = r"(?:9|10|12|14|16)le"
_WHOLE_SAMPLES = re.compile(
    rf"yuv[aj]?4\d\dp(?:{_DEPTHS})?|gbra?p(?:{_DEPTHS}|f32le)?|gray(?:{_DEPTHS}|f32le)?|ya(?:8|16le)|nv(?:12|21|16|24|42)|"
    r"p[024]1[026]le|yuyv422|uyvy422|yvyu422|y21[02]le|rgb24|bgr24|rgba|bgra|argb|abgr|rgb0|bgr0|0rgb|0bgr|(?:rgb|bgr)(?:48|a64)le"
)
"""Formats with each sample in a byte, two bytes or a float of its own, so that a difference can be added to it."""

_NOISE = 256
"""Side of the picture by which conversions are tried; no format's lines have padding then."""


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
        mirrored=info.mirrored,
    )


def holds_rgb(pixel_format: str) -> bool:
    """Whether the format stores red, green and blue, so that a matrix must be chosen for it."""
    source = av.VideoFormat(pixel_format, 64, 64)
    return source.is_rgb or source.has_palette


def holds_alpha(pixel_format: str) -> bool:
    """Whether the format stores how opaque each pixel is."""
    return any(component.is_alpha for component in av.VideoFormat(pixel_format, 64, 64).components)


def opaque(pixel_format: str) -> str:
    """The format that holds the same but alpha, or for a palette the colours in it."""
    if not holds_alpha(pixel_format) and pixel_format != "pal8":
        return pixel_format
    if pixel_format.startswith(("yuva", "gbrap")):
        return pixel_format.replace("yuva", "yuv").replace("gbrap", "gbrp")
    if pixel_format.startswith("ya"):
        return "gray16le" if "16" in pixel_format else "gray"
    return "rgb48le" if "64" in pixel_format else "rgb24"


def without_j(pixel_format: str) -> str:
    """The format by the name that does not tell the range; libav has two for some."""
    return pixel_format.replace("yuvj", "yuv")


def to_planes(frame: av.VideoFrame, info: VideoInfo, layout: PixelLayout) -> Tensor:
    """The frame's samples as one flat tensor, (layout.samples,), uint8 or int16."""
    return _planes(frame, working_format(info.pixel_format), layout)


def _planes(frame: av.VideoFrame, working: str, layout: PixelLayout) -> Tensor:
    return samples_of(frame if without_j(frame.format.name) == working else converted(frame, working, layout), layout)


def samples_of(frame: av.VideoFrame, layout: PixelLayout) -> Tensor:
    """What `to_planes` gives, of a frame that is in the layout's own format."""
    flat = torch.empty(layout.samples, dtype=dtype_of(layout))
    for plane, ours in zip(frame.planes, layout.split(flat), strict=True):
        samples = ours.numpy()
        samples[...] = _lines(plane, samples.dtype)[:, : ours.shape[1]]
    return flat


def dtype_of(layout: PixelLayout) -> torch.dtype:
    """The type of a sample: uint8 or int16."""
    return torch.uint8 if layout.bits == 8 else torch.int16


def to_video_frame(
    data: Tensor, layout: PixelLayout, pixel_format: str | None = None, even: bool = False
) -> av.VideoFrame:
    """A libav frame of `pixel_format`, or the layout's own, that holds these samples; `data` as `to_planes` gives it.

    With `even`, a last row or column is shown twice where their number is odd.
    """
    height, width = even_size(layout) if even else (layout.height, layout.width)
    frame = av.VideoFrame(width, height, format_of(layout))
    for plane, ours in zip(frame.planes, layout.split(data), strict=True):
        samples = ours.numpy()
        missing = (plane.height - samples.shape[0], plane.width - samples.shape[1])
        _lines(plane, samples.dtype)[:, : plane.width] = np.pad(samples, [(0, each) for each in missing], mode="edge")
    frame.colorspace, frame.color_range = colours_of(layout)
    return converted(frame, pixel_format or frame.format.name, layout)


def dressed(picture: av.VideoFrame, original: av.VideoFrame) -> av.VideoFrame:
    """The samples of `picture` in a frame with the side data, fields and all else that `original` says of itself."""
    worn = original.reformat(picture.width, picture.height, picture.format.name, threads=ONE_THREAD)
    worn.make_writable()
    for ours, theirs in zip(worn.planes, picture.planes, strict=True):
        lines = _lines(ours, np.uint8), _lines(theirs, np.uint8)
        width = min(line.shape[1] for line in lines)
        lines[0][:, :width] = lines[1][:, :width]
    worn.colorspace, worn.color_range = picture.colorspace, picture.color_range
    return worn


def paletted(picture: av.VideoFrame) -> av.VideoFrame:
    """A picture in bgra -> one in pal8, with a palette of its own; up to 255 colours stay as they are."""
    graph = Graph()
    entry = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base or Fraction(1)
    )
    split, end = graph.add("split"), graph.add("buffersink")
    palette, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1:dither=sierra2_4a")
    graph.link_nodes(entry, split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(end)
    graph.configure()
    entry.push(picture)
    entry.push(None)
    shown = end.pull()
    assert isinstance(shown, av.VideoFrame)
    return shown


def holds_more(picture: av.VideoFrame, layout: PixelLayout) -> bool:
    """Whether a decoded picture says or shows more than its planes: side data, fields, alpha, other samples."""
    return bool(picture.interlaced_frame or carried_kinds(picture) or not kept_by_planes(picture.format.name, layout))


def changed(original: av.VideoFrame, data: Tensor, layout: PixelLayout) -> av.VideoFrame:
    """`original` with its planes become `data`: what differs from them is added to its own samples, so that all that
    was left alone stays as it was, whatever the format holds beside or beyond them. Nothing else of it changes, side
    data and fields included.

    It may be `original` itself; or of a format that holds all of its own, where that packs samples together.
    """
    before = _planes(original, working_format(original.format.name), layout)
    if torch.equal(before, data):
        return original
    picture = converted(original, _with_whole_samples(original.format), layout)
    was, now = (to_video_frame(each, layout, without_j(picture.format.name)) for each in (before, data))
    picture.make_writable()
    kind, top = _sample_kind(picture.format)
    for ours, old, new in zip(picture.planes, was.planes, now.planes, strict=True):
        lines = [_lines(plane, kind) for plane in (ours, old, new)]
        wide = np.float32 if kind == np.float32 else np.int32
        samples = min(line.shape[1] for line in lines)
        mine, first, second = (line[:, :samples].astype(wide) for line in lines)
        lines[0][:, :samples] = (mine + second - first).clip(0, top).astype(kind)
    return picture


def _lines(plane: Any, kind: type | np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)


def _with_whole_samples(pixel_format: av.VideoFormat) -> str:
    """The format itself, or one that holds as much with each sample by itself."""
    name = pixel_format.name.replace("be", "le")
    if _WHOLE_SAMPLES.fullmatch(name):
        return name
    bits = max(component.bits for component in pixel_format.components)
    depth = "" if bits <= 8 else next(f"{each}le" for each in (10, 12, 16) if bits <= each)
    alpha = "a" if holds_alpha(pixel_format.name) or pixel_format.has_palette else ""
    if pixel_format.is_rgb or pixel_format.has_palette:
        return f"gbr{alpha}p{depth}"
    return f"yuv{alpha}444p{depth}" if len(pixel_format.components) > 1 else f"gray{depth}"


def _sample_kind(pixel_format: av.VideoFormat) -> tuple[type, float]:
    """The type of a sample, and its greatest value."""
    if "f32" in pixel_format.name:
        return np.float32, math.inf
    bits = max(component.bits for component in pixel_format.components)
    if bits <= 8:
        return np.uint8, 255
    top = (1 << bits) - 1
    # These have their empty bits below.
    return np.uint16, top << (16 - bits) if re.match(r"p\d1|y21", pixel_format.name) else top


def holds_all_of(pixel_format: str, other: str, layout: PixelLayout) -> bool:
    """Whether a picture of the format `other` comes back to the bit from one of `pixel_format`; by trying."""
    return rounding(pixel_format, other, layout) == 0


def kept_by_planes(pixel_format: str, layout: PixelLayout) -> bool:
    """Whether frames of this format hold nothing that their planes do not."""
    return holds_all_of(working_format(pixel_format), pixel_format, layout)


def rounding(pixel_format: str, other: str, layout: PixelLayout) -> float:
    """By how much samples of the format `other` may differ, of 1, when they come back from one of `pixel_format`; by
    trying. Alpha that is lost counts too.
    """
    if without_j(pixel_format) == without_j(other):
        return 0.0
    # libav makes no palettes here, but any of them is four bytes a pixel.
    return _tried(
        without_j(pixel_format), "bgra" if other == "pal8" else without_j(other), layout.matrix, layout.full_range
    )


@lru_cache(maxsize=512)
def _tried(pixel_format: str, other: str, matrix: Matrix, full_range: bool) -> float:
    layout = PixelLayout(_NOISE, _NOISE, matrix=matrix, full_range=full_range)
    if "gray" in other:
        layout = PixelLayout(_NOISE, _NOISE, "gray", matrix=matrix, full_range=full_range)
    noise = np.random.default_rng(1).integers(0, 1 << 16, (_NOISE, _NOISE, 4), np.uint16)
    try:
        before = av.VideoFrame.from_ndarray(noise, format="rgba64le").reformat(format=other, threads=ONE_THREAD)
        # As samples that can be compared; what stands beside three colours means nothing.
        plain = "rgb24" if other in ("rgb0", "bgr0", "0rgb", "0bgr") else _with_whole_samples(before.format)
        after = converted(converted(before, pixel_format, layout), plain, layout)
        before = converted(before, plain, layout)
    except (av.FFmpegError, ValueError):
        return 1.0
    kind, top = _sample_kind(before.format)
    pairs = zip(before.planes, after.planes, strict=True)
    most = max(np.abs(_lines(one, kind).astype(float) - _lines(two, kind)).max() for one, two in pairs)
    return float(most) / (1.0 if kind is np.float32 else top)


def even_size(layout: PixelLayout) -> tuple[int, int]:
    """(height, width), a length rounded up to an even one where two luma samples share a chroma sample."""
    height = math.ceil(layout.height / 2) * 2 if layout.chroma == "420" else layout.height
    width = math.ceil(layout.width / 2) * 2 if layout.chroma in ("420", "422") else layout.width
    return height, width


def format_of(layout: PixelLayout) -> str:
    """The pixel format in which a picture is laid out so, by libav's name."""
    kind = "gray" if layout.chroma == "gray" else f"yuv{layout.chroma}p"
    return kind if layout.bits == 8 else f"{kind}{layout.bits}le"


def colours_of(layout: PixelLayout) -> tuple[Colorspace, ColorRange]:
    """The matrix and the range of its samples, as libav has them."""
    return _SPACES[layout.matrix], ColorRange.JPEG if layout.full_range else ColorRange.MPEG


def upright(samples: NDArray[Any], rotation: int, mirrored: bool) -> NDArray[Any]:
    """(H, W) or (H, W, 3) as they are coded -> as they are seen, a view; for both numbers see PixelLayout."""
    standing = np.rot90(samples, rotation // 90)
    return standing[:, ::-1] if mirrored else standing


def rgb_frame(pixels: NDArray[np.uint8]) -> av.VideoFrame:
    """(H, W, 3) uint8 in RGB -> a frame in rgb24, without a time."""
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def converted(frame: av.VideoFrame, wanted: str, layout: PixelLayout) -> av.VideoFrame:
    """`frame` in the format `wanted`, every colour property named, since libav's guesses shift colours."""
    if frame.format.name == wanted:
        return frame
    if frame.format.has_palette:
        # Directly, libav takes a rougher way.
        frame = frame.reformat(format="bgra" if holds_alpha(wanted) else "rgb24", threads=ONE_THREAD)
    space = _SPACES[layout.matrix]
    # libav holds all grey to be full range, and would squeeze it into limited.
    full = layout.full_range or layout.chroma == "gray"
    source, target = (
        ColorRange.JPEG if full or holds_rgb(name) else ColorRange.MPEG for name in (frame.format.name, wanted)
    )
    return frame.reformat(
        format=wanted, src_colorspace=space, dst_colorspace=space, src_color_range=source, dst_color_range=target,
        threads=ONE_THREAD,
    )  # fmt: skip
