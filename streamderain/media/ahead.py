"""An iterator that can be looked at ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator that can be looked at ahead. An error shows when all that came before it is taken."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._seen: deque[T] = deque()
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[T]:
        while self._seen or self._pull():
            yield self._seen.popleft()
        if self._error:
            raise self._error

    def look(self, most: int) -> Iterator[T]:
        """The next items, without taking them; none must be taken meanwhile."""
        yield from tuple(self._seen)[:most]
        while len(self._seen) < most and self._pull():
            yield self._seen[-1]

    def _pull(self) -> bool:
        """Whether there is one more."""
        if self._error is None:
            try:
                self._seen.append(next(self._items))
                return True
            except StopIteration:
                pass
            except Exception as error:
                self._error = error
        return False
