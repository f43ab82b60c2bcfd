"""A part of a source, from one time to another: its pictures, and the packets beside them; the first is shown at 0."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import Any

import av

from streamderain.errors import SourceError
from streamderain.frames import Restored
from streamderain.media.order import in_order, usual_step
from streamderain.media.source import Source
from streamderain.media.track import Packet

_RUN_UP = 1
"""Seconds before the first picture wanted from which on the key picture is looked for: after some, the first pictures
cannot be decoded.
"""


class Passengers(deque[Any]):
    """Packets of the copied streams from `begin` to `end`, in seconds, told from `origin` on; others are not taken.

    Sound goes by whole packets, those that begin inside; a further picture begins with a key picture; a subtitle that
    is shown across an end is shown for less.
    """

    def __init__(self, begin: Fraction, end: Fraction | None, origin: Fraction | int = 0) -> None:
        super().__init__()
        self._begin, self._end, self._origin = begin, end, origin
        self._begun: set[int] = set()

    def append(self, packet: Packet, /) -> None:
        """Take `packet`, its times changed, if it belongs to the part."""
        base = packet.time_base
        at = _shown_at(packet)
        if self._end is not None and at >= self._end:
            return
        if packet.stream.type == "subtitle":
            self._clip(packet, at, base)
        elif at < self._begin:
            return
        if packet.stream.type == "video" and not packet.is_keyframe and packet.stream.index not in self._begun:
            return
        if _shown_at(packet) >= self._begin:
            self._begun.add(packet.stream.index)
            shift = round(self._origin / base)
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            super().append(packet)

    def _clip(self, packet: Packet, at: Fraction, base: Fraction) -> None:
        ends = at + (packet.duration or 0) * base
        begins, ends = max(at, self._begin), ends if self._end is None else min(ends, self._end)
        if begins < ends and (begins, ends) != (at, at + (packet.duration or 0) * base):
            packet.pts = packet.dts = math.ceil(begins / base)
            packet.duration = int(ends / base) - packet.pts


def _shown_at(packet: Packet) -> Fraction:
    assert packet.pts is not None  # a copied stream's has a time
    return packet.pts * packet.time_base


@dataclass(eq=False)
class Cut:
    """What is cut out of a source: `units` of its time base from the first picture to the end, None for all that is
    left.
    """

    source: Source
    units: int | None

    def shown(self, pairs: Iterable[Restored]) -> Iterator[Restored]:
        """Of all pairs those that belong to the part; as a station. The others stood beside them for the engine."""
        last, after = 0, None
        for pair in pairs:
            pts = pair.rainy.pts
            if pts >= 0 and (self.units is None or pts < self.units):
                last = pts
                yield pair
            elif pts >= 0 and after is None:
                after = pts
        if after is not None:
            self.source.last_duration = after - last


def cut(source: Source, start: Fraction, end: Fraction | None, lead: int, trail: int) -> Cut:
    """Have `source` give the pictures that are shown from `start` on and before `end`, in seconds from its beginning;
    up to `lead` before them, whose times are below 0, and `trail` behind them; and only the packets beside them.

    Goes to the place where the container can, and else reads up to it. Raises SourceError where there is no picture.
    """
    base = source.info.time_base
    before, others = _up_to(source, start, end, lead)
    first = next(others, None)
    if first is None or first.pts is None:
        raise SourceError(_nothing(source, start, end, None))
    begin = first.pts * base
    if end is not None and begin >= end:
        raise SourceError(_nothing(source, start, end, begin))
    met, source.passengers = source.passengers, Passengers(begin, end, begin)
    for packet in met:
        source.passengers.append(packet)
    units = None if end is None else math.ceil((end - begin) / base)
    # What it carries beside it is what the part begins with.
    source.first = first
    source.through(_moved(chain(before, [first], others), first.pts, units, trail))
    _describe(source, begin, end)
    return Cut(source, units)


def go_on(source: Source, begin: int, lead: int, after: int | None = None) -> int:
    """Have a source that was just opened give its pictures from the one shown at `begin` on, in units of its time base,
    and up to `lead` before it; returns how many those are. No packets are kept beside them.

    Goes there where the container can; where that does not lead to the picture shown at `begin`, behind the one shown
    at `after`, and else, it reads up to there. Raises SourceError where it does not come by them.
    """
    start = begin * source.info.time_base
    before, others = _up_to(source, start, None, lead + 1)
    first = next(others, None)
    if not _is_there(before, first, begin, after) and source.go_to(Fraction(0)):
        before, others = _divided(source, start, None, lead + 1, usual_step(source.info))
        first = next(others, None)
    if not _is_there(before, first, begin, after):
        raise SourceError(f"{source.name} shows other pictures at {float(start):g} s than it did; derain it from 0 on")
    source.drop_passengers()
    before = before[-lead:] if lead else []
    source.through(_in_turn(before, [first] if first else [], others))
    return len(before)


def _is_there(before: list[av.VideoFrame], first: av.VideoFrame | None, begin: int, after: int | None) -> bool:
    is_behind = bool(before) and before[-1].pts == after
    # Behind the last picture nothing is shown.
    return is_behind if first is None else first.pts == begin and (is_behind or after is None)


def _in_turn(*pictures: Iterable[av.VideoFrame]) -> Generator[av.VideoFrame, None, None]:
    yield from chain(*pictures)


def _up_to(
    source: Source, start: Fraction, end: Fraction | None, lead: int
) -> tuple[list[av.VideoFrame], Iterator[av.VideoFrame]]:
    """The last `lead` pictures before `start`, and those from there on."""
    step = usual_step(source.info)
    wanted = start - lead * step * source.info.time_base - _RUN_UP
    sought = wanted > 0 and source.go_to(wanted)
    before, others = _divided(source, start, end, lead, step)
    if sought and len(before) < lead:
        # A container may know its key pictures badly.
        source.go_to(Fraction(0))
        before, others = _divided(source, start, end, lead, step)
    return before, others


def _divided(
    source: Source, start: Fraction, end: Fraction | None, lead: int, step: int
) -> tuple[list[av.VideoFrame], Iterator[av.VideoFrame]]:
    base = source.info.time_base
    source.passengers = Passengers(start, end)
    before: deque[av.VideoFrame] = deque(maxlen=lead)
    pictures = in_order(source.frames(), step, base, lambda pts: None)
    for picture in pictures:
        assert picture.pts is not None
        if picture.pts * base >= start:
            return list(before), chain([picture], pictures)
        before.append(picture)
    return list(before), iter(())


def _moved(
    pictures: Iterable[av.VideoFrame], origin: int, units: int | None, trail: int
) -> Generator[av.VideoFrame, None, None]:
    beyond = 0
    for picture in pictures:
        assert picture.pts is not None
        picture.pts -= origin
        beyond += units is not None and picture.pts >= units
        if beyond > max(trail, 1):  # one tells how long the last is shown
            return
        yield picture


def _nothing(source: Source, start: Fraction, end: Fraction | None, first: Fraction | None) -> str:
    if first is not None and end is not None:
        return (
            f"{source.name} has no picture between {float(start):g} and {float(end):g} s; the next is at "
            f"{float(first):g} s: let --end be later"
        )
    length = source.info.duration_seconds
    lasts = f"; it lasts {length:.1f} s" if length else ""
    return f"{source.name} has no picture from {float(start):g} s on{lasts}: let --start be earlier"


def _describe(source: Source, begin: Fraction, end: Fraction | None) -> None:
    length = source.info.duration_seconds
    ends = min((each for each in (length, end) if each is not None), default=None)
    lasts = None if ends is None else max(0.0, float(ends) - float(begin))
    source.info = replace(source.info, frames=None, duration_seconds=lasts)
    source.chapters = [chapter for each in source.chapters if (chapter := _chapter(each, source, begin, end))]


def _chapter(chapter: Any, source: Source, begin: Fraction, end: Fraction | None) -> Any:
    """A chapter as the part has it; None where it lies outside."""
    base = chapter["time_base"]
    origin = source.clock.begins + begin
    starts, stops = chapter["start"] - origin / base, chapter["end"] - origin / base
    stops = stops if end is None else min(stops, (end - begin) / base)
    if stops <= 0 or starts >= stops:
        return None
    return {**chapter, "start": round(max(starts, 0)), "end": round(stops)}
