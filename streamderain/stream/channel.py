"""A bounded queue between two threads that carries items, the end, and an error."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):
    """The reader is gone; whoever writes may stop."""


class Channel(Generic[T]):
    """First in, first out, at most `capacity` items; writer and reader wait for each other.

    With `drop_oldest` the writer never waits: what has waited longest makes room. `dropped` counts the items that
    were put and that nobody will get, those that wait when the reader leaves among them.
    """

    def __init__(self, capacity: int, drop_oldest: bool = False) -> None:
        if capacity < 1:
            raise ValueError(f"{capacity = }; a channel holds at least 1 item")
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether the reader is gone."""
        return self._closed

    def put(self, item: T) -> None:
        """Add `item`, waiting while the channel is full unless the oldest makes room. Raises ChannelClosed once the
        reader is gone.
        """
        with self._changed:
            if not self._drop_oldest:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                raise ChannelClosed
            if len(self._items) == self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no item follows; the reader meets `error`, if there is one, after the items."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Leave as the reader: what is queued is dropped and the writer is set free."""
        with self._changed:
            self._closed = True
            self.dropped += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T:
        """The oldest item, waiting for it up to `timeout` seconds, for ever by default.

        Raises TimeoutError when none came in time, StopIteration after the last, the writer's error
        where there was one, and ChannelClosed after `close`.
        """
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._items or self._ended or self._closed, timeout)
            if not arrived:
                raise TimeoutError
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            if self._closed:
                raise ChannelClosed
            raise StopIteration
