"""Packets of sound -> the same sound in another codec, for whom it cannot be passed through as it is."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer

from streamderain.media.nowhere import nowhere
from streamderain.media.wall import TIME_BASE, units

logger = logging.getLogger(__name__)

USUAL, RATE = "aac", 48000
"""What every container takes, and every player plays."""

_ENCODERS = {"opus": "libopus", "mp3": "libmp3lame"}
"""Where they have another name than the codec."""

_LAYOUTS = {1: "mono", 2: "stereo"}
"""Some sources only count channels, which cannot be converted to others."""


class Reencoded:
    """Packets of a stream like `source`, encoded by that of `stream`, which is not open yet; it sets rate and channels.

    Their times are in units of TIME_BASE. Raises ValueError or FFmpegError where there is no such decoder.
    """

    def __init__(self, source: av.AudioStream, stream: av.AudioStream) -> None:
        theirs = source.codec_context
        decoder = av.CodecContext.create(theirs.codec.canonical_name, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.extradata, decoder.sample_rate = theirs.extradata, theirs.sample_rate
        decoder.layout = _LAYOUTS.get(theirs.layout.nb_channels, theirs.layout.name)
        self.stream, self._decoder, self._last = stream, decoder, -1

    def packets(self, packet: av.Packet[Any]) -> list[av.Packet[Any]]:
        """What comes of one packet, which stays as it is; nothing of one that cannot be decoded."""
        theirs: av.Packet[Any] = av.Packet(bytes(packet))
        theirs.pts, theirs.time_base = packet.pts, packet.time_base
        made: list[av.Packet[Any]] = []
        try:
            for frame in self._decoder.decode(theirs):
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts = round(frame.pts * frame.time_base * frame.sample_rate)
                    frame.time_base = Fraction(1, frame.sample_rate)
                made += self.stream.codec_context.encode(frame)
        except av.FFmpegError as error:
            logger.debug("sound that cannot be decoded is left out (%s)", error.strerror)
        return [each for each in made if self._is_timed(each)]

    def _is_timed(self, packet: av.Packet[Any]) -> bool:
        """Give it its time; whether that is later than the one before."""
        at, took = (units(each, packet.time_base) for each in (packet.pts, packet.duration))
        if at is None or at <= self._last:
            return False
        packet.time_base, packet.pts, packet.dts, packet.duration = TIME_BASE, at, at, took
        self._last = at
        return True


def usual(container: OutputContainer, source: av.AudioStream) -> av.AudioStream:
    """A stream of `container` in the usual codec, for sound like that of `source`."""
    return _encoder(container, USUAL, RATE, _LAYOUTS.get(source.codec_context.layout.nb_channels, "stereo"))


def like(template: av.AudioStream) -> av.AudioStream:
    """One whose packets whoever has `template` can decode. Raises ValueError or FFmpegError where there is none."""
    theirs = template.codec_context
    name, channels = theirs.codec.canonical_name, theirs.layout.nb_channels
    stream = _encoder(nowhere(), _ENCODERS.get(name, name), theirs.sample_rate, _LAYOUTS.get(channels, ""))
    stream.codec_context.flags |= Flags.global_header
    stream.codec_context.open()
    # Of AAC, this is the kind, the rate and the channels (ISO 14496-3, 1.6.2.1).
    if name == "aac" and (stream.codec_context.extradata or b"")[:2] != (theirs.extradata or b"")[:2]:
        raise ValueError("it is another kind of AAC")
    return stream


def _encoder(container: OutputContainer, codec: str, rate: int, layout: str) -> av.AudioStream:
    stream = container.add_stream(codec, rate=rate)
    if not isinstance(stream, av.AudioStream):
        raise ValueError(f"{codec} is no codec for sound")
    stream.codec_context.layout = layout
    return stream
