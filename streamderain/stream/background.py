"""An iterator that runs in its own named thread, some items ahead of whoever reads it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

from streamderain.errors import StationError, StreamderainError
from streamderain.stream.channel import Channel, ChannelClosed
from streamderain.stream.stats import StationStats

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Background(Generic[T]):
    """Runs the iterator that `start` returns in a thread and hands on its items, at most `ahead` waiting; further ones
    wait in the thread's hand or, with `drop_oldest`, take the place of the oldest.

    An error in the iterator is raised in the reader and carries the station's name; one that is not
    streamderain's own is wrapped in StationError. `reads` is the Background that feeds this one; time
    spent waiting for it is not counted as work.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Iterable[T]],
        ahead: int = 1,
        reads: Background[object] | None = None,
        drop_oldest: bool = False,
    ) -> None:
        self.stats = StationStats(name)
        self._waited = 0.0
        self._reads = reads
        self._start = start
        self._channel: Channel[T] = Channel(ahead, drop_oldest)
        # A daemon, so that a network in the middle of a slow frame cannot keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"streamderain-{name}", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self.get()

    def get(self, timeout: float | None = None) -> T:
        """The next item; TimeoutError when none came within `timeout` seconds, StopIteration at the end."""
        began = time.perf_counter()
        try:
            return self._channel.get(timeout)
        finally:
            self._waited += time.perf_counter() - began

    @property
    def waiting(self) -> int:
        """Items that can be had at once."""
        return len(self._channel)

    @property
    def dropped(self) -> int:
        """Items that were made and that nobody will get."""
        return self._channel.dropped

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._channel.closed

    def close(self) -> None:
        """Ask the thread to stop at its next item; returns at once."""
        self._channel.close()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end, at most `timeout` seconds; whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        iterator: Iterator[T] | None = None
        try:
            iterator = iter(self._start())
            while self._step(iterator):
                pass
            self._channel.end()
        except ChannelClosed:
            self._channel.end()
        except BaseException as error:  # whatever it is, it belongs to the reader
            self._channel.end(_named(error, self.stats.name))
        finally:
            if isinstance(iterator, Generator):
                self._finish(iterator)

    def _finish(self, iterator: Generator[T, None, None]) -> None:
        """Let an iterator that was left in the middle clean up; nobody reads any more, so the log gets its error."""
        try:
            iterator.close()
        except Exception as error:
            logger.warning("%s: could not end in order: %s", self.stats.name, error)
            logger.debug("%s", self.stats.name, exc_info=True)

    def _step(self, iterator: Iterator[T]) -> bool:
        """Hand on one item and book the time; False at the end."""
        began, waited_before = time.perf_counter(), self._upstream_waited()
        item = next(iterator, _END)
        made, starved = time.perf_counter(), self._upstream_waited() - waited_before
        worked = made - began - starved
        self.stats.working += worked
        self.stats.starved += starved
        if item is _END:
            return False
        self.stats.durations.append(worked)
        self._channel.put(item)  # type: ignore[arg-type]
        self.stats.blocked += time.perf_counter() - made
        self.stats.items += 1
        return True

    def _upstream_waited(self) -> float:
        return self._reads._waited if self._reads is not None else 0.0


_END = object()


def _named(error: BaseException, station: str) -> BaseException:
    if isinstance(error, StreamderainError):
        error.station = error.station or station
        return error
    wrapped = StationError(f"{type(error).__name__}: {error}")
    wrapped.station = station
    wrapped.__cause__ = error
    return wrapped
