"""The sound of a live run: packets on the run's clock, and a template for them that outlives each connection."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress

import av

from streamderain.media.connection import AudioPacket
from streamderain.media.nowhere import apart
from streamderain.media.reencoding import Reencoded, like
from streamderain.media.wall import TIME_BASE, RunClock, units

logger = logging.getLogger(__name__)

_MOST_PACKETS = 2000
"""Kept while nobody takes them: half a minute or more."""


class Sound:
    """Keeps packets of the format that the first connection with a picture has; others are encoded to it, or left out
    where that cannot be.
    """

    def __init__(self, shown: str) -> None:
        self.packets: deque[AudioPacket] = deque(maxlen=_MOST_PACKETS)
        self.template: av.AudioStream | None = None
        self._shown = shown
        self._reencoded: Reencoded | None = None
        self._is_settled, self._fits, self._last, self._jumps = False, False, -1, 0

    def begin(self, stream: av.AudioStream | None) -> None:
        """A connection has this sound."""
        if not self._is_settled:
            self.template = None if stream is None else _outliving(stream)
        self._fits = stream is not None and self.template is not None and _format(stream) == _format(self.template)
        self._reencoded = None
        if self._is_settled and stream is not None and not self._fits:
            self._reencode(stream)

    def settle(self) -> None:
        """There is a picture: the run's sound is what it is now."""
        self._is_settled = True

    def take(self, packet: AudioPacket, clock: RunClock) -> None:
        """Keep `packet`, its times rewritten in units of TIME_BASE on the run's clock; it belongs to the template then.

        One that has no time, or none beside the pictures, or is not later than the one before, is left out.
        """
        if clock.jumps != self._jumps:
            self._jumps = clock.jumps
            self._forget_after(clock.now())
        source = units(packet.pts, packet.time_base)
        at = clock.moved(source) if source is not None else None
        if not self._fits or self.template is None or at is None or at <= self._last:
            return
        duration = units(packet.duration, packet.time_base)
        packet.time_base, packet.pts, packet.dts, packet.duration = TIME_BASE, at, at, duration
        self._last = at
        for each in self._reencoded.packets(packet) if self._reencoded else [packet]:
            each.stream = self.template
            self.packets.append(each)

    def _reencode(self, stream: av.AudioStream) -> None:
        """Have what differs from what the outputs know made like it."""
        what = "left out"
        if self.template is not None:
            with suppress(ValueError, av.FFmpegError):
                self._reencoded = Reencoded(stream, like(self.template))
                self._fits, what = True, "encoded anew"
        level = logging.INFO if self._fits else logging.WARNING
        logger.log(level, "%s: its sound is another than at first, and is %s", self._shown, what)

    def _forget_after(self, now: int) -> None:
        """Let nothing that was placed by times which were wrong keep out what comes now."""
        with suppress(IndexError):  # whoever writes takes packets meanwhile
            while (self.packets[-1].pts or 0) > now:
                self.packets.pop()
        self._last = min(self._last, now)


def _outliving(stream: av.AudioStream) -> av.AudioStream:
    copy = apart(stream)
    copy.time_base = TIME_BASE
    return copy


def _format(stream: av.AudioStream) -> tuple[str, int, int]:
    context = stream.codec_context
    return context.name, context.sample_rate, context.layout.nb_channels
