"""The options of encoders and formats, by their libav names: what is asked of them, and whether they take it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache

import av

from streamderain.errors import SinkError, nearest

QUIET = {"x265-params": "log-level=error"}
"""x265 writes a page to the terminal behind libav's back."""

_LISTS = {"x264-params": ":", "x265-params": ":", "svtav1-params": ":", "flags": "", "movflags": "+"}
"""Options that hold many, and what stands between them: the user's come behind ours and prevail."""

_LOSSLESS = {"qp": "0", "lossless": "1", "crf": "0"}
"""What asks encoders that can do either to lose nothing."""

_RATES = {"b", "qmin", "qmax"}
"""What a user may ask in the place of a quality."""

ANY_CLOCK = Fraction(1, 25)

TRIAL_SIZE = (128, 96)
"""Width and height of the pictures with which an encoder is tried; every encoder has it."""


def options_of(encoder: str, asked: Mapping[str, str], preset: str | None, crf: int | None) -> dict[str, str]:
    """The encoder's options under its own names: those `asked`, and what `preset` and `crf` come to. Raises SinkError
    for unknown ones.
    """
    try:
        context = av.CodecContext.create(encoder, "w")
    except ValueError as error:
        raise SinkError(
            f"no encoder is called {encoder}{nearest(encoder, video_encoders())} "
            "(`streamderain doctor` lists those for video; --via-ffmpeg reaches the system's own)"
        ) from error
    if context.type != "video":
        raise SinkError(f"{encoder} encodes {context.type}, not video; try --encoder libx264")
    private, generic = _option_names(encoder)
    settable = private | generic
    for name in asked:
        if name not in settable:
            raise SinkError(f"{encoder} has no option {name}{nearest(name, settable)}")
    options = dict(asked)
    if preset is not None:
        if "preset" not in private:
            raise SinkError(f"{encoder} has no presets; leave --preset out")
        options.setdefault("preset", preset)
    if crf is not None:
        quality = _quality(crf, private, av.Codec(encoder, "w").lossy)
        if not _RATES & options.keys():
            options = {**options, **{name: value for name, value in quality.items() if name not in options}}
    ours = {name: value for name, value in QUIET.items() if name in private}
    # Else it would take no limited range, in which most video is.
    return joined({**ours, **({"strict": "unofficial"} if encoder == "mjpeg" else {})}, options)


def _quality(crf: int, private: frozenset[str], is_lossy: bool) -> dict[str, str]:
    # NVENC calls its constant quality cq.
    name = next((name for name in ("crf", "cq") if name in private), None)
    if name:
        return {name: str(crf)}
    # The others follow a bitrate, libav's default being 200 kbit/s, and keep within bounds of their quantiser, 1 to 31,
    # of which 2 is about as good as 18 is here.
    scale = str(min(31, max(1, round((crf - 14) / 2))))
    return {"qmin": scale, "qmax": scale} if is_lossy else {}


def has_option(encoder: str, name: str) -> bool:
    """Whether an encoder has an option of its own of this name."""
    return name in _option_names(encoder)[0]


@cache
def _option_names(encoder: str) -> tuple[frozenset[str], frozenset[str]]:
    # Of its own, and of all encoders.
    found = av.CodecContext.create(encoder, "w").supported_options
    return frozenset(option.name for option in found.private), frozenset(option.name for option in found.generic)


def joined(first: Mapping[str, str], then: Mapping[str, str]) -> dict[str, str]:
    """Both; of options that hold many, both lists, and else what comes `then`."""
    return {**first, **{name: first[name] + _LISTS[name] + value if name in first and name in _LISTS else value
                        for name, value in then.items()}}  # fmt: skip


def is_lossless(encoder: str, options: Mapping[str, str]) -> bool:
    """Whether the encoder can lose nothing but what its pixel format has no place for."""
    codec = av.Codec(encoder, "w")
    asked = any(options.get(name) == value for name, value in _LOSSLESS.items())
    return not codec.lossy or asked or "lossless=1" in options.get("x265-params", "")


def opens(
    encoder: str, options: Mapping[str, str], pixel_format: str, size: tuple[int, int] = TRIAL_SIZE,
    clock: Fraction = ANY_CLOCK,
) -> bool:  # fmt: skip
    """Whether the encoder takes pictures of this format, size (width and height) and time base; by trying."""
    probe = av.CodecContext.create(encoder, "w")
    assert isinstance(probe, av.VideoCodecContext)
    (probe.width, probe.height), probe.pix_fmt = size, pixel_format
    probe.time_base, probe.options = clock, dict(options)
    try:
        probe.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def video_encoders() -> list[str]:
    """The names of all encoders for video in this libav."""
    return sorted(name for name in av.codecs_available if _encodes_video(name))


def _encodes_video(name: str) -> bool:
    try:
        return av.Codec(name, "w").type == "video"
    except ValueError:
        return False
