"""One stream on the clock of its source: where it is, and its packets moved there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import av

Packet: TypeAlias = "av.Packet[av.stream.Stream]"

_STEP = 0.5
"""How far apart packets are at most, in seconds, that tell how far apart they usually are."""

_LATEST = 10.0
"""Seconds after it is decoded that a picture is shown, at most, where clocks are not to be trusted."""


@dataclass
class Track:
    """A stream: `base` is its unit, `clock` that of the clock, `moved` what is added to its times, in `clock` units.

    In seconds on the clock, `last` is when its last packet was, `end` when the next is expected, `step` how far apart
    they are, `gap` how far the last two were. `was_loose` says that `last` is the time of presentation, which may go
    back.
    """

    base: Fraction
    clock: Fraction
    is_video: bool
    is_copied: bool
    is_sparse: bool
    moved: int = 0
    last: float | None = None
    end: float = 0.0
    step: float = 0.0
    gap: float = 0.0
    was_loose: bool = False
    _last_units: int | None = None

    def forget(self) -> None:
        """Nothing came before."""
        self.last, self.end, self.step, self.gap, self.was_loose, self._last_units = None, 0.0, 0.0, 0.0, False, None

    def seconds(self, packet: Packet) -> float | None:
        """When the packet is, as the source counts."""
        units = packet.pts if packet.dts is None else packet.dts
        return None if units is None else float(units * self.base)

    def lasts(self, packet: Packet) -> float:
        """For how long, as far as is known."""
        return float(packet.duration * self.base) if packet.duration else self.step

    def is_loose(self, packet: Packet) -> bool:
        """Whether its time is one of presentation, which goes back where pictures are reordered."""
        return self.is_video and packet.dts is None

    def shifted(self, time: int | None) -> int | None:
        """That time of the source, in units of the stream, on the clock."""
        return None if time is None else time + round(self.moved * self.clock / self.base)

    def follow(self, packet: Packet, time: float) -> None:
        """The clock has come to `packet`, at that time of the source; it is moved there."""
        at = time + self.moved * float(self.clock)
        lasts = self.lasts(packet)
        if self.last is not None and at > self.last:
            self.gap = at - self.last
            self.step = self.gap if self.gap <= _STEP else self.step
        self.last, self.end, self.was_loose = at, at + (lasts or self.step), self.is_loose(packet)
        packet.pts, packet.dts = self.shifted(packet.pts), self.shifted(packet.dts)

    def doubt(self, packet: Packet) -> None:
        """Forget when a picture is shown that would be before it is decoded, or long after."""
        if self.is_copied or packet.pts is None or packet.dts is None:
            return
        if not -self.step <= (packet.pts - packet.dts) * self.base <= _LATEST:
            packet.pts = None

    def line_up(self, packet: Packet) -> None:
        """No muxer takes a packet that goes back, or is shown before it is decoded. Many may have one time, as where a
        container's clock is rougher than their length.
        """
        dts = packet.pts if packet.dts is None else packet.dts
        assert dts is not None
        if self._last_units is not None:
            dts = max(dts, self._last_units)
        packet.dts = self._last_units = dts
        packet.pts = dts if packet.pts is None else max(packet.pts, dts)


def exact(ratio: Any) -> Fraction:
    """A ratio of PyAV's, which has a type of its own from version 19 on, as Python's; 0 for none."""
    return Fraction(ratio.numerator, ratio.denominator) if ratio else Fraction(0)
