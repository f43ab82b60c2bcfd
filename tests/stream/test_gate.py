"""Gate: nothing is late, nothing is lost uncounted, and what is too much is left out evenly."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from streamderain.frames import Frame
from streamderain.stream.background import Background
from streamderain.stream.gate import Gate
from streamderain.stream.pipeline import Pipeline, Station

from .conftest import PATIENCE, frame
from .world import STEP, World


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
    assert len(steps) / (world.out[-1].at - 20) >= 0.99 / took
    nearest = {int(took / STEP + 1e-9), int(took / STEP + 1e-9) + 1}
    strays = [round(step / STEP) for step in steps if round(step / STEP) not in nearest]
    assert len(strays) <= 0.01 * len(steps)
    settled = world.held[-1000:]
    assert settled == [pytest.approx(1 / took, rel=0.02)] * 1000
    assert [line for _, line in world.lines] == [
        f"too slow for 25 fps: holding {1 / took:.3g}, the newest frame each time"
    ]


def test_a_network_that_becomes_quick_is_used_again() -> None:
    world = World(200, lambda now: 0.08 if now < 100 else 0.01).run()
    world.check_counts()
    assert world.gate.held_rate is None
    assert {round(step / STEP) for step in world.steps(since=105)} == {1}
    assert [line for _, line in world.lines][1:] == ["keeps up with 25 fps again"]
    assert world.lines[1][0] < 112


def test_a_network_that_becomes_slower_is_followed() -> None:
    world = World(200, lambda now: 0.08 if now < 100 else 0.2).run()
    world.check_counts()
    assert max(each.latency for each in world.out) < 0.5
    assert world.held[-1] == pytest.approx(5, rel=0.1)
    assert len(world.steps(since=105)) / 95 >= 0.97 * 5


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
    assert 25 <= len(world.out) <= 60


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
    assert len(world.out) >= 0.97 * 600 * min(25, 1 / took)
    assert len(world.lines) == (took == 0.08)


def test_a_network_that_trembles() -> None:
    chance = random.Random(7)
    world = World(600, lambda now: max(0.01, chance.gauss(0.08, 0.02))).run()
    world.check_counts()
    assert max(each.latency for each in world.out) < 0.5
    assert len(world.out) >= 0.97 * 600 * 12.5


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
    assert {round(step / STEP) for step in world.steps(since=50 + mishap + 0.2)} == {1}


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
    fourth, waits, pause = threading.Event(), threading.Event(), gate._pause

    def ask() -> None:
        next(admitted)
        fourth.set()

    def waiting() -> None:
        waits.set()
        pause()

    gate._pause = waiting  # type: ignore[method-assign]
    in_thread(ask)
    assert waits.wait(PATIENCE)
    assert not fourth.is_set()
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


@pytest.mark.parametrize("fps", [5, 25])
def test_what_is_lost_while_the_network_is_prepared_makes_it_no_slow_one(fps: int) -> None:
    # Two looks in which frames are lost would spare it work; one is lost by mishap behind the preparation.

    def network(now: float) -> float:
        return 0.3 if 21 <= now < 21 + 1 / fps else 0.01

    world = World(60, network, step=1 / fps, preparing=20, steps=2, capacity=8).run()
    world.check_counts()
    assert world.gate.dropped["overtaken"] >= 19.5 * fps
    assert (world.eased, world.lines) == ([], [])


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
