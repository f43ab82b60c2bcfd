"""Mastering display and content light level, to encoders and to containers.

Encoders take them as parameters of their own. A container takes them from what libav knows of a stream, which PyAV lets
nobody write; it copies them from another stream, though, so one is read from a Matroska header that is made here
(RFC 9559, 5.1.4.1.28.16 and on).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import av

from streamderain.frames import VideoInfo

_CODECS = {
    "h264": "V_MPEG4/ISO/AVC", "hevc": "V_MPEGH/ISO/HEVC", "av1": "V_AV1", "vp8": "V_VP8", "vp9": "V_VP9",
    "ffv1": "V_FFV1", "prores": "V_PRORES", "mpeg4": "V_MPEG4/ISO/ASP", "mpeg2video": "V_MPEG2",
}  # fmt: skip
"""Matroska's names of codecs."""

_CHROMA = {"left": (1, 2), "center": (2, 2), "topleft": (1, 1), "top": (2, 1)}
"""Where chroma lies, across and down: 1 upon the luma sample, 2 half way to the next."""

_PARAMETERS = {
    "libx264": ("x264-params", ("mastering-display", "cll"), (50_000, 10_000)),
    "libx265": ("x265-params", ("master-display", "max-cll"), (50_000, 10_000)),
    "libsvtav1": ("svtav1-params", ("mastering-display", "content-light"), (1, 1)),
}
"""By encoder: the option, what in it takes the display and the light, and the units of the display's numbers."""

_FORMATS = {"mp4", "mov", "ipod", "matroska", "webm"}

_PRIMARIES = ("55D1", "55D2", "55D3", "55D4", "55D5", "55D6", "55D7", "55D8")
_LEAST, _MOST = "55DA", "55D9"


def light_options(encoder: str, info: VideoInfo) -> dict[str, str]:
    """The encoder's option, name and value, that has it write what `info` says of light into its stream, if any."""
    if encoder not in _PARAMETERS:
        return {}
    option, names, units = _PARAMETERS[encoder]
    words = []
    if info.mastering_display and None not in info.mastering_display:
        words.append(f"{names[0]}={_display(info.mastering_display, *units)}")
    if info.content_light:
        words.append(f"{names[1]}={info.content_light[0]},{info.content_light[1]}")
    return {option: ":".join(words)} if words else {}


def _display(values: tuple[Fraction | None, ...], chromaticity: int, luminance: int) -> str:
    """x265's way to write it: green, blue, red, white, light; in whole numbers where units are parts."""
    shown = [f"{float(value or 0):.6g}" if chromaticity == 1 else str(round((value or 0) * unit)) for value, unit in
             zip(values, [chromaticity] * 8 + [luminance] * 2, strict=True)]  # fmt: skip
    red, green, blue, white = (",".join(shown[at : at + 2]) for at in (0, 2, 4, 6))
    return f"G({green})B({blue})R({red})WP({white})L({shown[9]},{shown[8]})"


def carries_light(kind: str, encoder: str, info: VideoInfo) -> bool:
    """Whether `info` says something of light, a format (by libav's name) has a place for it, and a stream of this
    encoder's codec can be told.
    """
    if not (info.mastering_display or info.content_light) or kind not in _FORMATS:
        return False
    return av.Codec(encoder, "w").canonical_name in _CODECS


@contextmanager
def stream_with_light(codec: str, info: VideoInfo, extradata: bytes | None) -> Iterator[av.VideoStream]:
    """A stream of this codec, by libav's name, that knows what `info` says of light, while the block lasts."""
    with av.open(io.BytesIO(_header(_CODECS[codec], info, extradata or b"")), format="matroska") as container:
        yield container.streams.video[0]


def _header(codec: str, info: VideoInfo, extradata: bytes) -> bytes:
    colour = b"".join(_master(info))
    if info.chroma_location in _CHROMA:
        across, down = _CHROMA[info.chroma_location]
        colour += _number("55B7", across) + _number("55B8", down)
    if info.content_light:
        colour += _number("55BC", info.content_light[0]) + _number("55BD", info.content_light[1])
    picture = _number("B0", info.width) + _number("BA", info.height) + _element("55B0", colour)
    private = _element("63A2", extradata) if extradata else b""
    track = _number("D7", 1) + _number("73C5", 1) + _number("83", 1) + _text("86", codec) + private
    about = _number("2AD7B1", 1_000_000) + _text("4D80", "-") + _text("5741", "-")
    # Without a block, libav takes the file for cut off.
    block = _element("A3", b"\x81\x00\x00\x80" + bytes(16))
    segment = (
        _element("1549A966", about)
        + _element("1654AE6B", _element("AE", track + _element("E0", picture)))
        + _element("1F43B675", _number("E7", 0) + block)
    )
    return _element("1A45DFA3", _text("4282", "matroska")) + _element("18538067", segment)


def _master(info: VideoInfo) -> Iterator[bytes]:
    if info.mastering_display is None:
        return
    *places, least, most = info.mastering_display
    known = [*zip(_PRIMARIES, places, strict=True), (_LEAST, least), (_MOST, most)]
    values = [_element(name, struct.pack(">d", float(value))) for name, value in known if value is not None]
    yield _element("55D0", b"".join(values))


def _element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))


def _text(name: str, value: str) -> bytes:
    return _element(name, value.encode())
