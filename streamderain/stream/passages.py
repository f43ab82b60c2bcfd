"""How long frames took lately, and the chance that the next one takes no longer than it may."""

from __future__ import annotations

import statistics
from collections import deque

RECENT_SECONDS = 3.0
"""Older ones say nothing of a machine that others use too, ..."""

LATEST = 32
"""... nor do more than these, ..."""

FEWEST = 3
"""... but so many of the latest count however old they are."""


class Passages:
    """How long each of the latest frames took from one point to another. All times are in seconds."""

    def __init__(self) -> None:
        self._took: deque[tuple[float, float]] = deque(maxlen=LATEST)

    def add(self, now: float, took: float) -> None:
        """Book one that has just got there."""
        self._took.append((now, took))
        while len(self._took) > FEWEST and now - self._took[0][0] > RECENT_SECONDS:
            self._took.popleft()

    def is_known(self, now: float) -> bool:
        """Whether enough of them are recent."""
        return sum(now - at <= RECENT_SECONDS for at, _ in self._took) >= FEWEST

    def chance(self, within: float, times: int = 1) -> float:
        """The share of them that took at most `within`, or would have, taking so many `times` as long; where nothing is
        known, as if they took no time.
        """
        took = [each for _, each in self._took] or [0.0]
        return sum(times * each <= within for each in took) / len(took)

    @property
    def usual(self) -> float:
        """The median; 0 before there are three."""
        return statistics.median(each for _, each in self._took) if len(self._took) >= FEWEST else 0.0

    @property
    def nearly_longest(self) -> float:
        """The longest but one, since a single mishap says nothing; 0 before there are two."""
        return sorted(each for _, each in self._took)[-2] if len(self._took) > 1 else 0.0
