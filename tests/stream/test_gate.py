"""Gate: nothing is late, nothing is lost uncounted, and what is too much is left out evenly."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from streamderain.frames import Frame
from streamderain.stream.background import Background
from streamderain.stream.gate import Gate
from streamderain.stream.pacer import News
from streamderain.stream.pipeline import Pipeline, Station

from .conftest import PATIENCE, frame

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
        **options: int,
    ) -> None:
        self.now, self.closed, self.dropped = 0.0, False, 0
        self.lines: list[tuple[float, str]] = []
        self.out: list[Out] = []
        self.held: list[float | None] = []
        self._network, self._capacity = network, capacity
        self._queue: deque[Frame] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free_at = 0.0
        self.sent = round(seconds * 25)
        last = 0.0
        for number in range(self.sent):
            last = max(last, number * STEP + delays(number))
            self._at(last, self._arrival(replace(frame(number % 200), pts=number, arrived=last)))
        gate = self.gate = Gate(max_latency, clock=lambda: self.now, report=self._say, **options)
        gate._pause = self._next  # type: ignore[method-assign]

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
            assert each.arrived is not None
            self.out.append(Out(each.seconds, self.now, self.now - each.arrived))
            self.gate.release()

        return out

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

    def steps(self, since: float, until: float = float("inf")) -> list[float]:
        """Between the times of the frames that got out, in seconds."""
        times = [each.pts for each in self.out if since <= each.at < until]
        return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_a_quick_network_loses_nothing() -> None:
    world = World(60, lambda now: 0.01).run()
    world.check_counts()
    assert len(world.out) == world.sent
    assert max(each.latency for each in world.out) == pytest.approx(0.01)
    assert world.lines == []
    assert world.gate.held_rate is None


@pytest.mark.parametrize("took", [0.06, 0.08, 0.098, 0.3])
def test_a_slow_network_is_held_at_its_pace_and_evenly(took: float) -> None:
    world = World(600, lambda now: took).run()
    world.check_counts()
    assert max(each.latency for each in world.out) < 0.5
    steps = world.steps(since=20)
    assert len(steps) / (world.out[-1].at - 20) >= 0.9 / took
    # While a quicker pace is tried there may be a shorter step.
    nearest = {int(took / STEP + 1e-9), int(took / STEP + 1e-9) + 1}
    strays = [round(step / STEP) for step in steps if round(step / STEP) not in nearest]
    assert len(strays) <= 0.01 * len(steps)
    assert set(strays) <= {min(nearest) - 1}
    settled = [held for held in world.held[-1000:] if held is not None]
    assert len(settled) == 1000
    assert 0.9 / took <= min(settled)
    assert max(settled) <= 1.1 / took
    assert len(world.lines) == 1
    assert world.lines[0][1].startswith("too slow for 25 fps: holding ")
    assert world.lines[0][1].endswith(", evenly spaced")


LAST_OF_BEFORE = 3
"""Frames that may have been let in before the pace was set and come out after it."""


def test_while_the_pace_stays_steps_differ_by_at_most_one_frame() -> None:
    world = World(600, lambda now: 0.08).run()
    times = [each.pts for each in world.out]
    runs = itertools.groupby(range(len(world.held)), key=lambda number: world.held[number])
    for held, members in runs:
        steady = list(members)[LAST_OF_BEFORE:]
        steps = {round((times[later] - times[earlier]) / STEP) for earlier, later in itertools.pairwise(steady)}
        assert not steps or max(steps) - min(steps) <= 1, f"{held = }"


def test_a_network_that_becomes_quick_is_used_again() -> None:
    world = World(200, lambda now: 0.08 if now < 100 else 0.01).run()
    world.check_counts()
    assert world.gate.held_rate is None
    assert {round(step / STEP) for step in world.steps(since=150)} == {1}
    assert [line for _, line in world.lines][1:] == ["keeps up with 25 fps again"]
    assert world.lines[1][0] < 140


def test_a_network_that_becomes_slower_is_followed() -> None:
    world = World(200, lambda now: 0.08 if now < 100 else 0.2).run()
    world.check_counts()
    assert max(each.latency for each in world.out) < 0.5
    assert world.held[-1] == pytest.approx(5, rel=0.1)
    assert len(world.steps(since=130)) / 70 >= 0.9 * 5


def test_a_network_slower_than_the_limit_still_gets_the_newest() -> None:
    world = World(600, lambda now: 1.0).run()
    world.check_counts()
    assert len(world.out) >= 0.9 * 600
    assert max(each.latency for each in world.out) < 1.0 + 3 * STEP
    assert (
        sum("the network takes 1 s, more than the 0.5 s of latency that are allowed" in line for _, line in world.lines)
        == 1
    )
    assert len(world.lines) == 2


def test_frames_that_arrive_old_do_not_stop_the_stream() -> None:
    world = World(60, lambda now: 0.01, max_latency=0.2)
    age = world.gate._age
    world.gate._age = lambda frame: age(frame) + 0.3  # type: ignore[method-assign]
    world.run()
    world.check_counts()
    assert world.gate.dropped["late"] > 100
    assert 30 <= len(world.out) <= 60


def test_frames_that_would_be_late_are_dropped() -> None:
    world = World(60, lambda now: 0.08, max_latency=0.1).run()
    world.check_counts()
    assert world.gate.dropped["late"] > 0
    assert max(each.latency for each in world.out) <= 0.1 + 1e-9


@pytest.mark.parametrize("took", [0.01, 0.08])
def test_arrivals_that_tremble(took: float) -> None:
    chance = random.Random(6)
    world = World(600, lambda now: took, delays=lambda number: chance.uniform(0, 0.06)).run()
    world.check_counts()
    assert max(each.latency for each in world.out) < 0.5
    assert len(world.out) >= 0.9 * 600 * min(25, 1 / took)
    assert len(world.lines) == (took == 0.08)


def test_a_network_that_trembles() -> None:
    chance = random.Random(7)
    world = World(600, lambda now: max(0.01, chance.gauss(0.08, 0.02))).run()
    world.check_counts()
    assert max(each.latency for each in world.out) < 0.5
    assert len(world.out) >= 0.9 * 600 * 12.5


def test_a_burst_is_worked_off_by_a_network_that_can() -> None:
    world = World(60, lambda now: 0.01, delays=lambda number: (5 - number % 5) * STEP, capacity=8).run()
    world.check_counts()
    assert len(world.out) == world.sent


@pytest.mark.parametrize("mishap", [1.5, 0.4])
def test_a_single_mishap_changes_nothing_for_long(mishap: float) -> None:
    world = World(100, lambda now: mishap if 50 <= now < 50.04 else 0.01).run()
    world.check_counts()
    assert world.gate.held_rate is None
    assert world.lines == []
    assert {round(step / STEP) for step in world.steps(since=55)} == {1}


def test_a_source_that_was_away_changes_nothing() -> None:
    world = World(100, lambda now: 0.01, delays=lambda number: 20.0 if number > 1000 else 0.0)
    world.run()
    assert len(world.out) == world.sent
    assert world.lines == []


def test_frames_that_are_held_back_take_no_credit(in_thread: Callable[[Callable[[], None]], threading.Thread]) -> None:
    gate = Gate(10.0, in_flight=1, held_back=2)
    admitted = gate.admit([frame(number) for number in range(4)])
    # Two of them wait for the third, which waits for none.
    assert [next(admitted).pts for _ in range(3)] == [0, 1, 2]
    fourth = threading.Event()

    def ask() -> None:
        next(admitted)
        fourth.set()

    in_thread(ask)
    assert not fourth.wait(0.1)
    gate.release()
    assert fourth.wait(PATIENCE)


def endless() -> Iterator[Frame]:
    for number in itertools.count():
        yield frame(number % 200)


def check_end(gate: Gate) -> None:
    counts = gate.counts()
    assert counts.in_flight == 0
    assert counts.received == counts.released + sum(counts.dropped.values())


def test_the_wait_for_the_network_ends_with_the_pipeline() -> None:
    gate = Gate(0.5, in_flight=1)
    stations = Station("decode", lambda source: source, 2, drop_oldest=True), Station("gate", gate.admit)
    pipeline = Pipeline(endless(), *stations, patience=PATIENCE)
    with pipeline as frames:
        next(frames)
    assert pipeline.stuck == []
    gate.close()
    assert gate.dropped["stopped"] >= 1
    check_end(gate)


def test_the_wait_for_the_network_ends_when_the_gate_closes(
    in_thread: Callable[[Callable[[], None]], threading.Thread],
) -> None:
    gate = Gate(0.5, in_flight=1)
    got: list[Frame] = []
    thread = in_thread(lambda: got.extend(gate.admit([frame(0), frame(1), frame(2)])))
    deadline = threading.Event()
    while gate.admitted < 1:
        assert not deadline.wait(0.001)
    gate.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert len(got) == 1
    assert gate.dropped["stopped"] == 2
    check_end(gate)


def test_a_frame_that_gets_out_after_all_was_not_stopped() -> None:
    gate = Gate(0.5)
    next(gate.admit([frame(0)]))
    gate.close()
    gate.release()
    assert gate.counts() == (1, 1, 0, {"stopped": 0})


def test_what_is_lost_while_the_network_hangs_is_counted_meanwhile(
    in_thread: Callable[[Callable[[], object]], threading.Thread],
) -> None:
    source = Background("decode", lambda: (frame(number) for number in range(9)), 2, drop_oldest=True)
    gate = Gate(5.0, in_flight=1)
    admitted = gate.admit(source)
    next(admitted)
    assert source.join(PATIENCE)
    waits = in_thread(lambda: list(admitted))
    while gate.received < 2:
        threading.Event().wait(0.001)
    counts = gate.counts()
    assert counts.received == counts.released + counts.in_flight + sum(counts.dropped.values()) == 9 - source.waiting
    assert counts.in_flight == 2
    gate.close()
    waits.join(PATIENCE)
    check_end(gate)


def test_each_layout_is_prepared_for_once_and_what_comes_meanwhile_is_dropped() -> None:
    prepared: list[tuple[int, int]] = []
    now = 0.0

    def prepare(first: Frame) -> None:
        nonlocal now
        prepared.append((first.layout.height, gate.in_flight))
        now += 20.0

    first = frame(0).layout
    layouts = [first] * 600 + [replace(first, height=2 * first.height)] * 600
    frames = [replace(frame(0, layout), pts=number, arrived=number * STEP) for number, layout in enumerate(layouts)]
    gate = Gate(0.5, prepare=prepare, clock=lambda: now)
    late = []
    for each in gate.admit(frames):
        now = max(now, each.arrived or 0.0)
        late.append(now - (each.arrived or 0.0))
        gate.release()
    assert prepared == [(first.height, 0), (2 * first.height, 0)]
    # One that is late is let in where none was for long.
    assert sum(each > 0.5 for each in late) <= 1
    assert gate.dropped["late"] == pytest.approx(2 * 20 / STEP, rel=0.05)


def test_counts_are_exact_with_real_threads() -> None:
    made = 3000
    source = Background("decode", lambda: (frame(number % 200) for number in range(made)), 2, drop_oldest=True)
    gate = Gate(5.0, in_flight=1)
    released = 0
    for number, _ in enumerate(gate.admit(source)):
        released += 1
        if number % 50 == 0:
            threading.Event().wait(0.001)
        gate.release()
    assert source.join(PATIENCE)
    counts = gate.counts()
    assert (counts.received, counts.released, counts.in_flight) == (made, released, 0)
    assert counts.received == counts.released + sum(counts.dropped.values())
    assert not counts.dropped.get("stopped")


def test_an_error_of_the_source_passes() -> None:
    def breaks() -> Iterator[Frame]:
        yield frame(0)
        raise OSError("gone")

    gate = Gate(0.5)
    admitted = gate.admit(breaks())
    next(admitted)
    with pytest.raises(OSError, match="gone"):
        next(admitted)


def test_the_rate_that_comes_in() -> None:
    now = 0.0
    gate = Gate(0.5, clock=lambda: now)
    assert gate.rate_in == 0
    for _ in gate.admit(replace(frame(number), arrived=None) for number in range(100)):
        gate.release()
        now += STEP
    assert gate.rate_in == pytest.approx(25, rel=0.05)
    now += 60
    assert gate.rate_in == 0


@pytest.mark.parametrize(("latency", "in_flight"), [(0.0, 1), (1.0, 0)])
def test_a_gate_that_would_let_nothing_through(latency: float, in_flight: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Gate(latency, in_flight)
