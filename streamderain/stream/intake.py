"""Where publishers begin and a reader waits for them: things on their way from threads that push to one that takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_WAITING = 64
"""Items; of pictures and sound about a second."""


class Publication(Generic[T]):
    """What one publisher sends, from its beginning to its end; any thread may `put`, and may `end` it."""

    def __init__(self, has_sound: bool) -> None:
        self.has_sound, self.is_wanted = has_sound, True
        self._items: SimpleQueue[tuple[T, float] | None] = SimpleQueue()

    def put(self, item: T) -> None:
        """Leave one; it is left out when nobody takes them."""
        if self.is_wanted and self._items.qsize() < MOST_WAITING:
            self._items.put((item, time.monotonic()))

    def end(self) -> None:
        """There is no more, or nobody wants more."""
        self.is_wanted = False
        self._items.put(None)

    def items(self, patience: float) -> Iterator[tuple[T, float]]:
        """Items and time.monotonic() of their coming, until it ends. Raises TimeoutError if there is none for
        `patience` seconds.
        """
        try:
            while there := self._items.get(timeout=patience):
                yield there
        except Empty:
            raise TimeoutError from None


class Intake(Generic[T]):
    """Where a publisher begins, in any thread, and a reader waits for it in another.

    The newest is the one that counts: after a failure that nobody has noticed yet, it is the same one, back again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: Publication[T] | None = None
        self._closed = False

    def begin(self, has_sound: bool) -> Publication[T]:
        """A publisher is there; the one before is ended."""
        fresh = Publication[T](has_sound)
        with self._changed:
            before, self._newest = self._newest, fresh
            if self._closed:
                fresh.end()
            self._changed.notify_all()
        if before:
            before.end()
        return fresh

    def publication(self, seconds: float) -> Publication[T] | None:
        """The newest one, waited for so long; None when there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._wanted(), seconds)
            return self._wanted()

    def close(self) -> None:
        """End it for good, and who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._newest:
                self._newest.end()

    def _wanted(self) -> Publication[T] | None:
        return self._newest if self._newest and self._newest.is_wanted else None
