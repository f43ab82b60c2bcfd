"""When frames are shown by the clock of an encoder, and packets by the clock of an output."""

from __future__ import annotations

import math
from fractions import Fraction

from streamderain.frames import Frame
from streamderain.media.track import Packet


class EncoderClock:
    """`ticks` is the time base that the encoder counts in, `unit` that of its packets, both in seconds. They are the
    same, unless the encoder takes only a rough one: then its packets are moved to where their pictures are.
    """

    def __init__(self, ticks: Fraction, unit: Fraction) -> None:
        self.ticks, self.unit = ticks, unit
        self._began: Fraction | None = None
        self._late = Fraction(0)
        self._last: int | None = None
        self._durations: dict[int | None, int] = {}

    def place(self, frame: Frame, duration: int) -> int:
        """The ticks at which a frame is shown, for `duration` units of its own time base; later than the frame before
        also where ticks are rougher.

        The first comes at the tick before: one tick late, what only counts frames would show it for two.
        """
        at = frame.pts * frame.time_base / self.ticks
        if self._began is None:
            # Picture and sound stay as far apart as they are, between two ticks of a rough clock.
            self._began, self._late = at, at % 1 * self.ticks
        pts = math.floor(self._began) + round(at - self._began)
        self._last = pts if self._last is None else max(pts, self._last + 1)
        self._durations[self._last] = max(1, round(duration * frame.time_base / self.ticks))
        return self._last

    def move(self, packet: Packet) -> None:
        """Give a packet that the encoder made its time and length on the output's clock."""
        # Not every encoder hands on how long a frame is shown, and the muxer would guess.
        packet.duration = self._durations.pop(packet.pts, packet.duration)
        if self.ticks == self.unit:
            return
        for name in ("pts", "dts"):
            if (time := getattr(packet, name)) is not None:
                setattr(packet, name, round((time * self.ticks + self._late) / self.unit))
        packet.duration = round((packet.duration or 0) * self.ticks / self.unit)
        packet.time_base = self.unit
