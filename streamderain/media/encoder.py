"""Frame -> packets, with the input's pixel format, colour tags and times."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
from av.codec import find_best_pix_fmt_of_list
from av.container import OutputContainer
from av.video.frame import PictureType

from streamderain.errors import SinkError, nearest
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.copying import KEEPERS, listed, takes
from streamderain.media.pixels import (
    FULL_RANGE,
    LIMITED_RANGE,
    RGB_SPACE,
    even_size,
    holds_rgb,
    to_video_frame,
    working_format,
)

logger = logging.getLogger(__name__)

HARDWARE_ENCODERS = {"cuda": "h264_nvenc", "qsv": "h264_qsv"}
"""The encoder that stands in for libx264 when a libav device of this type is asked for."""

_BT709_SPACE = 1

_X265_LEAST = 64

_OUR_OWN = {"x265-params": "log-level=error"}
"""Set unless the user does: x265 writes a page to the terminal behind libav's back."""


@dataclass(frozen=True)
class Encoding:
    """How to encode. `crf` is the quality of encoders that know such a thing, lower being better; None
    leaves it, like `preset`, to the encoder. `options` go to the encoder by their libav names. `even` makes
    odd sizes even though the encoder takes them.
    """

    encoder: str = "libx264"
    crf: int | None = 18
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    even: bool = False


def available(encoding: Encoding, hwaccel: str | None) -> Encoding:
    """`encoding`, with libx264 replaced by the hardware's encoder where `hwaccel` names one that works.

    Where it does not work, the log says so in one line.
    """
    wanted = HARDWARE_ENCODERS.get(hwaccel or "")
    if wanted is None or encoding.encoder != "libx264":
        return encoding
    candidate = replace(encoding, encoder=wanted)
    try:
        probe = av.CodecContext.create(wanted, "w")
        assert isinstance(probe, av.VideoCodecContext)
        probe.width, probe.height, probe.pix_fmt, probe.time_base = 640, 360, "nv12", Fraction(1, 25)
        probe.options = _options(candidate)
        probe.open()
    except (av.FFmpegError, ValueError, SinkError) as error:
        logger.warning("%s is not available here (%s); encoding with libx264", wanted, _reason(error))
        return encoding
    return candidate


class Encoder:
    """One video stream of an open container. Raises SinkError for what the encoder does not know."""

    def __init__(self, container: OutputContainer, info: VideoInfo, layout: PixelLayout, encoding: Encoding) -> None:
        self._encoding, self.encoder = encoding, encoding.encoder
        options = _options(encoding)
        if av.Codec(encoding.encoder, "w").name == "libx265" and min(layout.height, layout.width) < _X265_LEAST:
            # It would take it, write beyond its memory and end the process.
            raise SinkError(
                f"libx265 needs {_X265_LEAST} pixels each way, not {layout.width}x{layout.height}; try libx264"
            )
        self._held: Frame | None = None
        self._encoded = 0
        self._durations: dict[int | None, int | None] = {}
        self.pixel_format = _pixel_format(encoding.encoder, info)
        self._even = _needs_even(encoding, layout, self.pixel_format)
        try:
            rate = info.frame_rate or Fraction(25)
            stream = container.add_stream(encoding.encoder, rate=rate, options=options)
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(
                f"{encoding.encoder} does not go into {container.format.name}; {_advice(encoding.encoder, container)}"
            ) from error
        assert isinstance(stream, av.VideoStream)
        self.stream = stream
        # SVT writes a page to the terminal too, and listens to nothing else.
        os.environ.setdefault("SVT_LOG", "1")
        context = stream.codec_context
        context.height, context.width = even_size(layout) if self._even else (layout.height, layout.width)
        context.pix_fmt = self.pixel_format
        # The input's own clock, so that its times come out as they went in, variable rate included.
        context.time_base = info.time_base
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if info.rotation:
            stream.set_display_rotation(info.rotation)
        _tag_colours(context, info, layout)
        with self._refusal():
            context.open()

    def encode(self, frame: Frame) -> list[av.Packet[av.stream.Stream]]:
        """The packets that are ready once this frame is in; often those of earlier frames.

        A frame is held back until the next one tells how long it is shown.
        """
        held, self._held = self._held, frame
        return self._encode(self._picture(held, frame.pts - held.pts)) if held else []

    def encode_now(self, frame: Frame, duration: int, key: bool = False) -> list[av.Packet[av.stream.Stream]]:
        """The packets that are ready once this frame, shown for `duration` units of its time base, is in; the
        encoder alone holds anything back. `key` asks for one that can be decoded by itself.
        """
        picture = self._picture(frame, duration)
        if key:
            picture.pict_type = PictureType.I
        return self._encode(picture)

    def flush(self, last_duration: int) -> list[av.Packet[av.stream.Stream]]:
        """The packets still to come, the last frame being shown for `last_duration` units of its time base;
        nothing can be encoded afterwards.
        """
        held, self._held = self._held, None
        last = self._encode(self._picture(held, last_duration)) if held else []
        packets = last + self._encode(None)
        if self._encoded <= 2:
            # libx265 leaves dts unset in clips this short, in which nothing can be reordered.
            for packet in packets:
                packet.dts = packet.pts
        return packets

    def _picture(self, frame: Frame, duration: int) -> av.VideoFrame:
        self._encoded += 1
        self._durations[frame.pts] = duration
        picture = to_video_frame(frame.data, frame.layout, self.pixel_format, self._even)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        return picture

    def _encode(self, picture: av.VideoFrame | None) -> list[av.Packet[av.stream.Stream]]:
        with self._refusal():
            packets = list(self.stream.encode(picture))
        for packet in packets:
            # Not every encoder hands on how long a frame is shown, and the muxer would guess.
            packet.duration = self._durations.pop(packet.pts, packet.duration)
        return packets

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, ValueError) as error:
            asked = [f"{key}={value}" for key, value in _options(self._encoding).items() if key not in _OUR_OWN]
            raise SinkError(
                f"{self._encoding.encoder} refuses {self.stream.width}x{self.stream.height} {self.pixel_format} with "
                f"{', '.join(asked) or 'its defaults'}: {_reason(error)}; change or leave out one of these"
            ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _advice(encoder: str, container: OutputContainer) -> str:
    """What else would go: another encoder, or another output."""
    kind, usual = container.format.name, container.default_video_codec
    others = [av.Codec(usual, "w").name] if usual in av.codecs_available else []
    tries = [f"--encoder {other}" for other in others if takes(kind, other)]
    endings = [ending for each, ending in KEEPERS.items() if each != kind and takes(each, encoder)]
    tries += [f"an output in {listed(endings)}"] if endings else []
    return f"try {', or '.join(tries) or '--encoder libx264 with an output in .mp4'}"


def _options(encoding: Encoding) -> dict[str, str]:
    """The encoder's options under its own names. Raises SinkError for unknown ones."""
    try:
        context = av.CodecContext.create(encoding.encoder, "w")
    except ValueError as error:
        raise SinkError(
            f"no encoder is called {encoding.encoder}{nearest(encoding.encoder, video_encoders())} "
            "(`streamderain doctor` lists those for video; --via-ffmpeg reaches the system's own)"
        ) from error
    if context.type != "video":
        raise SinkError(f"{encoding.encoder} encodes {context.type}, not video; try libx264")
    private = {option.name for option in context.supported_options.private}
    settable = private | {option.name for option in context.supported_options.generic}
    for name in encoding.options:
        if name not in settable:
            raise SinkError(f"{encoding.encoder} has no option {name}{nearest(name, settable)}")
    options = dict(encoding.options)
    if encoding.preset is not None:
        if "preset" not in private:
            raise SinkError(f"{encoding.encoder} has no presets; leave --preset out")
        options.setdefault("preset", encoding.preset)
    if encoding.crf is not None:
        # NVENC calls its constant quality cq.
        quality = next((name for name in ("crf", "cq") if name in private), None)
        if quality:
            options.setdefault(quality, str(encoding.crf))
    return options | {name: value for name, value in _OUR_OWN.items() if name in private and name not in options}


def video_encoders() -> list[str]:
    """The names of all encoders for video in this libav."""
    return sorted(name for name in av.codecs_available if _encodes_video(name))


def _encodes_video(name: str) -> bool:
    try:
        return av.Codec(name, "w").type == "video"
    except ValueError:
        return False


def _pixel_format(encoder: str, info: VideoInfo) -> str:
    """The working format where the encoder has it, else the nearest that it has."""
    wanted = working_format(info.pixel_format)
    formats = [each.name for each in av.Codec(encoder, "w").video_formats or []]
    if not formats or wanted in formats:
        return wanted
    # For grey, libav would take RGB or 4:4:4, which few players show.
    best, _ = find_best_pix_fmt_of_list(formats, wanted.replace("gray", "yuv420p"))
    assert best is not None
    logger.warning("%s has no %s; encoding as %s", encoder, wanted, best.name)
    return best.name


def _needs_even(encoding: Encoding, layout: PixelLayout, pixel_format: str) -> bool:
    """Whether the encoder refuses this odd size; the log says what it makes of it."""
    height, width = even_size(layout)
    if (height, width) == (layout.height, layout.width):
        return False
    if not encoding.even and _opens(encoding, layout, pixel_format):
        return False
    name = "the output" if encoding.even else encoding.encoder
    logger.warning("%s needs even sizes: %dx%d is encoded as %dx%d", name, layout.width, layout.height, width, height)
    return True


def _opens(encoding: Encoding, layout: PixelLayout, pixel_format: str) -> bool:
    probe = av.CodecContext.create(encoding.encoder, "w")
    assert isinstance(probe, av.VideoCodecContext)
    probe.width, probe.height, probe.pix_fmt = layout.width, layout.height, pixel_format
    probe.time_base, probe.options = Fraction(1, 25), _options(encoding)
    try:
        probe.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _tag_colours(context: av.VideoCodecContext, info: VideoInfo, layout: PixelLayout) -> None:
    """Carry what the input says of its colours; what it leaves open stays open."""
    if holds_rgb(context.pix_fmt or ""):
        context.colorspace, context.color_range = RGB_SPACE, FULL_RANGE
    elif holds_rgb(info.pixel_format) or info.color_space == RGB_SPACE:
        context.colorspace, context.color_range = _BT709_SPACE, LIMITED_RANGE
    else:
        context.colorspace = info.color_space
        context.color_range = FULL_RANGE if layout.full_range else info.color_range
    context.color_primaries, context.color_trc = info.color_primaries, info.color_trc
