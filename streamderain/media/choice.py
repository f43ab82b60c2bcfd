"""What suits a container and a video: the encoder, its pixel format, its clock."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import av
from av.codec import find_best_pix_fmt_of_list
from av.container import OutputContainer

from streamderain.frames import PixelLayout, VideoInfo
from streamderain.media.pixels import (
    holds_all_of,
    holds_alpha,
    holds_rgb,
    kept_by_planes,
    rounding,
    without_j,
    working_format,
)

AUTO = "auto"
USUAL = "libx264"

_TAKE_H264 = {"mp4", "ipod", "mov", "matroska", "mpegts", "flv", "f4v", "3gp", "nut", "null", "hls", "rtsp"}
"""Formats whose players expect H.264 or take it; AVI and ASF, say, can hold it, but not its times."""

_BETTER = {"mpeg1video": "mpeg2video", "msmpeg4v3": "wmv2"}
"""Of what such formats can hold beside libav's default."""

_CONSTANT = {"avi", "yuv4mpegpipe", "mxf", "mxf_opatom", "swf", "dv"}
"""Formats that count frames and have no times."""

_CLOCKS = {"gif": Fraction(1, 100)}

_EXACT = ("ffv1", "libx264rgb", "png", "utvideo", "rawvideo")
"""Lossless encoders to name where another cannot hold all of a format, the most common first."""


def fitting_encoder(container: OutputContainer) -> str:
    """The encoder that an output takes where the user names none."""
    if container.format.name in _TAKE_H264:
        return USUAL
    usual = container.default_video_codec
    for name in (_BETTER.get(usual, usual), usual):
        try:
            return av.Codec(name, "w").name
        except ValueError:
            continue
    return USUAL


def fitting_format(encoder: str, info: VideoInfo, layout: PixelLayout, is_lossless: bool) -> tuple[str, str]:
    """The pixel format to encode in, and in words what it rounds, if anything: that of the video where the encoder has
    it, or another that holds all of it; else the nearest.

    Where the encoder is to lose something anyway, RGB becomes luma and chroma, which players expect.
    """
    own, working = without_j(info.pixel_format), working_format(info.pixel_format)
    formats = [each.name for each in av.Codec(encoder, "w").video_formats or []]
    if not formats or own in formats or (own == working and working in formats):
        return own, ""
    if "pal8" in formats and "rgb24" not in formats and not working.startswith("gray"):
        return "pal8", "" if own == "pal8" else f"{encoder} holds 256 colours a frame: what has more is rounded to them"
    wanted = working.replace("yuv", "yuva") if holds_alpha(own) else working
    if kept_by_planes(own, layout) and working in formats:
        return working, ""
    if is_lossless or not holds_rgb(own):
        exact = next((each for each in _by_size(formats, own) if holds_all_of(each, own, layout)), None)
        if exact:
            return exact, ""
    # For grey, libav would take RGB or 4:4:4, which few players show.
    nearest, _ = find_best_pix_fmt_of_list(formats, wanted.replace("gray", "yuv420p"))
    assert nearest is not None
    best = next((each for each in (wanted, working) if each in formats), nearest.name)
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


def _by_size(formats: Iterable[str], own: str) -> list[str]:
    """Those that may hold all of `own`, the smallest first."""
    bits = max(component.bits for component in av.VideoFormat(own, 64, 64).components)
    candidates = [av.VideoFormat(each, 64, 64) for each in formats]
    deep = [each for each in candidates if max(component.bits for component in each.components) >= bits]
    alpha = holds_alpha(own)
    fit = [each for each in deep if not alpha or holds_alpha(each.name)]
    return [each.name for each in sorted(fit, key=lambda each: each.padded_bits_per_pixel)]


def _loss(encoder: str, chosen: str, own: str, layout: PixelLayout) -> str:
    lost = rounding(chosen, own, layout)
    if lost == 0:
        return ""
    loses_alpha = holds_alpha(own) and not holds_alpha(chosen)
    bits = max(component.bits for component in av.VideoFormat(own, 64, 64).components)
    top = (1 << min(bits, 16)) - 1
    how = "alpha is lost" if loses_alpha else f"which rounds it by up to {max(1, round(lost * top))} of {top}"
    exact = next((each for each in _EXACT if each != encoder and _holds(each, own, layout)), None)
    advice = f"; --encoder {exact} keeps it" if exact else ""
    return f"{encoder} has no {own}; encoding as {chosen}, {how}{advice}"


def _holds(encoder: str, own: str, layout: PixelLayout) -> bool:
    formats = [each.name for each in av.Codec(encoder, "w").video_formats or [av.VideoFormat(own, 64, 64)]]
    return any(holds_all_of(each, own, layout) for each in _by_size(formats, own))
