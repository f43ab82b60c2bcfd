"""A camera, its channel, the gate and a network in made-up time, in one thread."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from streamderain.frames import Frame
from streamderain.stream.gate import Gate
from streamderain.stream.pacer import News

from .conftest import frame

STEP = 1 / 25


@dataclass
class Out:
    """A frame that got through: its own time, when it was out, and how old it was then."""

    pts: float
    at: float
    latency: float


class World:
    """A camera, its channel of `capacity`, the gate and a network, in made-up time and in one thread."""

    def __init__(
        self,
        seconds: float,
        network: Callable[[float], float],
        max_latency: float = 0.5,
        delays: Callable[[int], float] = lambda number: 0.0,
        capacity: int = 2,
        step: float = STEP,
        writing: Callable[[], float] = lambda: 0.0,
        preparing: float = 0.0,
        **options: int,
    ) -> None:
        """`delays` is how much later than it should frame `number` comes, `writing` how long the output takes,
        and `preparing` the network before its first frame.
        """
        self.now, self.closed, self.dropped = 0.0, False, 0
        self.lines: list[tuple[float, str]] = []
        self.out: list[Out] = []
        self.held: list[float | None] = []
        self.arrivals: list[float] = []
        self._base = Fraction(step).limit_denominator(1000)
        self._network, self._capacity, self._writing, self._preparing = network, capacity, writing, preparing
        self._queue: deque[Frame] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free_at = 0.0
        self.sent = round(seconds / step)
        last = 0.0
        for number in range(self.sent):
            last = max(last, number * step + delays(number))
            self.arrivals.append(last)
            self._at(last, self._arrival(self.frame(number, last)))
        self.step = 0
        self.eased: list[tuple[float, int]] = []
        gate = self.gate = Gate(
            max_latency, clock=lambda: self.now, report=self._say, ease=self._ease, prepare=self._prepare, **options
        )
        gate._pause = self._next  # type: ignore[method-assign]

    def frame(self, number: int, arrived: float) -> Frame:
        """The camera's."""
        return replace(frame(number % 200), pts=number, time_base=self._base, arrived=arrived)

    def _prepare(self, first: Frame) -> None:
        ready = self.now + self._preparing
        while self._events and self._events[0][0] <= ready:
            self._next()
        self.now = max(self.now, ready)

    def run(self) -> World:
        for admitted in self.gate.admit(self):
            counts = self.gate.counts()
            assert counts.received == counts.released + counts.in_flight + sum(counts.dropped.values())
            self._free_at = max(self.now, self._free_at) + self._network(self.now)
            self._at(self._free_at, self._release(admitted))
            self.held.append(self.gate.held_rate)
        while self._events:
            self._next()
        return self

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def get(self) -> Frame:
        while not self._queue:
            if not self._events:
                raise StopIteration
            self._next()
        return self._queue.popleft()

    def __iter__(self) -> Iterator[Frame]:
        raise AssertionError("a gate asks a feed")

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), event))

    def _next(self) -> None:
        self.now, _, event = heapq.heappop(self._events)
        event()

    def _arrival(self, each: Frame) -> Callable[[], None]:
        def arrive() -> None:
            if len(self._queue) == self._capacity:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(each)

        return arrive

    def _release(self, each: Frame) -> Callable[[], None]:
        def out() -> None:
            if self.gate.keeps(each):
                self._at(self.now + self._writing(), self._written(each))
                self.gate.release()

        return out

    def _written(self, each: Frame) -> Callable[[], None]:
        def written() -> None:
            assert each.arrived is not None
            self.out.append(Out(each.seconds, self.now, self.now - each.arrived))
            self.gate.written(each.arrived)

        return written

    def _ease(self, step: int) -> None:
        self.step = step
        self.eased.append((self.now, step))

    def _say(self, news: News) -> None:
        assert news.is_good == ("again" in news.line or "within" in news.line)
        self.lines.append((self.now, news.line))

    def check_counts(self) -> None:
        counts = self.gate.counts()
        assert counts.received == self.sent
        assert counts.in_flight == 0
        assert counts.released == len(self.out)
        assert counts.received == counts.released + sum(counts.dropped.values())
        assert not counts.dropped.get("stopped")

    @property
    def p99(self) -> float:
        """How old all but one in a hundred frames were at most."""
        latencies = sorted(each.latency for each in self.out)
        return latencies[-(-99 * len(latencies) // 100) - 1]

    def count(self, since: float, until: float) -> int:
        """Frames that got out between these moments."""
        return sum(since <= each.at < until for each in self.out)

    def steps(self, since: float, until: float = float("inf")) -> list[float]:
        """Between the times of the frames that got out, in seconds."""
        times = [each.pts for each in self.out if since <= each.at < until]
        return [later - earlier for earlier, later in itertools.pairwise(times)]


def possible(world: World, network: Callable[[float], float], max_latency: float = 0.5) -> list[float]:
    """When frames would get out in time if it was known beforehand how long each will take; `network` as the world's
    was, from its beginning.
    """
    out, now, arrivals = [], 0.0, world.arrivals
    newest = 0
    while True:
        while newest + 1 < len(arrivals) and arrivals[newest + 1] <= now:
            newest += 1
        took = network(max(now, arrivals[newest]))
        if now + took - arrivals[newest] > max_latency >= took:
            newest += 1
            if newest == len(arrivals):
                return out
        now = max(now, arrivals[newest]) + took
        if now - arrivals[newest] <= max_latency + 1e-9:
            out.append(now)
        if newest + 1 == len(arrivals):
            return out
        newest += 1
