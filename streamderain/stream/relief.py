"""How much of its work a network is spared, step by step, while it cannot keep up, and when it is given back."""

from __future__ import annotations

import math
from typing import NamedTuple

MANY = 0.05
"""The share of lost frames from which on the network counts as strained."""

LOOKS = 2
"""So many looks in a row must say the same before a step is taken."""

LEAST_RATE = 1.0
"""Frames per second: the last step is taken where fewer get through, or none in time."""

ROOM = 0.9
"""Most of its time that a network may be busy, by what is known, after work was given back."""

GAIN = 3.5
"""How many times as quick half the size makes `fast`. It is not measured on the way: what else the machine does changes
at the same time.
"""

FIRST_WAIT, LONGEST_WAIT = 5.0, 600.0
"""Seconds until work is given back, and twice as many each time that it had to be taken again ..."""

TRIAL_SECONDS = 15.0
"""... within so many."""

UNSURE_SECONDS = 60.0
"""After so many it is given back even where that may be too much: the gain may be less than is known."""


class Look(NamedTuple):
    """A few seconds of a network's life: the shares of frames that were `lost` and of time that it was `busy`, frames
    per second that got through (`rate`), and whether hardly any can be in time (`is_over`).
    """

    lost: float
    busy: float
    rate: float
    is_over: bool


class Relief:
    """`step` says how far the network is relieved: 0 not at all, at `most` of all its work. Frames may be lost at each
    but the last, which is taken only where otherwise next to nothing would get through. Has no clock of its own.
    """

    def __init__(self, most: int = 0) -> None:
        self.step = 0
        self._most = most
        self._strained = self._easy = 0
        self._settles = False
        self._wait = FIRST_WAIT
        self._taken_at = self._given_at = -math.inf

    @property
    def is_exhausted(self) -> bool:
        """Whether there is no further step."""
        return self.step == self._most

    def look(self, now: float, seen: Look) -> bool:
        """Take in the next look, at its end; whether `step` is another one now."""
        if self._settles:
            # Frames of the step before were still on their way.
            self._settles = False
            return False
        is_strained = seen.lost > MANY or seen.is_over
        self._strained = self._strained + 1 if is_strained else 0
        self._easy = self._easy + 1 if not is_strained and self._may_give(now, seen) else 0
        if self._strained >= LOOKS and self._may_take(seen):
            self._take(now)
        elif self._easy >= LOOKS:
            self._wait = max(self._wait, now - self._taken_at)
            self._given_at = now
            self._move(-1)
        else:
            return False
        return True

    def _may_take(self, seen: Look) -> bool:
        is_last = self.step + 1 == self._most and self.step > 0
        return self.step < self._most and (not is_last or seen.is_over or seen.rate < LEAST_RATE)

    def _may_give(self, now: float, seen: Look) -> bool:
        waited = now - self._taken_at
        if not self.step or waited < self._wait:
            return False
        # Of a network that does nothing it cannot be told how long it would take: that is tried.
        does_nothing = self.step == self._most and self.step > 1
        return does_nothing or seen.busy * GAIN < ROOM or waited >= UNSURE_SECONDS

    def _take(self, now: float) -> None:
        was_in_vain = now - self._given_at < TRIAL_SECONDS
        self._wait = min(2 * self._wait, LONGEST_WAIT) if was_in_vain else FIRST_WAIT
        self._taken_at = now
        self._move(1)

    def _move(self, by: int) -> None:
        self.step += by
        self._strained = self._easy = 0
        self._settles = True
