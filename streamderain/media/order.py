"""Decoded pictures -> the same, each with a time after the one before, whatever their packets have told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av

from streamderain.frames import VideoInfo
from streamderain.media.ahead import Ahead
from streamderain.media.track import Packet

_LEAST = Fraction(1, 1000)
"""Seconds between two pictures, or less where there are many: what is closer is squeezed, and not meant."""

_ASTRAY = 3
"""How many pictures are looked at ahead for one whose time is in order."""


def usual_step(info: VideoInfo) -> int:
    """From one picture to the next, in units of the time base; 25 a second where nothing is told."""
    return max(1, round(1 / ((info.frame_rate or Fraction(25)) * info.time_base)))


class DecodingOrder:
    """Times of pictures whose packets have none of presentation: those of decoding, in the order of presentation.

    `alone` says that times of presentation are made up where packets have them all the same.
    """

    def __init__(self, alone: bool) -> None:
        self._alone, self._has_pts = alone, False
        self._times: deque[int] = deque()
        self._held: int | None = None

    def sent(self, packet: Packet) -> None:
        """`packet` goes to the decoder next."""
        if self._alone:
            packet.pts = None
        self._has_pts = self._has_pts or packet.pts is not None
        if not self._has_pts and packet.dts is not None:
            self._times.append(packet.dts)

    def shown(self, dts: int | None) -> int | None:
        """When a picture is shown that the decoder gave for the packet of `dts`; None where nothing tells."""
        if self._has_pts or not self._times:
            return None
        if dts is not None:
            sent = sum(time <= dts for time in self._times)
            self._held = sent if self._held is None else self._held
            for _ in range(self._held, sent):
                # A packet gave no picture.
                self._times.popleft()
        return self._times.popleft()


def in_order(
    pictures: Iterable[av.VideoFrame], step: int, time_base: Fraction, tell: Callable[[int], None]
) -> Iterator[av.VideoFrame]:
    """The pictures, each with a time after the one before, in units of `time_base`. One that has none, or one that is
    out of order, gets a place between those around it, `step` after the one before if there is room. `tell` is called
    with each place that is found in this way, where other pictures have times.
    """
    least = max(1, min(step // 8, round(_LEAST / time_base)))
    last: int | None = None
    coming = Ahead(pictures)
    is_timed = False
    for picture in coming:
        pts = picture.pts
        is_timed = is_timed or pts is not None
        if pts is None or (last is not None and _is_out_of_order(pts - last, least, step, last, coming)):
            pts = _place_between(last, coming, step, least)
            if is_timed:
                tell(pts)
        last = picture.pts = pts
        yield picture


def _is_out_of_order(gap: int, least: int, step: int, last: int, coming: Ahead[av.VideoFrame]) -> bool:
    if gap <= 2 * step:
        return gap < least
    return any(other.pts is not None and 0 < other.pts - last < gap for other in coming.look(_ASTRAY))


def _place_between(last: int | None, coming: Ahead[av.VideoFrame], step: int, least: int) -> int:
    for number, other in enumerate(coming.look(_ASTRAY), 1):
        if other.pts is not None and last is None:
            return other.pts - number * step
        if other.pts is not None and last is not None and other.pts - last > number * least:
            return last + max(least, min(step, (other.pts - last) // (number + 1)))
    return 0 if last is None else last + step
