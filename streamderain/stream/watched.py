"""A consumer in its own thread behind a bounded queue, which may die or freeze without harm to anybody else."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from streamderain.errors import StreamderainError

T = TypeVar("T")
C = TypeVar("C", contravariant=True)
R = TypeVar("R")

STEADY_SECONDS = 1.0
"""A consumer that still takes items this long after it was opened has made good the attempts that it took."""

MOST_DOUBLED = 3
"""How often what an error asks to wait is doubled when it comes again."""

MOST_FROZEN = 8
"""So many threads may hang in a consumer at once; only when one of them wakes is it opened anew."""


class Consumer(Protocol[C]):
    """What takes the items; both calls may block or raise."""

    def write(self, item: C) -> None:
        """Take one item."""

    def close(self) -> None:
        """Finish."""


class _Worker:
    """One thread and what it is busy with; `busy_since` is None while it is in none of the consumer's calls. One that
    is `stale` was given up, and nothing that it does counts.
    """

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.wait = 0.0
        self.stale = False
        self.busy_since: float | None = None
        self.holds_item = False
        self.thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def busy_for(self, now: float) -> float:
        """Seconds that its present call takes; 0 while it is in none."""
        # Read once, as it may come back any moment.
        since = self.busy_since
        return 0.0 if since is None else now - since


class Watched(Generic[T]):
    """Opens a consumer and writes to it whatever is put, in order, in a thread of its own.

    When it fails with a StreamderainError or OSError it is opened again, `delays(n)` seconds before the n-th attempt in
    a row, or the error's `again_after`, twice as long each time, where that is more; at most `retries` times in a row,
    by default for ever. When a call does not return within `frozen_after` seconds, which each `put` looks at, its
    thread is left to itself and another one opens a new consumer. What is written after opening, and after items were
    dropped, begins with one for which `starts_at` is true, the first in the queue or, with `latest`, the last.

    `report` gets "opened", "lost", "frozen" or "gave up" and what is known about it, from any thread. `dropped` counts
    items that were put and not `written`; `reopened` openings after the first; `frozen` threads that were given up.
    `ended` is why it gave up.
    """

    def __init__(
        self,
        name: str,
        open: Callable[[], Consumer[T]],
        *,
        capacity: int = 250,
        starts_at: Callable[[T], bool] = lambda item: True,
        latest: bool = False,
        frozen_after: float = 5.0,
        delays: Callable[[int], float] = lambda attempt: 0.5 * 2.0 ** min(attempt, 6),
        report: Callable[[str, str], None] = lambda kind, detail: None,
        retries: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"{capacity = }; a queue holds at least 1 item")
        self.dropped = self.written = self.reopened = self.frozen = 0
        self.connected = False
        self.ended: BaseException | None = None
        self._name, self._open, self._report = name, open, report
        self._capacity, self._starts_at, self._latest = capacity, starts_at, latest
        self._frozen_after, self._delays, self._retries, self._clock = frozen_after, delays, retries, clock
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        # Items were lost, so what comes is dropped until one that can be started at.
        self._gap = True
        self._opened = 0
        self._deadline: float | None = None
        self._ends_at = 0.0
        self._left: list[_Worker] = []
        self._worker = self._start(_Worker(0))

    def put(self, item: T) -> None:
        """Queue one item; never waits. When the queue is full it is dropped up to the next item that can be started
        at, and so is whatever comes after `close` or giving up.
        """
        with self._changed:
            events = self._replace_if_frozen()
            self._enqueue(item)
            self._changed.notify_all()
        for kind, detail in events:
            self._report(kind, detail)

    def finish(self, patience: float = 2.0) -> None:
        """Begin to close, and return at once: of many, each is then given the same `patience` seconds."""
        with self._changed:
            if self._deadline is None:
                # The rest of the time is for closing.
                self._deadline, self._ends_at = (self._clock() + share * patience for share in (0.75, 1.0))
            self._changed.notify_all()

    def close(self, patience: float = 2.0) -> None:
        """Write what is queued, close the consumer and end the thread, all within `patience` seconds, or within those
        that `finish` gave it; one that does not end by then is left behind and counts as `frozen`.
        """
        self.finish(patience)
        worker = self._worker
        assert worker.thread
        if not worker.stale:
            worker.thread.join(max(0.0, self._ends_at - self._clock()))
        with self._changed:
            left = worker.alive and not worker.stale
            if left:
                self._leave(worker)
            self._drop_queue()
            self.connected = False
        if left:
            self._report("frozen", "did not end in time")

    @property
    def queued(self) -> int:
        """Items that wait."""
        return len(self._queue)

    # What follows runs in whatever thread puts.

    def _enqueue(self, item: T) -> None:
        if self._deadline is not None or self.ended is not None:
            self.dropped += 1
            return
        if len(self._queue) == self._capacity:
            self._drop_one()
            self._drop_to_start()
        if self._gap and not self._starts_at(item):
            self.dropped += 1
            return
        self._gap = False
        self._queue.append(item)

    def _drop_one(self) -> None:
        self._queue.popleft()
        self.dropped += 1

    def _drop_to_start(self) -> None:
        while self._queue and not self._starts_at(self._queue[0]):
            self._drop_one()
        self._gap = not self._queue

    def _drop_queue(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()

    def _replace_if_frozen(self) -> list[tuple[str, str]]:
        """See to it that somebody works; what to report of it."""
        worker, now = self._worker, self._clock()
        if self._deadline is not None or self.ended is not None:
            return []
        events = []
        busy = worker.busy_for(now)
        if not worker.stale and busy > self._frozen_after:
            self._leave(worker)
            events.append(("frozen", f"no answer for {busy:.1f} s"))
            if self._is_last(worker.attempt + 1):
                self.ended = TimeoutError(events[0][1])
                self._drop_queue()
                return [*events, ("gave up", events[0][1])]
        if worker.stale and sum(left.alive for left in self._left) < MOST_FROZEN:
            self._worker = self._start(_Worker(worker.attempt + 1))
        return events

    def _is_last(self, attempt: int) -> bool:
        return self._retries is not None and attempt > self._retries

    def _leave(self, worker: _Worker) -> None:
        worker.stale = True
        self._left = [left for left in self._left if left.alive] + [worker]
        self.frozen += 1
        self.dropped += worker.holds_item
        self.connected = False
        self._changed.notify_all()

    def _start(self, worker: _Worker) -> _Worker:
        # A daemon, so that a server that never answers cannot keep the program from ending.
        worker.thread = threading.Thread(
            target=self._run, args=(worker,), name=f"streamderain-{self._name}", daemon=True
        )
        worker.thread.start()
        return worker

    # What follows runs in the worker's thread.

    def _run(self, worker: _Worker) -> None:
        try:
            while self._may_open(worker):
                try:
                    self._session(worker)
                    return
                except (StreamderainError, OSError) as error:
                    if not self._lost(worker, error):
                        return
        except BaseException as error:  # a fault of the program's: no attempt would go better
            self._end(worker, error)

    def _may_open(self, worker: _Worker) -> bool:
        """Wait until it is time for the next attempt; False when there is none."""
        with self._changed:
            if worker.attempt:
                worker.wait = max(worker.wait, self._delays(worker.attempt))
            self._changed.wait_for(lambda: worker.stale or self._deadline is not None, worker.wait)
            return not worker.stale and self._deadline is None

    def _session(self, worker: _Worker) -> None:
        """Open, write until told to end, close."""
        consumer = self._busy(worker, self._open)
        opened_at = self._clock()
        try:
            if self._begin(worker):
                while self._write_next(worker, consumer, opened_at):
                    pass
        except BaseException:
            # What the consumer holds, such as a socket, is given back; why it failed is known already.
            with suppress(StreamderainError, OSError):
                self._busy(worker, consumer.close)
            raise
        self._busy(worker, consumer.close)

    def _busy(self, worker: _Worker, call: Callable[[], R]) -> R:
        worker.busy_since = self._clock()
        try:
            return call()
        finally:
            worker.busy_since = None

    def _begin(self, worker: _Worker) -> bool:
        with self._changed:
            if worker.stale:
                return False
            self._opened += 1
            self.reopened = self._opened - 1
            self.connected = True
            self._drop_to_start()
            while self._latest and any(self._starts_at(item) for item in list(self._queue)[1:]):
                self._drop_one()
                self._drop_to_start()
        self._report("opened", "")
        return True

    def _write_next(self, worker: _Worker, consumer: Consumer[T], opened_at: float) -> bool:
        """Write one item; False when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: worker.stale or self._queue or self._deadline is not None)
            late = self._deadline is not None and self._clock() > self._deadline
            if worker.stale or late or not self._queue:
                return False
            item = self._queue.popleft()
            # Under the lock, so that nobody misses an item that is neither queued nor in somebody's hand.
            worker.holds_item = True
        wrote = False
        try:
            self._busy(worker, lambda: consumer.write(item))
            wrote = True
        finally:
            with self._changed:
                worker.holds_item = False
                if not worker.stale:
                    self.written += wrote
                    self.dropped += not wrote
        if self._clock() - opened_at >= STEADY_SECONDS:
            worker.attempt = 0
        return True

    def _lost(self, worker: _Worker, error: BaseException) -> bool:
        """The consumer failed; whether it is tried again."""
        with self._changed:
            if worker.stale:
                return False
            self.connected = False
            worker.attempt += 1
            least = getattr(error, "again_after", 0.0)
            worker.wait = least * 2.0 ** min(worker.attempt - 1, MOST_DOUBLED)
        later = f"; the next attempt is in {worker.wait:.0f} s or more" if least else ""
        self._report("lost", f"{error}{later}")
        if self._is_last(worker.attempt):
            self._end(worker, error)
            return False
        return True

    def _end(self, worker: _Worker, error: BaseException) -> None:
        with self._changed:
            if worker.stale:
                return
            self.connected = False
            self.ended = error
            self._drop_queue()
        self._report("gave up", f"{type(error).__name__}: {error}")
