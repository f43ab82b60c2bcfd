"""Chains stations, each in its own thread, owns their lives, and stops them all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from streamderain.stream.background import Background
from streamderain.stream.stats import StationStats

logger = logging.getLogger(__name__)


class Station(NamedTuple):
    """A link of the chain: `run` takes the iterator before it and returns its own.

    `ahead` is how many of its items may wait for the next station; with `drop_oldest` it never waits for that one.
    """

    name: str
    run: Callable[[Any], Iterable[Any]]
    ahead: int = 1
    drop_oldest: bool = False


class Pipeline:
    """The stations at work from `with` to its end; iterate over it for the last station's items.

    The first station gets `source`. Items in flight are bounded: one in each station and `ahead` behind
    it. When the `with` block ends, for whatever reason, every thread is told to stop and joined: the last
    station's for as long as it takes, since it may be in the middle of what the caller goes on with, the
    others' for at most `patience` seconds altogether; then `stuck` names those that had not ended, and so does the log.
    Whatever they use must bear that its owner lets go of it first.
    """

    def __init__(self, source: object, *stations: Station, patience: float = 1.5) -> None:
        if not stations:
            raise ValueError("a pipeline needs at least one station")
        self._source = source
        self._stations = stations
        self._patience = patience
        self._threads: list[Background[Any]] = []
        self.stuck: list[str] = []

    def __enter__(self) -> Iterator[Any]:
        feed: Any = self._source
        try:
            for station in self._stations:
                reads = self._threads[-1] if self._threads else None
                thread = Background(station.name, _start(station, feed), station.ahead, reads, station.drop_oldest)
                self._threads.append(thread)
                feed = thread
        except BaseException:  # a machine out of threads, or Ctrl-C: those that run must not stay
            self._stop()
            raise
        return iter(self._threads[-1])

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for thread in self._threads:
            thread.close()
        if len(self._threads) == len(self._stations):
            self._threads[-1].join()
        deadline = time.monotonic() + self._patience
        for thread in self._threads:
            if not thread.join(max(0.0, deadline - time.monotonic())):
                self.stuck.append(thread.stats.name)
        if self.stuck:
            logger.warning("left behind, as still busy after the end: %s", ", ".join(self.stuck))

    @property
    def stats(self) -> list[StationStats]:
        """Each station's account so far, in order."""
        return [thread.stats for thread in self._threads]


def _start(station: Station, feed: Any) -> Callable[[], Iterable[Any]]:
    return lambda: station.run(feed)
