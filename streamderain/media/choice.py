"""What suits a container and a video: the encoder, its pixel format, its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av
from av.codec import find_best_pix_fmt_of_list
from av.container import OutputContainer

from streamderain.frames import PixelLayout, VideoInfo
from streamderain.media.options import opens
from streamderain.media.pixels import (
    holds_all_of,
    holds_alpha,
    holds_rgb,
    kept_by_planes,
    opaque,
    rounding,
    without_j,
    working_format,
)

AUTO = "auto"
USUAL = "libx264"

_TAKE_H264 = {
    "mp4", "ipod", "psp", "mov", "3gp", "3g2", "f4v", "matroska", "mpegts", "flv", "nut", "null", "hls", "rtsp",
}  # fmt: skip
"""Formats whose players expect H.264 or take it; AVI and ASF, say, can hold it, but not its times."""

_BETTER = {"mpeg1video": "mpeg2video", "msmpeg4v3": "wmv2"}
"""The better encoder that some formats can hold, in the place of libav's default."""

_FULL_RANGE = {"avi": "mjpeg"}
"""What holds samples of full range, as cameras of such files give them, where the default has no word for it."""

_CONSTANT = {"avi", "yuv4mpegpipe", "mxf", "mxf_opatom", "swf", "dv"}
"""Formats that count frames and have no times."""

_CLOCKS = {"gif": Fraction(1, 100)}

_EXACT = ("ffv1", "libx264rgb", "png", "utvideo", "rawvideo")
"""Lossless encoders to name where another cannot hold all of a format, the most common first."""


def fitting_encoder(container: OutputContainer, is_full_range: bool = False) -> str:
    """The encoder that an output takes where the user names none; the samples of the video may be of full range."""
    if container.format.name in _TAKE_H264:
        return USUAL
    if is_full_range and container.format.name in _FULL_RANGE:
        return _FULL_RANGE[container.format.name]
    usual = container.default_video_codec
    for name in (_BETTER.get(usual, usual), usual):
        try:
            return av.Codec(name, "w").name
        except ValueError:
            continue
    return USUAL


def fitting_format(
    encoder: str, info: VideoInfo, layout: PixelLayout, is_lossless: bool, takes: Callable[[str], bool]
) -> tuple[str, str]:
    """The pixel format to encode in, and in words what it rounds, if anything: that of the video where the encoder has
    it, or another that holds all of it; else the nearest.

    Where the encoder is to lose something anyway, RGB becomes luma and chroma, which players expect. `takes` says
    whether the encoder takes one of its formats, as not all are for everybody.
    """
    own, working = without_j(info.pixel_format), working_format(info.pixel_format)
    formats = [each.name for each in av.Codec(encoder, "w").video_formats or []]
    if not formats or (own in formats and (own == working or takes(own))):
        return own, ""
    if "pal8" in formats and "rgb24" not in formats and not working.startswith("gray"):
        return "pal8", f"{encoder} holds 256 colours a frame: what has more is rounded to them"
    if kept_by_planes(own, layout) and working in formats:
        return working, ""
    if is_lossless or not holds_rgb(own):
        for whole in (own, opaque(own)):
            fit = (each for each in _by_likeness(formats, whole) if holds_all_of(each, whole, layout) and takes(each))
            if exact := next(fit, None):
                return exact, _loss(encoder, exact, own, layout)
    wanted = working.replace("yuv", "yuva") if holds_alpha(own) else working
    nearest = list(_by_nearness(formats, wanted, working, holds_alpha(own)))
    best = next(filter(takes, nearest), nearest[0])
    return best, _loss(encoder, best, own, layout)


def fitting_clock(container: OutputContainer, info: VideoInfo, rate: Fraction) -> Fraction:
    """The time base to encode in: the input's own, so that its times come out as they went in, where the format has a
    place for them.
    """
    if container.format.name in _CONSTANT:
        return 1 / rate
    return _CLOCKS.get(container.format.name, info.time_base)


def fitting_rate(encoder: str, rate: Fraction) -> Fraction:
    """`rate`, frames a second, or the next higher that the encoder knows."""
    known = [Fraction(each.numerator, each.denominator) for each in av.Codec(encoder, "w").frame_rates or ()]
    if not known or rate in known:
        return rate
    return min((each for each in known if each >= rate), default=max(known))


def _by_nearness(formats: list[str], wanted: str, working: str, has_alpha: bool) -> Iterator[str]:
    """All of the formats, the one that loses least of `wanted` first."""
    left = list(formats)
    grey = ["gray"] if working.startswith("gray") else []
    for name in (wanted, working, *grey):
        if name in left:
            yield name
            left.remove(name)
    while left:
        # For grey, libav would take RGB or 4:4:4, which few players show.
        nearest, _ = find_best_pix_fmt_of_list(left, wanted.replace("gray", "yuv420p"), has_alpha)
        assert nearest is not None
        yield nearest.name
        left.remove(nearest.name)


def _by_likeness(formats: Iterable[str], own: str) -> list[str]:
    """Those that may hold all of `own`, its like first, and the smaller first."""
    bits = _bits(own)
    fit = [each for each in formats if _bits(each) >= bits and (not holds_alpha(own) or holds_alpha(each))]
    return sorted(fit, key=lambda each: (holds_rgb(each) != holds_rgb(own), _size(each)))


def _bits(pixel_format: str) -> int:
    return max(component.bits for component in av.VideoFormat(pixel_format, 64, 64).components)


def _size(pixel_format: str) -> int:
    return av.VideoFormat(pixel_format, 64, 64).padded_bits_per_pixel


def _loss(encoder: str, chosen: str, own: str, layout: PixelLayout) -> str:
    loses_alpha = holds_alpha(own) and not holds_alpha(chosen)
    lost = rounding(chosen, opaque(own) if loses_alpha or own == "pal8" else own, layout)
    top = (1 << min(_bits(own), 16)) - 1
    ways = [f"which rounds it by up to {max(1, round(lost * top))} of {top}"] if lost else []
    ways += ["alpha is lost"] if loses_alpha else []
    if not ways:
        return ""
    exact = next((each for each in _EXACT if each != encoder and _holds(each, own, layout)), None)
    advice = f"; --encoder {exact} keeps it" if exact else ""
    return f"{encoder} has no {own}; encoding as {chosen}, {', and '.join(ways)}{advice}"


def _holds(encoder: str, own: str, layout: PixelLayout) -> bool:
    formats = [each.name for each in av.Codec(encoder, "w").video_formats or [av.VideoFormat(own, 64, 64)]]
    return any(holds_all_of(each, own, layout) and opens(encoder, {}, each) for each in _by_likeness(formats, own))
