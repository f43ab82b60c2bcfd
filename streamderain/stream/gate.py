"""The promise on latency: frames that could not be out in time never reach the network, and those that are not after
all never leave.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

from streamderain.frames import Frame, PixelLayout
from streamderain.stream.channel import ChannelClosed
from streamderain.stream.pacer import News, Pacer
from streamderain.stream.rate import Rate

GLANCE_SECONDS = 0.1
"""How often the wait for the network looks whether the run has ended."""

KEPT = 64
"""Frames that may be on their way from the last station to where they are written."""


@runtime_checkable
class Feed(Protocol):
    """Frames that come whether they are taken or not; a Background that drops the oldest is one."""

    @property
    def waiting(self) -> int:
        """Frames that can be had at once."""

    @property
    def dropped(self) -> int:
        """Frames that nobody will get."""

    @property
    def closed(self) -> bool:
        """Whether the run has ended."""

    def get(self) -> Frame:
        """The oldest frame, waited for; StopIteration at the end."""


class Counts(NamedTuple):
    """One moment's account: `received` = `released` + the sum of `dropped` + `in_flight`."""

    received: int
    released: int
    in_flight: int
    dropped: dict[str, int]


class Gate:
    """Lets at most `in_flight` frames at a time into the stations behind it, and drops what would be out later than
    `max_latency` seconds after its arrival. Nothing queues behind it. The last station asks `keeps` before it writes a
    frame, says `release` when it has and, where writing takes longer than that, `written` afterwards.

    `dropped` counts by reason: "late", too old when its turn came or when it was through; "overtaken", given up for
    newer ones; "stopped", on its way when the run ended. `report` gets the news when the machine turns out to be too
    slow, when it keeps up again, and when the network alone takes too long, at most one in ten seconds; in that last
    case frames are late, and go out.

    `held_back` is how many frames, at most, the stations behind keep until later ones come: as many more are let in,
    or all would wait for each other. `prepare` is called with the first frame of each layout, while none is on its way,
    and may take as long as it must: what comes meanwhile is dropped, and what is let in then finds everything ready.

    Where so many `steps` of relief are given, the network is spared work before frames are: `ease` is called with the
    number of each new step, 0 for none. See Relief.
    """

    def __init__(
        self,
        max_latency: float,
        in_flight: int = 2,
        held_back: int = 0,
        prepare: Callable[[Frame], None] = lambda frame: None,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[News], None] = lambda news: None,
        steps: int = 0,
        ease: Callable[[int], None] = lambda step: None,
    ) -> None:
        if in_flight < 1 or max_latency <= 0:
            raise ValueError(f"{max_latency = }, {in_flight = }; both are above 0")
        self.received = self.admitted = self.released = 0
        self.dropped: Counter[str] = Counter()
        self._clock, self._report, self._held_back, self._prepare = clock, report, held_back, prepare
        self._layout: PixelLayout | None = None
        self._pacer = Pacer(max_latency, in_flight, steps)
        self._ease, self._step = ease, 0
        self._changed = threading.Condition()
        # When each frame in flight went in, and how many were before it.
        self._inside: deque[tuple[float, int]] = deque()
        # When each of the latest that are through was kept, by its arrival.
        self._kept: deque[tuple[float | None, float]] = deque(maxlen=KEPT)
        self._closed = False
        self._feed: Feed | None = None
        self._lost_in_feed = 0
        self._arrivals = Rate(clock)

    @property
    def in_flight(self) -> int:
        """Frames that were let in and are not out."""
        return len(self._inside)

    @property
    def held_rate(self) -> float | None:
        """Frames per second that get through; None while the machine keeps up."""
        with self._changed:
            return self._pacer.held_rate

    @property
    def rate_in(self) -> float:
        """Frames per second that came over the last seconds; 0 before there are two."""
        return self._arrivals.per_second

    def counts(self) -> Counts:
        """All counts at one moment."""
        with self._changed:
            # What is lost while a frame waits for the network; it is booked when the next one is taken.
            unseen = self._feed.dropped - self._lost_in_feed if self._feed else 0
            dropped = dict(self.dropped) | ({"overtaken": self.dropped["overtaken"] + unseen} if unseen else {})
            # With the frame in hand, whose turn it is.
            inside = self.received - self.released - self.dropped.total()
            return Counts(self.received + unseen, self.released, inside, dropped)

    def admit(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The station: of `frames`, best a Background that drops the oldest, those that can be in time."""
        feed = self._feed = frames if isinstance(frames, Feed) else _Plain(frames)
        try:
            while (frame := self._take(feed)) is not None:
                self._tell()
                is_new = frame.layout != self._layout
                if is_new:
                    self._wait_for_credit(feed, lambda: 1)
                    self._prepare(frame)
                    self._layout = frame.layout
                    self._begin_anew(feed)
                self._wait_for_credit(feed, lambda: self._pacer.slots(self._clock()))
                frame = self._freshest(frame, feed)
                if is_new:  # with what waited meanwhile
                    self._begin_anew(feed)
                if self._lets_in(frame):
                    yield frame
        except ChannelClosed:
            return
        finally:
            self._account_for_the_rest(feed)

    def keeps(self, frame: Frame) -> bool:
        """Whether a frame that is through the network is to be written; one that is not has left."""
        with self._changed:
            now = self._clock()
            if self._pacer.is_kept(now, self._age(frame)):
                self._kept.append((frame.arrived, now))
                return True
            self._leave(now)
            self._lose("late", 1)
            return False

    def release(self, frames: int = 1) -> None:
        """Say that so many frames have left the last station; from any thread."""
        with self._changed:
            now = self._clock()
            for _ in range(frames):
                self.released += 1
                self._leave(now)

    def written(self, arrived: float) -> None:
        """Say that the frame which arrived then has been written; from any thread."""
        with self._changed:
            now = self._clock()
            # Of many outputs the first counts, which takes those before it along.
            for number, (known, kept) in enumerate(self._kept):
                if known == arrived:
                    self._pacer.written(now, now - kept)
                    self._kept = deque(islice(self._kept, number + 1, None), KEPT)
                    return

    def close(self) -> None:
        """End the station; what is in flight counts as stopped unless it is released after all."""
        with self._changed:
            self._closed = True
            self.dropped["stopped"] += len(self._inside)
            self._inside.clear()
            self._changed.notify_all()

    def _take(self, feed: Feed) -> Frame | None:
        """The next frame, or None at the end."""
        if self._closed:
            return None
        try:
            frame = feed.get()
        except StopIteration:
            return None
        with self._changed:
            skipped = self._skipped(feed)
            self.received += 1
            self._arrivals.count(1 + skipped)
            self._pacer.came(self._clock(), frame.seconds, self._age(frame), skipped)
        return frame

    def _skipped(self, feed: Feed) -> int:
        """Book what was lost unseen since this was asked last."""
        skipped = feed.dropped - self._lost_in_feed
        self._lost_in_feed += skipped
        self.received += skipped
        if skipped:
            self.dropped["overtaken"] += skipped
        return skipped

    def _begin_anew(self, feed: Feed) -> None:
        """What was lost while the network was prepared says nothing of whether it keeps up."""
        with self._changed:
            self._arrivals.count(self._skipped(feed))
            self._pacer.begin_anew(self._clock())

    def _wait_for_credit(self, feed: Feed, slots: Callable[[], int]) -> None:
        """Wait until fewer than `slots` are on their way. Raises ChannelClosed at the end."""
        with self._changed:
            while self._before() >= slots() and not self._closed:
                if feed.closed:
                    raise ChannelClosed
                self._pause()

    def _pause(self) -> None:
        self._changed.wait(GLANCE_SECONDS)

    def _freshest(self, frame: Frame, feed: Feed) -> Frame:
        """The frame in hand, or the last of those that came meanwhile."""
        waiting = feed.waiting
        if self._pacer.prefers_newest(self._age(frame), waiting):
            for newer in islice(iter(lambda: self._take(feed), None), waiting):
                with self._changed:
                    self._lose("overtaken", 1)
                frame = newer
        return frame

    def _lets_in(self, frame: Frame) -> bool:
        with self._changed:
            now, before = self._clock(), self._before()
            if self._closed:
                return False
            if not self._pacer.in_time(now, self._age(frame), before):
                self._lose("late", 1)
                return False
            self._inside.append((now, before))
            self.admitted += 1
            self._pacer.admitted(now, before)
            return True

    def _before(self) -> int:
        """Frames that are on their way and not merely held back."""
        return max(0, len(self._inside) - self._held_back)

    def _age(self, frame: Frame) -> float:
        return self._clock() - frame.arrived if frame.arrived is not None else 0.0

    def _lose(self, reason: str, count: int) -> None:
        self.dropped[reason] += count
        self._pacer.lost(count)

    def _leave(self, now: float) -> None:
        """The first of those on their way is out."""
        if self._inside:
            went_in, before = self._inside.popleft()
            self._pacer.released(now, now - went_in, before, self._before())
        else:
            # It went out all the same, after `close` had given it up.
            self.dropped["stopped"] -= 1
        self._changed.notify_all()

    def _tell(self) -> None:
        with self._changed:
            news, step = self._pacer.news(self._clock()), self._pacer.relief.step
        if step != self._step:
            self._step = step
            self._ease(step)
        if news:
            self._report(news)

    def _account_for_the_rest(self, feed: Feed) -> None:
        """What waited or was in hand when the station ended."""
        with self._changed:
            lost = feed.dropped
            self.received, self._lost_in_feed = self.received + lost - self._lost_in_feed, lost
            known = self.released + len(self._inside) + self.dropped.total()
            self.dropped["stopped"] += self.received - known


class _Plain:
    """Frames that come when they are taken, as a Feed."""

    waiting = dropped = 0
    closed = False

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = iter(frames)

    def get(self) -> Frame:
        """See Feed."""
        return next(self._frames)
