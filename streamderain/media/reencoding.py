"""Packets of sound -> the same sound in another codec, for whom it cannot be passed through as it is."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer

from streamderain.media.wall import TIME_BASE, units

logger = logging.getLogger(__name__)

USUAL, RATE = "aac", 48000
"""What every container takes, and every player plays."""

_LAYOUTS = {1: "mono", 2: "stereo"}
"""Some sources only count channels, which cannot be converted to others."""


class Reencoded:
    """Adds a stream to `container` in the usual codec, for sound like that of `source`, and makes its packets.

    Their times are in units of TIME_BASE. Raises ValueError or FFmpegError where there is no such decoder, or the
    container takes no such stream.
    """

    def __init__(self, source: av.AudioStream, container: OutputContainer) -> None:
        theirs = source.codec_context
        channels = theirs.layout.nb_channels
        decoder = av.CodecContext.create(theirs.codec.canonical_name, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.extradata, decoder.sample_rate = theirs.extradata, theirs.sample_rate
        decoder.layout = _LAYOUTS.get(channels, theirs.layout.name)
        self.stream = container.add_stream(USUAL, rate=RATE)
        encoder = self.stream.codec_context
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.layout = _LAYOUTS.get(channels, "stereo")
        self._decoder, self._encoder, self._last = decoder, encoder, -1

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
                made += self._encoder.encode(frame)
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
