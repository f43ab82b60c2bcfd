"""Log lines that would come again and again are counted instead."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PERIOD_SECONDS = 60.0


class Seldom(logging.Filter):
    """Lets a line through once in a minute; the next one that it lets through says how many there were between. Lines
    are the same if their text is before values are put in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[object, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is let through, with the count in it."""
        now = self._clock()
        since, swallowed = self._said.get(record.msg, (now - PERIOD_SECONDS, 0))
        if now - since < PERIOD_SECONDS:
            self._said[record.msg] = since, swallowed + 1
            return False
        self._said[record.msg] = now, 0
        if swallowed:
            record.msg = f"{record.getMessage()} (and {swallowed} times more before)"
            record.args = ()
        return True
