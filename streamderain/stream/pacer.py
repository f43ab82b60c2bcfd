"""Which frames go to a network that cannot take all of them: the newest whenever it is free, and none that would be
late.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from streamderain.stream.passages import Passages
from streamderain.stream.relief import MANY, Look, Relief

LOOK_SECONDS = 2.0
"""How often it is settled whether the network keeps up, by what happened meanwhile: ..."""

BUSY, FREE = 0.05, 0.10
"""... it does not if it was idle for less than the first share of that and frames were lost, and does if for more than
the second.
"""

FEW = 0.02
"""Shares of the frames that were lost: more than MANY, ..."""

SOON, LATER = 2, 4
"""... so many times in a row, are told to the user; fewer than FEW, so many times, are well again."""

HOPELESS = 0.1
"""With a smaller chance of being in time frames go out late, rather than not at all."""

SURE = 0.9
"""The chance of being in time from which a frame goes in while others are on their way."""

RELEASES = 64
"""The rate that is held is that of so many frames, ..."""

RATE_SECONDS = 5.0
"""... or of those of the last seconds."""

FRESH = 16
"""Among so many frames one came without waiting."""

LONGEST_GAP = 2.0
"""After so many seconds without a frame one that is late goes out, lest the picture stands still."""

QUIET_SECONDS = 10.0
"""Between two things that are said."""


class News(NamedTuple):
    """A line for the user, and whether it is a good one."""

    line: str
    is_good: bool


class Pacer:
    """Decides, told what happens and when, and without a clock of its own. All times are in seconds.

    The network is never left idle while there is a frame that it may do in time. While it keeps up, frames that come in
    a burst are worked off one by one; else the newest goes in, whose times are then as even as the network's. Nothing
    is remembered for longer than a few seconds, so that a busy spell costs no more than it lasts. The network has so
    many `steps` of relief: see Relief.
    """

    def __init__(self, max_latency: float, in_flight: int, steps: int = 0) -> None:
        self.step = 0.0
        self.is_behind = False
        self._limit, self._longest_gap = max_latency, max(LONGEST_GAP, max_latency)
        # By how many were before them.
        self._in_flight, self._passages = in_flight, [Passages() for _ in range(in_flight)]
        self.relief = Relief(steps)
        self._behind_it = Passages()
        self._ages: deque[float] = deque(maxlen=FRESH)
        self._last_pts: float | None = None
        self._last_admitted: float | None = None
        self._last_out = float("-inf")
        self._releases: deque[float] = deque(maxlen=RELEASES)
        self._look = _Look(0.0)
        self._idle_since: float | None = 0.0
        self._holds = False
        self._many = self._few = 0
        self._said_at: float | None = None
        self._said_holding = self._said_over = False

    def came(self, now: float, pts: float, age: float, skipped: int) -> None:
        """A frame of that age was taken from the source; `skipped` came before it and were lost unseen."""
        if self._last_pts is not None:
            step = (pts - self._last_pts) / (1 + skipped)
            if 0 < step < 1:
                self.step += (step - self.step) * (0.1 if self.step else 1.0)
        self._last_pts = pts
        self._ages.append(age)
        self._look.came += 1 + skipped
        self._look.lost += skipped
        if now - self._look.began >= LOOK_SECONDS:
            self._settle(now)

    def slots(self, now: float) -> int:
        """How many frames may be in flight so that the last of them is surely in time; at least 1, and 1 while it is
        not known how long one takes.
        """
        slots, budget = 1, self._limit - self._fresh - self.step
        while self._usual and slots < len(self._passages) and self._chance(now, budget, slots) >= SURE:
            slots += 1
        return slots

    def prefers_newest(self, age: float, waiting: int) -> bool:
        """Whether a frame of that age gives way to the last of the `waiting` ones behind it."""
        # A burst is worked off, so that a source that trembles loses nothing; a queue that lasts is not.
        return waiting > 0 and (self.is_behind or age + (waiting + 1) * self._usual > self._limit / 2)

    def in_time(self, now: float, age: float, before: int) -> bool:
        """Whether a frame of that age is let in, with `before` others before it.

        It is where that gives more frames in time than to wait for the next one does: what waiting adds to the chance
        is less than what the network does meanwhile (the renewal-reward theorem; Ross, Stochastic Processes, 2nd ed.,
        theorem 3.6.1). One that will be late is, too, when nothing else could be done: else the stream would stop.
        """
        chance = self._chance(now, self._limit - age, before)
        waiting = max(0.0, self.step + self._fresh - age)
        meanwhile = waiting / self._usual if self._usual else 0.0
        if chance and chance + meanwhile >= self._chance(now, self._limit - self._fresh, before):
            return True
        if self._last_admitted is None:
            self._last_admitted = now
        return not before and (self.is_over or now - self._last_admitted > self._longest_gap)

    def admitted(self, now: float, before: int) -> None:
        """A frame went in."""
        self._last_admitted = now
        if not before and self._idle_since is not None:
            self._look.idle += now - max(self._idle_since, self._look.began)
            self._idle_since = None

    def begin_anew(self, now: float) -> None:
        """The network takes another time from now on, and what was lost so far was not its fault."""
        self._look = _Look(now)
        self._passages = [Passages() for _ in range(self._in_flight)]
        self._many = self._few = 0
        self._holds = False

    def lost(self, count: int = 1) -> None:
        """So many frames were dropped because they were too old, or not the newest."""
        self._look.lost += count

    def is_kept(self, now: float, age: float) -> bool:
        """Whether a frame of that age, which is through the network, goes out: if it will be written in time, or, where
        frames usually are late, all the same; and if none did for long.
        """
        late = age + self._behind_it.nearly_longest > self._limit
        is_kept = not late or self.is_over or now - self._last_out > self._longest_gap
        if is_kept:
            self._last_out = now
        return is_kept

    def released(self, now: float, took: float, before: int, left: int) -> None:
        """A frame is through, which `took` so long since it went in with `before` others before it; so many are
        left.
        """
        self._passages[min(before, len(self._passages) - 1)].add(now, took)
        self._releases.append(now)
        self._look.released += 1
        if not left:
            self._idle_since = now

    def written(self, now: float, took: float) -> None:
        """A frame was written, which `took` so long since it was kept."""
        self._behind_it.add(now, took)

    @property
    def held_rate(self) -> float | None:
        """Frames per second that get through while too many are lost; None while hardly any are."""
        recent = [each for each in self._releases if self._releases[-1] - each <= RATE_SECONDS]
        if not self._holds or len(recent) < 2:
            return None
        return (len(recent) - 1) / (recent[-1] - recent[0])

    @property
    def is_over(self) -> bool:
        """Whether hardly any frame can be in time, as the network alone takes too long."""
        return self._usual > 0 and self._passages[0].chance(self._limit) < HOPELESS

    def news(self, now: float) -> News | None:
        """What the user should know, at most one thing in ten seconds."""
        if self._said_at is not None and now - self._said_at < QUIET_SECONDS:
            return None
        is_over = self.is_over and self.relief.is_exhausted
        over = is_over or (self._said_over and self._passages[0].chance(self._limit) < 0.5)
        if over != self._said_over:
            self._said_over, self._said_at = over, now
            takes = f"the network takes {self._usual:.2g} s"
            limit = f"the {self._limit:g} s of latency that are allowed"
            return News(f"{takes}, {'more than' if over else 'within'} {limit}", not over)
        held = self.held_rate
        if (held is not None) == self._said_holding or not self.step:
            return None
        self._said_holding, self._said_at = held is not None, now
        source = f"{1 / self.step:.3g} fps"
        if held is None:
            return News(f"keeps up with {source} again", True)
        return News(f"too slow for {source}: holding {held:.3g}, the newest frame each time", False)

    @property
    def _usual(self) -> float:
        return self._passages[0].usual

    @property
    def _fresh(self) -> float:
        """How old frames are when they come: libav may hold each until the next one begins."""
        return min(self._ages, default=0.0)

    def _chance(self, now: float, within: float, before: int) -> float:
        """That a frame takes no longer than `within`; as if one by one where it is not known better."""
        known = self._passages[before]
        return known.chance(within) if known.is_known(now) else self._passages[0].chance(within, before + 1)

    def _settle(self, now: float) -> None:
        look, self._look = self._look, _Look(now)
        idle = look.idle + (now - max(self._idle_since, look.began) if self._idle_since is not None else 0.0)
        share = idle / (now - look.began)
        if share > FREE or (share < BUSY and look.lost):
            self.is_behind = share < BUSY
        lost, length = look.lost / look.came, now - look.began
        if self.relief.look(now, Look(lost, 1 - share, look.released / length, self.is_over)):
            self.begin_anew(now)
            return
        self._many = self._many + 1 if lost > MANY else 0
        self._few = self._few + 1 if lost < FEW else 0
        if self._many == SOON or self._few == LATER:
            self._holds = self._many == SOON


class _Look:
    """What happened since `began`: frames that came, were lost, and got through, and seconds without work."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.came = self.lost = self.released = 0
        self.idle = 0.0
