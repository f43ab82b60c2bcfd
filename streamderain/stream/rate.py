"""How often something happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 5.0
"""How far back a rate looks."""


class Rate:
    """Events per second over the last seconds; one thread counts, any reads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total = 0
        self._counted: deque[tuple[float, int]] = deque(maxlen=512)

    def count(self, events: int = 1) -> None:
        """So many have happened since the last call."""
        self._total += events
        self._counted.append((self._clock(), self._total))

    @property
    def per_second(self) -> float:
        """The rate over the window, 0 before there are two calls in it."""
        now = self._clock()
        recent = [each for each in self._counted.copy() if each[0] > now - WINDOW_SECONDS]
        if len(recent) < 2:
            return 0.0
        (began, before), (_, total) = recent[0], recent[-1]
        return (total - before) / (now - began)
