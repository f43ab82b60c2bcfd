"""Frame -> packets, with the input's pixel format, colour tags and times."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol, Self, cast

import av
from av.container import OutputContainer
from av.format import Flags
from av.video.frame import PictureType

from streamderain.errors import SinkError, reason
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.choice import AUTO, USUAL, fitting_clock, fitting_encoder, fitting_format, fitting_rate
from streamderain.media.copying import KEEPERS, add_copy, listed, takes, takes_unlisted
from streamderain.media.encoder_clock import EncoderClock
from streamderain.media.light import carries_light, light_options, stream_with_light
from streamderain.media.nowhere import nowhere
from streamderain.media.options import ANY_CLOCK, QUIET, TRIAL_SIZE, has_option, is_lossless, joined, opens, options_of
from streamderain.media.pixels import (
    FULL_RANGE,
    LIMITED_RANGE,
    RGB_SPACE,
    changed,
    converted,
    dressed,
    even_size,
    holds_rgb,
    paletted,
    to_video_frame,
)
from streamderain.media.track import Packet

logger = logging.getLogger(__name__)

HARDWARE_ENCODERS = {"cuda": "h264_nvenc", "qsv": "h264_qsv"}
"""The encoder that stands in for libx264 when a libav device of this type is asked for."""

_BT709_SPACE, _NO_SPACE = 1, 2

_X265_LEAST = 64

_OF_A_TRACK = ("width", "height", "pix_fmt", "framerate", "sample_aspect_ratio", "color_range", "color_primaries",
               "color_trc", "colorspace", "field_order", "extradata")  # fmt: skip
"""What of an encoder a container needs to know."""


class EncodingSettings(Protocol):
    """What configs say of encoding."""

    @property
    def encoder(self) -> str: ...  # noqa: D102
    @property
    def crf(self) -> int | None: ...  # noqa: D102
    @property
    def preset(self) -> str | None: ...  # noqa: D102
    @property
    def encoder_option(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def hwaccel(self) -> str | None: ...  # noqa: D102


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

    @classmethod
    def asked(cls, config: EncodingSettings) -> Self:
        """The one that `config` asks for."""
        return cls(config.encoder, config.crf, config.preset, config.encoder_option)


def encoding_of(config: EncodingSettings) -> Encoding:
    """The one that `config` asks for, by the hardware where that is asked for and works."""
    return available(Encoding.asked(config), config.hwaccel)


def available(encoding: Encoding, hwaccel: str | None) -> Encoding:
    """`encoding`, with libx264 replaced by the hardware's encoder where `hwaccel` names one that works.

    Where it does not work, the log says so in one line.
    """
    wanted = HARDWARE_ENCODERS.get(hwaccel or "")
    if wanted is None or encoding.encoder not in (USUAL, AUTO):
        return encoding
    candidate = replace(encoding, encoder=wanted)
    try:
        probe = av.CodecContext.create(wanted, "w")
        assert isinstance(probe, av.VideoCodecContext)
        probe.width, probe.height, probe.pix_fmt, probe.time_base = 640, 360, "nv12", Fraction(1, 25)
        probe.options = _options(candidate)
        probe.open()
    except (av.FFmpegError, ValueError, SinkError) as error:
        logger.warning("%s is not available here (%s); encoding with libx264", wanted, reason(error))
        return encoding
    return candidate


def settled(encoding: Encoding, container: OutputContainer, layout: PixelLayout) -> Encoding:
    """`encoding`, with the encoder that suits `container` and the video where the user names none."""
    if encoding.encoder != AUTO:
        return encoding
    found = replace(encoding, encoder=fitting_encoder(container, layout.full_range and layout.chroma != "gray"))
    if found.preset is not None and not has_option(found.encoder, "preset"):
        logger.warning("%s has no presets; %s is left out", found.encoder, found.preset)
        found = replace(found, preset=None)
    return found


def _options(encoding: Encoding) -> dict[str, str]:
    return options_of(encoding.encoder, encoding.options, encoding.preset, encoding.crf)


class Encoder:
    """One video stream of an open container. Raises SinkError for what the encoder does not know.

    `notes` are what it cannot keep of the video, in words, for whoever opened it to tell. `track` is the stream that
    the packets belong to, with the tags; `stream` has the encoder.
    """

    def __init__(self, container: OutputContainer, info: VideoInfo, layout: PixelLayout, encoding: Encoding) -> None:
        self._encoding = settled(encoding, container, layout)
        self.encoder, options = self._encoding.encoder, _options(self._encoding)
        self.notes: list[str] = []
        _check_size(self.encoder, layout)
        self._held: Frame | None = None
        self._encoded = 0
        self.pixel_format, rounded = fitting_format(
            self.encoder, info, layout, is_lossless(self.encoder, options),
            lambda name: opens(self.encoder, options, name),
        )  # fmt: skip
        self.notes += [rounded] if rounded else []
        self._even = self._needs_even(layout)
        self._rate = fitting_rate(self.encoder, info.frame_rate or Fraction(25))
        self._clock = self._fitting_clock(container, info)
        # SVT writes a page to the terminal too, and listens to nothing else.
        os.environ.setdefault("SVT_LOG", "1")
        # Where the output's stream is to be made after another, the encoder has one elsewhere.
        self._has_light = carries_light(container.format.name, self.encoder, info)
        self._elsewhere = nowhere() if self._has_light else None
        self.stream = self._add(container, joined(self._tag_options(info, layout), options))
        self._open(info, layout)
        self.track = self._track(container, info)
        if info.display_matrix:
            self.track.set_display_matrix(info.display_matrix)

    def _open(self, info: VideoInfo, layout: PixelLayout) -> None:
        context = self.stream.codec_context
        context.height, context.width = even_size(layout) if self._even else (layout.height, layout.width)
        context.pix_fmt, context.time_base = self.pixel_format, self._clock.ticks
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if info.field_order:
            context.field_order = info.field_order
        _tag_colours(context, info, layout)
        with self._refusal():
            context.open()

    @property
    def has_alpha_beside(self) -> bool:
        """Whether alpha lies beside the packets, where libvpx has it."""
        return self.pixel_format.startswith("yuva") and self.stream.codec_context.name.startswith("libvpx")

    @property
    def is_lossless(self) -> bool:
        """Whether it loses nothing but what its pixel format has no place for."""
        return is_lossless(self.encoder, _options(self._encoding))

    def _add(self, container: OutputContainer, options: dict[str, str]) -> av.VideoStream:
        """The encoder's stream, in a container of its own where the output's will be made after another."""
        if self._elsewhere and container.format.flags & cast(int, Flags.global_header.value):
            options = joined(options, {"flags": "+global_header"})
        try:
            stream = (self._elsewhere or container).add_stream(self.encoder, rate=self._rate, options=options)
        except (av.FFmpegError, ValueError) as error:
            if self._elsewhere or not takes_unlisted(container.format.name, self.encoder):
                raise _misfit(self.encoder, container) from error
            # PyAV says no, and the format does not.
            self._elsewhere = nowhere()
            return self._add(container, options)
        assert isinstance(stream, av.VideoStream)
        return stream

    def _track(self, container: OutputContainer, info: VideoInfo) -> av.VideoStream:
        if self._elsewhere is None:
            return self.stream
        ours = self.stream.codec_context
        if not self._has_light:
            self._elsewhere.start_encoding()
            copy = add_copy(container, self.stream, keeps_code=True)
            assert isinstance(copy, av.VideoStream)
            return copy
        with stream_with_light(ours.codec.canonical_name, info, ours.extradata) as like:
            try:
                track = container.add_stream_from_template(like, opaque=True)
            except (av.FFmpegError, ValueError) as error:
                raise _misfit(self.encoder, container) from error
        theirs = track.codec_context
        for name in _OF_A_TRACK:
            if (value := getattr(ours, name)) is not None:
                setattr(theirs, name, value)
        track.time_base = ours.time_base
        return track

    def _tag_options(self, info: VideoInfo, layout: PixelLayout) -> dict[str, str]:
        """What the encoder is to write into its stream that PyAV has no other way to say."""
        options = light_options(self.encoder, info)
        if self.encoder.startswith("libx264"):
            # User data as it is; libx265 would put an identifier of its own before it.
            options["udu_sei"] = "1"
        if info.chroma_location != "unspecified" and layout.chroma == "420":
            options["chroma_sample_location"] = info.chroma_location
        fields = {"flags": "+ildct+ilme"}
        if info.is_interlaced and self._opens(clock=self._clock.ticks, more=fields):
            options |= fields
        return options

    def _opens(
        self, size: tuple[int, int] = TRIAL_SIZE, clock: Fraction = ANY_CLOCK, more: Mapping[str, str] | None = None
    ) -> bool:
        options = joined(more or {}, _options(self._encoding))
        return opens(self.encoder, options, self.pixel_format, size, clock)

    def _fitting_clock(self, container: OutputContainer, info: VideoInfo) -> EncoderClock:
        clock = unit = fitting_clock(container, info, self._rate)
        # Encoders of libraries ask nothing of it.
        if not self.encoder.startswith("lib") and not self._opens(clock=clock):
            clock, unit = 1 / self._rate, info.time_base
        if clock != info.time_base and (info.has_variable_rate or (1 / self._rate / clock).denominator > 1):
            self.notes.append(
                f"{container.format.name} has no place for the times of the input: they are rounded to "
                f"{clock} s; an output in .mkv or .mp4 keeps them"
            )
        return EncoderClock(clock, unit)

    def _needs_even(self, layout: PixelLayout) -> bool:
        """Whether the encoder refuses this odd size."""
        height, width = even_size(layout)
        if (height, width) == (layout.height, layout.width):
            return False
        size = (layout.width, layout.height)
        if not self._encoding.even and self._opens(size):
            return False
        name = "the output" if self._encoding.even else self.encoder
        self.notes.append(f"{name} needs even sizes: {layout.width}x{layout.height} is encoded as {width}x{height}")
        return True

    def encode(self, frame: Frame, apart: bool = False) -> list[Packet]:
        """The packets that are ready once this frame is in; often those of earlier frames. Those before it can be
        decoded without it and what follows, and their packets come first, where it is to stand `apart`.

        A frame is held back until the next one tells how long it is shown.
        """
        held, self._held = self._held, None
        packets = []
        if held:
            picture = self._picture(held, frame.pts - held.pts)
            # The first is a key picture anyway.
            picture.pict_type = PictureType.P if apart and self._encoded > 1 else PictureType.NONE
            packets = self._encode(picture)
        # Not before, as nothing is to come behind one that is refused.
        self._held = frame
        return packets

    def encode_now(self, frame: Frame, duration: int, key: bool = False) -> list[Packet]:
        """The packets that are ready once this frame, shown for `duration` units of its time base, is in; the
        encoder alone holds anything back. `key` asks for one that can be decoded by itself.
        """
        picture = self._picture(frame, duration)
        if key:
            picture.pict_type = PictureType.I
        return self._encode(picture)

    def flush(self, last_duration: int) -> list[Packet]:
        """The packets still to come, the last frame being shown for `last_duration` units of its time base;
        nothing can be encoded afterwards.
        """
        held, self._held = self._held, None
        if held is None and not self._encoded:
            return []
        last = self._encode(self._picture(held, last_duration)) if held else []
        packets = last + self._encode(None)
        if self._encoded <= 2:
            # libx265 leaves dts unset in clips this short, in which nothing can be reordered.
            for packet in packets:
                packet.dts = packet.pts
        return packets

    def _picture(self, frame: Frame, duration: int) -> av.VideoFrame:
        self._encoded += 1
        picture = self._shown(frame)
        # What the decoder wrote there would bind the encoder.
        picture.pict_type = PictureType.NONE
        picture.pts, picture.time_base = self._clock.place(frame, duration), self._clock.ticks
        # Some encoders write what the picture says, and not what they were told.
        context = self.stream.codec_context
        picture.color_primaries, picture.color_trc = context.color_primaries, context.color_trc
        return picture

    def _shown(self, frame: Frame) -> av.VideoFrame:
        original = frame.original
        if self._even:
            grown = to_video_frame(frame.data, frame.layout, self.pixel_format, even=True)
            return grown if original is None else dressed(grown, original)
        if original is None:
            picture = to_video_frame(frame.data, frame.layout)
        else:
            picture = changed(original, frame.data, frame.layout)
        if self.pixel_format == "pal8" and picture.format.name != "pal8":
            return paletted(converted(picture, "bgra", frame.layout))
        return converted(picture, self.pixel_format, frame.layout)

    def _encode(self, picture: av.VideoFrame | None) -> list[Packet]:
        with self._refusal():
            packets = list(self.stream.encode(picture))
        for packet in packets:
            self._clock.move(packet)
            packet.stream = self.track
        return packets

    @property
    def clock(self) -> Fraction:
        """The time base of the packets, in seconds."""
        return self._clock.unit

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, ValueError) as error:
            ours = {*QUIET, "qmin", "qmax", "strict"} - self._encoding.options.keys()
            asked = [f"{key}={value}" for key, value in _options(self._encoding).items() if key not in ours]
            raise SinkError(
                f"{self.encoder} refuses {self.stream.width}x{self.stream.height} {self.pixel_format} with "
                f"{', '.join(asked) or 'its defaults'}: {reason(error)}; change or leave out one of these"
            ) from error


def _check_size(encoder: str, layout: PixelLayout) -> None:
    if av.Codec(encoder, "w").name == "libx265" and min(layout.height, layout.width) < _X265_LEAST:
        # It would take it, write beyond its memory and end the process.
        raise SinkError(
            f"libx265 needs {_X265_LEAST} pixels each way, not {layout.width}x{layout.height}; try --encoder libx264"
        )


def _misfit(encoder: str, container: OutputContainer) -> SinkError:
    """That an encoder and a format do not fit, and what else would go: another encoder, or another output."""
    kind, other = container.format.name, fitting_encoder(container)
    endings = [ending for each, ending in KEEPERS.items() if each != kind and takes(each, encoder)]
    tries = [f"--encoder {other}"] if takes(kind, other) else []
    tries += [f"an output in {listed(endings)}"] if endings else []
    advice = ", or ".join(tries) or "--encoder libx264 with an output in .mp4"
    return SinkError(f"{encoder} does not go into {kind}; try {advice}")


def _tag_colours(context: av.VideoCodecContext, info: VideoInfo, layout: PixelLayout) -> None:
    """Carry what the input says of its colours; what it leaves open stays open."""
    if holds_rgb(context.pix_fmt or ""):
        context.colorspace, context.color_range = RGB_SPACE, FULL_RANGE
    elif holds_rgb(info.pixel_format) or (info.color_space == RGB_SPACE and layout.chroma != "gray"):
        context.colorspace, context.color_range = _BT709_SPACE, LIMITED_RANGE
    else:
        # Decoders of PNG call grey RGB too.
        context.colorspace = _NO_SPACE if info.color_space == RGB_SPACE else info.color_space
        context.color_range = FULL_RANGE if layout.full_range else info.color_range
    context.color_primaries, context.color_trc = info.color_primaries, info.color_trc
