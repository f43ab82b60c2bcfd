"""Frame -> packets, with the input's pixel format, colour tags and times."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.codec import find_best_pix_fmt_of_list
from av.codec.context import Flags
from av.container import OutputContainer

from streamderain.errors import SinkError, nearest
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.video.pixels import FULL_RANGE, LIMITED_RANGE, RGB_SPACE, is_rgb, to_video_frame, working_format

logger = logging.getLogger(__name__)

HARDWARE_ENCODERS = {"cuda": "h264_nvenc", "qsv": "h264_qsv"}
"""The encoder that stands in for libx264 when a libav device of this type is asked for."""

_BT709_SPACE = 1


@dataclass(frozen=True)
class Encoding:
    """How to encode. `crf` is the quality of encoders that know such a thing, lower being better; None
    leaves it, like `preset`, to the encoder. `options` go to the encoder by their libav names.
    """

    encoder: str = "libx264"
    crf: int | None = 18
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def available(encoding: Encoding, hwaccel: str | None) -> Encoding:
    """`encoding`, with libx264 replaced by the hardware's encoder where `hwaccel` names one that works.

    Where it does not work, the log says so in one line.
    """
    wanted = HARDWARE_ENCODERS.get(hwaccel or "")
    if wanted is None or encoding.encoder != "libx264":
        return encoding
    try:
        probe = av.CodecContext.create(wanted, "w")
        assert isinstance(probe, av.VideoCodecContext)
        probe.width, probe.height, probe.pix_fmt, probe.time_base = 640, 360, "yuv420p", Fraction(1, 25)
        probe.open()
    except (av.FFmpegError, ValueError) as error:
        logger.warning("%s is not available here (%s); encoding with libx264", wanted, error)
        return encoding
    return Encoding(wanted, encoding.crf, encoding.preset, encoding.options)


class Encoder:
    """One video stream of an open container. Raises SinkError for what the encoder does not know."""

    def __init__(self, container: OutputContainer, info: VideoInfo, layout: PixelLayout, encoding: Encoding) -> None:
        options = _options(encoding)
        rate = info.frame_rate or Fraction(25)
        try:
            stream = container.add_stream(encoding.encoder, rate=rate, options=options)
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(f"{encoding.encoder} does not go into {container.format.name}: {error}") from error
        assert isinstance(stream, av.VideoStream)
        self.stream, self._encoding = stream, encoding
        self._held: Frame | None = None
        self.pixel_format = _pixel_format(encoding.encoder, info)
        context = stream.codec_context
        context.width, context.height = layout.width, layout.height
        context.pix_fmt = self.pixel_format
        # The input's own clock, so that its times come out as they went in, variable rate included.
        context.time_base = info.time_base
        context.flags |= Flags.frame_duration
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if info.rotation:
            stream.set_display_rotation(info.rotation)
        _tag_colours(context, info, layout)

    def encode(self, frame: Frame) -> list[av.Packet[av.stream.Stream]]:
        """The packets that are ready once this frame is in; often those of earlier frames.

        A frame is held back until the next one tells how long it is shown.
        """
        held, self._held = self._held, frame
        return self._encode(self._picture(held, frame.pts - held.pts)) if held else []

    def flush(self, last_duration: int) -> list[av.Packet[av.stream.Stream]]:
        """The packets still to come, the last frame being shown for `last_duration` units of its time base;
        nothing can be encoded afterwards.
        """
        held, self._held = self._held, None
        last = self._encode(self._picture(held, last_duration)) if held else []
        return last + self._encode(None)

    def _picture(self, frame: Frame, duration: int) -> av.VideoFrame:
        picture = to_video_frame(frame.data, frame.layout, self.pixel_format)
        picture.pts, picture.duration, picture.time_base = frame.pts, duration, frame.time_base
        return picture

    def _encode(self, picture: av.VideoFrame | None) -> list[av.Packet[av.stream.Stream]]:
        try:
            return list(self.stream.encode(picture))
        except av.FFmpegError as error:
            given = ", ".join(f"{key}={value}" for key, value in _options(self._encoding).items())
            raise SinkError(f"{self._encoding.encoder} refuses {given or 'its defaults'}: {error.strerror}") from error


def _options(encoding: Encoding) -> dict[str, str]:
    """The encoder's options under its own names. Raises SinkError for unknown ones."""
    try:
        context = av.CodecContext.create(encoding.encoder, "w")
    except ValueError as error:
        known = [name for name in av.codecs_available if _encodes_video(name)]
        raise SinkError(
            f"no encoder is called {encoding.encoder}{nearest(encoding.encoder, known)} "
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
    return options


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
    best, _ = find_best_pix_fmt_of_list(formats, wanted)
    assert best is not None
    logger.warning("%s has no %s; encoding as %s", encoder, wanted, best.name)
    return best.name


def _tag_colours(context: av.VideoCodecContext, info: VideoInfo, layout: PixelLayout) -> None:
    """Carry what the input says of its colours; what it leaves open stays open."""
    if is_rgb(info) or info.color_space == RGB_SPACE:
        context.colorspace, context.color_range = _BT709_SPACE, LIMITED_RANGE
    else:
        context.colorspace = info.color_space
        context.color_range = FULL_RANGE if layout.full_range else info.color_range
    context.color_primaries, context.color_trc = info.color_primaries, info.color_trc
