"""Which frames go to a network that cannot take all of them: none that would be late, and at an even pace."""

from __future__ import annotations

import statistics
from collections import deque
from typing import NamedTuple

FIRST_LOSSES, FIRST_RELEASES = 3, 8
"""Frames lost, and frames through the network meanwhile, before a pace is set."""

FORGOTTEN_SECONDS = 2.0
"""Losses further apart than this are single mishaps."""

SLACK = 1.02
"""How much longer than the network's own interval the held one is, so that what waits for it grows less."""

RAISE, SURE_RAISE, MOST_FALL = 0.97, 0.85, 1.25
"""Factors of the interval: a quicker pace that is tried, one that surely works, and at most one that is slower."""

LOOK_BACK, SOME, MANY = 10, 3, 6
"""Of the latest frames, how many must have waited for the network for the pace to be too quick: some, where frames also
leave more slowly than they should, else many.
"""

SURELY = 1.01
"""How much slower is slower."""

SURE_PAUSE, FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0, 60.0
"""Seconds before a quicker pace is tried: when the network surely can do it, else, and after many vain tries."""

QUIET_SECONDS = 10.0
"""Between two things that are said."""

SAMPLES = 10


class News(NamedTuple):
    """A line for the user, and whether it is a good one."""

    line: str
    is_good: bool


class Passages:
    """How long frames took through the network and what follows, by how many were before them, in seconds."""

    def __init__(self, most: int) -> None:
        self._took: list[deque[float]] = [deque(maxlen=SAMPLES) for _ in range(most)]

    def add(self, took: float, before: int) -> None:
        """Book a frame that had `before` others before it when it went in."""
        self._took[before].append(took)
        # Where none goes in alone any more, this is how a network that became slower is noticed.
        if before and took / (before + 1) > self.expected(0):
            self._took[0].append(took / (before + 1))

    def expected(self, before: int) -> float:
        """What a frame may well take with `before` others before it; 0 while that is unknown."""
        if not before:
            return _nearly_longest(self._took[0])
        # No more than one by one, however long ago it took longer.
        one_by_one = (before + 1) * self.expected(0)
        return min(_nearly_longest(self._took[before]), one_by_one) if self._took[before] else one_by_one

    @property
    def usual(self) -> float:
        """What a frame alone usually takes; 0 before three did."""
        return statistics.median(self._took[0]) if len(self._took[0]) > 2 else 0.0


def _nearly_longest(took: deque[float]) -> float:
    """The longest but one, since a single mishap says nothing."""
    return sorted(took)[-2 if len(took) > 1 else -1] if took else 0.0


class Pacer:
    """Decides, told what happens and when, and without a clock of its own. All times are in seconds.

    While the network keeps up every frame is kept that can be out `max_latency` after its arrival. Once frames are
    lost again and again it holds the interval at which the network lets them out, and keeps the frames that are
    nearest to that by their own times. From there it tries to be quicker, a few per cent at a time.
    """

    def __init__(self, max_latency: float, in_flight: int) -> None:
        self.interval: float | None = None
        self.step = 0.0
        self._limit = max_latency
        self._most = in_flight
        self._passages = Passages(in_flight)
        self._due: float | None = None
        self._last_pts: float | None = None
        self._last_admitted: float | None = None
        self._losses, self._last_loss = 0, 0.0
        self._lost_since_admitted = False
        self._releases: deque[float] = deque(maxlen=4 * FIRST_RELEASES)
        self._waits: deque[bool] = deque(maxlen=LOOK_BACK)
        self._changed, self._raised, self._pause = 0.0, False, FIRST_PAUSE
        self._flush = False
        self._said_at: float | None = None
        self._said_holding = self._said_over = False

    def came(self, pts: float, skipped: int) -> None:
        """A frame was taken from the source; `skipped` came before it and were lost unseen."""
        if self._last_pts is not None:
            step = (pts - self._last_pts) / (1 + skipped)
            if 0 < step < 1:
                self.step += (step - self.step) * (0.1 if self.step else 1.0)
            elif step:
                # The source was away, so how long the network was idle says nothing of it.
                self._releases.clear()
        self._last_pts = pts

    def thins(self, pts: float) -> bool:
        """Whether the frame is left out for even spacing."""
        if self.interval is None:
            return False
        if self._due is None or self._due - pts > 2 * self.interval:
            self._due = pts
        return pts < self._due - self.step / 8

    @property
    def slots(self) -> int:
        """How many frames may be in flight so that the last of them is still in time; at least 1, and 1 while it is
        not known how long one takes.
        """
        slots = 1
        while slots < self._most and self._passages.expected(0) > 0 and self._passages.expected(slots) <= self._limit:
            slots += 1
        return slots

    def prefers_newer(self, age: float, waiting: int) -> bool:
        """Whether a frame of that age gives way to the `waiting` ones behind it."""
        if not waiting:
            self._flush = False
            return False
        # A burst is worked off, so that a source that trembles loses nothing; a queue that lasts is not.
        return self._flush or age + (waiting + 1) * self._passages.expected(0) > self._limit / 2

    def in_time(self, now: float, age: float, before: int) -> bool:
        """Whether a frame of that age is let in, with `before` others before it.

        One that will be late is, too, when nothing else could be done: else the stream would stop altogether.
        """
        if age + self._passages.expected(before) <= self._limit:
            return True
        if self._last_admitted is None:
            self._last_admitted = now
        since = now - self._last_admitted
        hopeless = self._passages.expected(0) > self._limit or since > max(1.0, self._limit)
        return not before and hopeless

    def admitted(self, now: float, pts: float, waited: float) -> None:
        """A frame went in, which had `waited` for others to get out."""
        self._last_admitted = now
        overran, self._lost_since_admitted = self._lost_since_admitted, False
        if self.interval is None:
            return
        due = pts if self._due is None else self._due
        # After one that is later than its turn nothing is made up for, as that would be uneven.
        self._due = (due if pts < due + self.step else pts) + self.interval
        self._waits.append(overran or waited > self.interval / 2)
        self._adapt(now)

    def lost(self, now: float, count: int = 1) -> None:
        """So many frames were dropped because they were too old, or not the newest."""
        self._lost_since_admitted = True
        if self.interval is not None:
            return
        if now - self._last_loss > max(FORGOTTEN_SECONDS, 3 * self._passages.expected(0)):
            self._losses = 0
        if not self._losses:
            self._releases.clear()
        self._losses, self._last_loss = self._losses + count, now

    def released(self, now: float, took: float, before: int) -> None:
        """A frame is out, which `took` so long since it went in with `before` others before it."""
        self._passages.add(took, before)
        self._releases.append(now)
        enough = self._losses >= FIRST_LOSSES and len(self._releases) >= FIRST_RELEASES
        if self.interval is None and enough and self.step:
            self._settle(now)

    def news(self, now: float) -> News | None:
        """What the user should know, at most one thing in ten seconds."""
        if self._said_at is not None and now - self._said_at < QUIET_SECONDS:
            return None
        over = self._passages.usual > self._limit * (0.8 if self._said_over else 1.0)
        if over != self._said_over:
            self._said_over, self._said_at = over, now
            takes = f"the network takes {self._passages.usual:.2g} s"
            limit = f"the {self._limit:g} s of latency that are allowed"
            return News(f"{takes}, {'more than' if over else 'within'} {limit}", not over)
        holding = self.interval is not None
        if holding == self._said_holding:
            return None
        self._said_holding, self._said_at = holding, now
        source = f"{1 / self.step:.3g} fps"
        if self.interval is None:
            return News(f"keeps up with {source} again", True)
        return News(f"too slow for {source}: holding {1 / self.interval:.3g}, evenly spaced", False)

    def _settle(self, now: float) -> None:
        interval = self._measured()
        self._losses = 0
        if interval <= self.step * SLACK:
            return
        if self._raised:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._change(now, interval * SLACK, False)
        self._due, self._flush = None, True

    def _measured(self) -> float:
        """The mean interval at which frames got out lately."""
        return (self._releases[-1] - self._releases[0]) / (len(self._releases) - 1)

    def _adapt(self, now: float) -> None:
        assert self.interval is not None
        enough = len(self._releases) >= FIRST_RELEASES
        slower = enough and self._measured() > self.interval * SURELY
        late = sum(self._waits)
        if enough and late >= (SOME if slower else MANY):
            self._slow_down(now)
        elif late < SOME and not slower:
            self._try_quicker(now)
        if self.interval <= self.step:
            self.interval = None
            self._losses = 0

    def _slow_down(self, now: float) -> None:
        assert self.interval is not None
        if self._raised:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._change(now, min(max(self._measured(), self.interval) * SLACK, self.interval * MOST_FALL), False)

    def _try_quicker(self, now: float) -> None:
        assert self.interval is not None
        sure = self._passages.expected(0) < 0.8 * self.interval
        if now - self._changed < max(SURE_PAUSE if sure else self._pause, LOOK_BACK * self.interval):
            return
        if sure:
            self._pause = FIRST_PAUSE
        self._change(now, self.interval * (SURE_RAISE if sure else RAISE), True)

    def _change(self, now: float, interval: float, raised: bool) -> None:
        self.interval, self._changed, self._raised = interval, now, raised
        self._waits.clear()
        self._releases.clear()
