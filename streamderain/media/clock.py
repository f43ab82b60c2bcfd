"""Packets of a source, with whatever times its container gives them -> the same packets on one clock, as a generator.

The clock is 0 where the source begins and goes on without a break: where the times of a source start again, wrap or
jump, what follows is joined on, picture and sound as far apart as they came. Gaps that are part of a rhythm, reordered
pictures and uneven rates stay as they are.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
from av.container import InputContainer
from av.format import Flags

from streamderain.media.ahead import Ahead
from streamderain.media.track import Packet, Track, exact

logger = logging.getLogger(__name__)

_JUMP = 10.0
"""Seconds without a packet that are a jump of the clock where a format has them; as in ffmpeg."""

_SLOW = 120.0
"""Seconds between two pictures of a time lapse, at most, that makes a jump of them where a format has those."""

_BREAK = 30 * 3600.0
"""Seconds that are one in any format, as in ffmpeg: libav takes a counter that starts again for one that wraps."""

_STEP = 0.5
"""Seconds that a stream may begin before 0, or beside a clock."""

_ASTRAY = 3
"""How many packets in a row may have wrong times before they are right, and those before them were wrong."""

_REORDERED = 1.0
"""Seconds that pictures without a decoding time may go back, as they come in the order of decoding."""

_FAR = 1000
"""How many packets are looked at ahead, seconds of picture and sound, to find where each stream jumps."""

_NEAR = 100
"""How many are looked at for the first that has a time."""

_MOST_REORDERED = 16
"""How many pictures come before one that is shown before them, at most; as in H.264."""

_REMEMBERED = 8
"""How many of the clocks that a source had are tried again."""

_WRAPPED = 1.0
"""Seconds without a packet across such a start, at most."""

_WRAPS = (24, 31, 32, 33)
"""Bits of the counters that start again at 0: those of FLV, of 32-bit MP4 and RTP, and of MPEG."""


@dataclass
class SourceClock:
    """The clock of `streams` of one container, the first of which is the picture; it counts in that one's units.

    `name` is what the log calls the source, once, where its times are broken. `begins` is the source's own time at 0,
    in seconds.
    """

    name: str
    container: InputContainer
    streams: Sequence[av.stream.Stream]
    begins: Fraction = Fraction(0)
    _told: bool = False

    def __post_init__(self) -> None:
        video = self.streams[0]
        self._base = exact(video.time_base) or Fraction(1, 90000)
        self._unit = float(self._base)
        # Formats that are recorded from the air, or joined by their bytes; elsewhere a long gap is meant.
        self._jumps = bool(Flags(self.container.format.flags) & Flags.ts_discont)
        self._tracks = {
            stream.index: Track(
                base=exact(stream.time_base) or self._base,
                clock=self._base,
                is_video=stream.type == "video",
                is_copied=stream is not video,
                is_sparse=stream.type not in ("video", "audio"),
            )
            for stream in self.streams
        }
        self._clocks: deque[int] = deque(maxlen=_REMEMBERED)

    def placed(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """The packets in the same order, `pts` and `dts` on the clock. Those of pictures may lack times, which the
        decoder's order tells; those of other streams all have them, and `dts` never goes back in a stream.
        """
        self._packets = Ahead(packets)
        if not self._clocks:
            self._begin()
        for packet in self._packets:
            if packet.size or packet.dts is not None:
                self._place(packet, self._tracks[packet.stream_index])
            yield packet

    @property
    def is_steady(self) -> bool:
        """Whether times are on the clock all through the source as they are at its beginning."""
        return not self._jumps

    def resume(self) -> None:
        """What is placed next comes from another place of the source."""
        for track in self._tracks.values():
            track.forget()

    def coming(self, stream: av.stream.Stream) -> list[Packet]:
        """Those of the next packets that belong to `stream`, as they are in the source; for nobody while one is asked
        for.
        """
        return [packet for packet in self._packets.look(_NEAR) if packet.stream is stream and packet.size]

    def tell(self, what: str, seconds: float, instead: str) -> None:
        """Say once what is wrong with the times of this source, where on the clock, and what is done."""
        level = logging.DEBUG if self._told else logging.WARNING
        logger.log(level, "%s: %s at %.1f s; %s", self.name, what, max(seconds, 0.0), instead)
        self._told = True

    def _begin(self) -> None:
        """Settle where 0 is: at the start of the stream that starts first."""
        starts = {
            stream.index: float(stream.start_time * self._tracks[stream.index].base)
            for stream in self.streams
            if stream.start_time is not None and not self._tracks[stream.index].is_sparse
        }
        lead = self.streams[0].index
        first = self._first(lead)
        if first is not None:
            # What libav says may be that of a later one.
            told = starts.setdefault(lead, first)
            is_near = not self._jumps or told - first <= _JUMP
            starts[lead] = min(told, first) if is_near else told
        starts[lead] = starts.get(lead, 0.0) - self._untimed(lead)
        origin = min(start for start in starts.values() if not self._jumps or starts[lead] - start <= _JUMP)
        moved = -math.floor(origin / self._unit + 1e-6)
        self._clocks.append(moved)
        self.begins = -moved * self._base
        for track in self._tracks.values():
            track.moved = moved

    def _first(self, index: int) -> float | None:
        """When the first picture that has a time is shown."""
        first, last = None, None
        packets = (each for each in self._packets.look(_NEAR) if each.stream_index == index and not each.is_discard)
        for packet in islice(packets, _MOST_REORDERED):
            if last is not None and packet.dts is not None and packet.dts <= last:
                break  # another clock
            last = last if packet.dts is None else packet.dts
            shown = packet.dts if packet.pts is None else packet.pts
            if shown is not None and (packet.dts is None or shown >= packet.dts):
                first = shown if first is None else min(first, shown)
        return None if first is None else float(first * self._base)

    def _untimed(self, lead: int) -> float:
        """Seconds of pictures before the first that has a time."""
        track, seconds = self._tracks[lead], 0.0
        for packet in self._packets.look(_NEAR):
            if packet.stream_index == lead:
                if track.seconds(packet) is not None:
                    return seconds
                seconds += track.lasts(packet)
        return 0.0

    def _place(self, packet: Packet, track: Track) -> None:
        if track.is_video and track.is_copied and packet.dts is None:
            packet.dts = self._decoded_at(packet)
        time = track.seconds(packet)
        if packet.is_discard and time is not None:
            # What an edit list needs decoded and not shown goes back for it.
            packet.pts, packet.dts = track.shifted(packet.pts), track.shifted(packet.dts)
        elif time is None or (moved := self._moved(packet, track, time)) is None:
            self._guess(packet, track)
        else:
            track.moved = moved
            track.follow(packet, time)
            if self._jumps:
                track.doubt(packet)
        if track.is_copied:
            track.line_up(packet)

    def _decoded_at(self, packet: Packet) -> int | None:
        """When a copied picture is decoded that is told only when it is shown: as long before the next of which it is
        told as that takes.
        """
        before = packet.duration or 0
        for other in self._packets.look(_NEAR):
            if other.stream_index == packet.stream_index:
                if other.dts is not None:
                    return other.dts - before
                before += other.duration or 0
        return None

    def _guess(self, packet: Packet, track: Track) -> None:
        """Place a packet whose own time is missing or wrong."""
        lasts = track.lasts(packet)
        if track.is_sparse:
            at = self._now()
        elif track.last is None:
            at = self._before(packet, track, lasts)
        else:
            after = self._after(packet, track, track.last)
            at = track.end if after is None or track.end < after else (track.last + after) / 2
        if not track.is_copied:
            # The decoder knows the order in which they are shown, and the next one tells the rest.
            packet.pts = packet.dts = None
        else:
            packet.pts = packet.dts = round(at / float(track.base))
            self.tell("a time is missing or out of order", at, "it is taken from those around it")
        track.last, track.end = at, at + lasts

    def _before(self, packet: Packet, track: Track, lasts: float) -> float:
        """Where the first packet of a stream is, by the first that has a time."""
        now = self._now()
        for other in self._packets.look(_NEAR):
            if other.stream_index == packet.stream_index:
                time = track.seconds(other)
                if time is not None:
                    at = time + track.moved * self._unit - lasts
                    return at if not self._jumps or -_STEP <= at <= now + _JUMP else now
                lasts += track.lasts(other)
        return now

    def _after(self, packet: Packet, track: Track, last: float) -> float | None:
        """The first of the next times that is later than `last`."""
        ats = (time + track.moved * self._unit for time in self._next_times(packet, track))
        return next((at for at in ats if at > last), None)

    def _next_times(self, packet: Packet, track: Track) -> list[float]:
        """The times of the next few packets of this stream."""
        others = islice(
            (other for other in self._packets.look(_FAR) if other.stream_index == packet.stream_index), _ASTRAY
        )
        return [time for other in others if (time := track.seconds(other)) is not None]

    def _now(self) -> float:
        """How far the clock is."""
        return max(
            (track.last for track in self._tracks.values() if track.last is not None and track.last > 0), default=0.0
        )

    def _moved(self, packet: Packet, track: Track, time: float) -> int | None:
        """What is added to the times of this packet; None where its own is of no use."""
        if track.is_sparse or track.last is None:
            track.moved = self._moved_as_others(time)
        if track.is_sparse:
            return track.moved
        at = time + track.moved * self._unit
        fits = self._fits(packet, track, at)
        is_doubtful = not fits or (at - track.end > track.step and not track.is_loose(packet))
        if is_doubtful and self._is_astray(packet, track, at):
            return None
        if fits and (at - track.end <= _JUMP or len(self._clocks) == 1):
            return track.moved
        known = self._known(track, time)
        if known is not None:
            return known
        return track.moved if fits else self._joined(packet, track, time)

    def _moved_as_others(self, time: float) -> int:
        """What has nothing before it to go by, such as a subtitle, goes by what is around it."""
        now = self._now()
        return min(reversed(self._clocks), key=lambda moved: abs(time + moved * self._unit - now))

    def _fits(self, packet: Packet, track: Track, at: float) -> bool:
        """Whether the clock may simply have gone on to `at`."""
        if track.last is None:
            waits = 0.0 if packet.pts is None or packet.dts is None else float((packet.pts - packet.dts) * track.base)
            return not self._jumps or (abs(at - self._now()) <= _JUMP and at + waits >= -_STEP)
        back = _REORDERED if track.was_loose or track.is_loose(packet) else 0.0
        if track.is_copied and track.step < 1.5 * track.base and abs(at - track.last) < track.base / 2:
            return True  # many are shorter than a unit
        most = (max(_JUMP, 2 * track.gap) if track.gap < _SLOW else _JUMP) if self._jumps else _BREAK
        return at > track.last - back and at - track.end <= most

    def _is_astray(self, packet: Packet, track: Track, at: float) -> bool:
        """Whether this packet alone is out of order, as the next ones are again where they were expected."""
        if track.last is None:
            return False
        if abs(at - track.last) < track.base / 2:
            return not track.was_loose
        nexts = [time + track.moved * self._unit for time in self._next_times(packet, track)]
        if at > track.last:
            return any(track.last < other < at for other in nexts)
        return not nexts or any(track.last < other <= track.end + _JUMP for other in nexts)

    def _known(self, track: Track, time: float) -> int | None:
        """A clock by which this packet comes when it is expected: one that other streams go by, or the same after its
        counter has come to its end.
        """
        for moved in reversed(self._clocks):
            if self._is_expected(track, time + moved * self._unit, _JUMP):
                return moved
        for bits in _WRAPS:
            moved = track.moved + round((1 << bits) * track.base / self._base)
            if self._is_expected(track, time + moved * self._unit, _WRAPPED):
                self._clocks.append(moved)
                return moved
        return None

    def _is_expected(self, track: Track, at: float, late: float) -> bool:
        if track.last is None:
            return abs(at - self._now()) <= _STEP
        return track.last < at <= track.end + late

    def _joined(self, packet: Packet, track: Track, time: float) -> int:
        """A new clock, by which no stream begins again before it has ended on the old one."""
        expected = self._now() if track.last is None else track.end
        by = time + track.moved * self._unit - expected
        if track.last is not None and by > 0 and self._is_rhythm(packet, track, time, by):
            return track.moved
        shift = expected - time
        for ended, begun in self._others(track, time):
            if track.last is not None and by > 0 and ended > time - _STEP:
                return track.moved  # the others went on: a gap, and no jump
            if begun is not None:
                shift = max(shift, ended + track.moved * self._unit - begun)
        moved = math.ceil(shift / self._unit - 1e-6)
        self._clocks.append(moved)
        self.tell(f"its clock jumps by {by:+.1f} s", expected, "what follows is joined on")
        return moved

    def _is_rhythm(self, packet: Packet, track: Track, time: float, gap: float) -> bool:
        """Whether the next packet is as far from this one as this from the one before."""
        nexts = self._next_times(packet, track)
        return bool(nexts) and gap < _SLOW and nexts[0] - time > gap / 2

    def _others(self, track: Track, time: float) -> Iterator[tuple[float, float | None]]:
        """Of each other stream that goes by the clock which `track` leaves at `time`: when it ends on it and begins
        anew, in seconds of the source; None where it does not jump.
        """
        back = track.moved * self._unit
        ends = {
            index: (other.last - back, other.end - back)
            for index, other in self._tracks.items()
            if other is not track and not other.is_sparse and other.last is not None and other.moved == track.moved
        }
        for packet in self._packets.look(_FAR) if ends else ():
            if packet.stream_index not in ends:
                continue
            other = self._tracks[packet.stream_index]
            last, end = ends[packet.stream_index]
            at = other.seconds(packet)
            if at is None or last < at <= end + _JUMP:
                ends[packet.stream_index] = (last, end) if at is None else (at, at + other.lasts(packet))
                continue
            del ends[packet.stream_index]
            if abs(at - time) <= _JUMP:
                yield end, at
            if not ends:
                return
        for last, _ in ends.values():
            yield last, None
