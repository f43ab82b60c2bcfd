"""What happened to a stream and why, as a list that never grows long."""

from __future__ import annotations

import errno
import math
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

MOST = 100
IN_TURNS_SECONDS = 60.0

SOURCE = "source"
NETWORK = "network"
"""The subjects of what happens to the source, and to the network's effort; an output's is its name."""

_NO_ROOM = tuple(os.strerror(each) for each in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass
class Event:
    """What last happened `at`, seconds since 1970, to `subject`, and how many times in a row; no secret is in it."""

    at: float
    kind: str
    subject: str
    reason: str
    times: int = 1


class Events:
    """The latest, oldest first. What happens again and again to a subject, for one reason, is counted, so that it
    displaces nothing. Any thread may add, those of one subject one at a time; `told` is called with each.
    """

    def __init__(
        self, told: Callable[[Event], None] = lambda event: None, clock: Callable[[], float] = time.time
    ) -> None:
        self.told, self._clock = told, clock
        self._events: deque[Event] = deque(maxlen=MOST)

    def add(self, kind: str, subject: str, reason: str) -> None:
        """Take one in."""
        now = self._clock()
        event = self._same(kind, subject, reason, now)
        if event:
            event.at, event.reason, event.times = now, reason, event.times + 1
        else:
            event = Event(now, kind, subject, reason)
            self._events.append(event)
        self.told(event)

    def _same(self, kind: str, subject: str, reason: str, now: float) -> Event | None:
        """The one that has come again: the last of its subject, or just now the last but one, as where a recording is
        opened and lost in turns.
        """
        latest = [each for each in list(self._events) if each.subject == subject][-2:]
        for event, most in zip(reversed(latest), (math.inf, IN_TURNS_SECONDS), strict=False):
            if (event.kind, _cause(event.reason)) == (kind, _cause(reason)) and now - event.at <= most:
                return event
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """All of them, as JSON can carry it."""
        return [asdict(each) for each in sorted(self._events, key=lambda each: each.at)]


def _cause(reason: str) -> str:
    """Without when the next attempt is, which each tells anew."""
    return reason.split(";")[0]


def is_disk_full(reason: str) -> bool:
    """Whether an output failed as there is no room for it."""
    return any(each in reason for each in _NO_ROOM)
