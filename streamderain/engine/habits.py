"""When each of many streams will ask again, going by how long it stayed away the time before."""

from __future__ import annotations

import time
from collections.abc import Callable

FORGOTTEN_SECONDS = 10.0
"""One that is overdue for this long is as one that was never there."""


class Habits:
    """Knows each stream by a number of its own. For one thread at a time; times are those of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Of those that are here how long they were away, of the others when they left and when they are due.
        self._here: dict[int, float] = {}
        self._away: dict[int, tuple[float, float]] = {}

    def comes(self, who: int) -> None:
        """A stream asks."""
        now = self._clock()
        left, _ = self._away.pop(who, (now, now))
        self._here[who] = now - left
        self._away = {each: (left, due) for each, (left, due) in self._away.items() if now - due < FORGOTTEN_SECONDS}

    def leaves(self, who: int) -> None:
        """A stream has its answer. One that asked for the first time is due at once."""
        now = self._clock()
        self._away[who] = now, now + self._here.pop(who)

    def expects(self, begin: float, end: float) -> bool:
        """Whether any that is away is due between these moments."""
        return any(begin <= due <= end for _, due in self._away.values())
