"""The wall as the clock of a live run, whatever times its source gives, and a pace for what would come at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

TIME_BASE = Fraction(1, 90000)
"""The unit of the run's clock, in seconds."""

_SECOND = 90000

_BEHIND = 2 * _SECOND
"""What a source's times may fall behind the wall before they are taken for other times, ..."""

_AHEAD = _SECOND // 4
"""... and how far they may run ahead: what was buffered comes in a burst, and is older than it seems."""

_JUMP_SECONDS = 10.0
"""How early a packet of a file may be before its time is taken for another."""

_APART = 10 * _SECOND
"""How far sound may be from the wall; further than pictures, as files and bursts hold seconds of it before theirs."""


def units(count: int | None, time_base: Fraction | None) -> int | None:
    """`count` units of `time_base` in units of TIME_BASE; None for no time."""
    return None if count is None or time_base is None else round(count * time_base / TIME_BASE)


class RunClock:
    """Moves a source's times onto a clock that is 0 when the run begins and follows the wall.

    Times are whole units of TIME_BASE. `clock` gives seconds, as time.monotonic does. `jumps` counts how often the
    source's times were found to be other ones than before.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._offset: int | None = None
        self._source: int | None = None
        self._last = -1
        # Of sound whose times are not those of the pictures: since when, and what they are moved by.
        self._astray: int | None = None
        self._sound_offset: int | None = None
        self.jumps = 0

    def begin(self) -> None:
        """Have the clock be 0 now."""
        self._began = self._clock()

    def anew(self) -> None:
        """What comes next has times of its own, as after a reconnect."""
        self._offset = self._source = self._astray = self._sound_offset = None

    def place(self, source: int | None, arrived: float) -> int:
        """When a picture that came at `arrived` is shown; later than the one before. `source` is its own time."""
        wall = self._since(arrived)
        at = wall
        if source is not None:
            jumped = self._source is not None and source < self._source
            if self._offset is None or jumped or not -_BEHIND <= source + self._offset - wall <= _AHEAD:
                self._offset = wall - source
                self.jumps += 1
            self._source = source
            at = source + self._offset
        self._last = max(at, self._last + 1)
        return self._last

    def moved(self, source: int) -> int | None:
        """When the sound of that time is heard, beside the pictures; None as long as no picture was placed by its own
        time, and while the sound's times have jumped and the pictures' may follow.
        """
        if self._offset is None:
            return None
        wall = self.now()
        for offset in (self._offset, self._sound_offset):
            if offset is not None and abs(source + offset - wall) <= _APART:
                self._astray = None
                return source + offset
        if self._astray is None:
            self._astray = wall
        if wall - self._astray < _BEHIND:
            return None
        # It has a clock of its own.
        self._sound_offset = wall - source
        return wall

    def now(self) -> int:
        """The wall's time since the run began; 0 before that."""
        return self._since(self._clock())

    def _since(self, moment: float) -> int:
        return 0 if self._began is None else round((moment - self._began) * _SECOND)


class Pace:
    """Holds the packets of a file back until their time, as if they happened now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._offset: float | None = None
        self._seconds = 0.0

    def go_on(self) -> None:
        """After a pause, in which nothing was asked: the last packet is due now."""
        if self._offset is not None:
            self._offset = self._clock() - self._seconds

    def wait(self, source: int | None) -> float:
        """How many seconds to wait before the packet of that time, in units of TIME_BASE, is due.

        A packet that is a second late, or early by more than ten, is due at once, and the others follow it.
        """
        if source is None:
            return 0.0
        seconds, now = float(source * TIME_BASE), self._clock()
        self._seconds = seconds
        if self._offset is not None and -1 < (early := seconds + self._offset - now) <= _JUMP_SECONDS:
            return max(0.0, early)
        self._offset = now - seconds
        return 0.0
