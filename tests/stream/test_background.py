"""Background: an iterator in a thread, with its name, its errors, its end and its account."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from streamderain.errors import SourceError, StationError
from streamderain.stream.background import Background
from streamderain.stream.stats import REMEMBERED
from tests.waiting import wait_until

from .conftest import PATIENCE


def test_items_arrive_in_order_from_a_named_thread() -> None:
    names: set[str] = set()

    def work() -> Iterator[int]:
        for item in range(5):
            names.add(threading.current_thread().name)
            yield item

    thread = Background("decode", work)
    assert list(thread) == [0, 1, 2, 3, 4]
    assert names == {"streamderain-decode"}
    assert thread.join(PATIENCE)


def test_an_error_of_ours_keeps_its_kind_and_gets_the_station() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise SourceError("the camera went away")

    thread = Background("decode", work)
    assert next(thread) == 1
    with pytest.raises(SourceError, match=r"^decode: the camera went away$") as raised:
        next(thread)
    assert raised.value.station == "decode"
    assert thread.join(PATIENCE)


def test_an_unforeseen_error_is_wrapped_with_its_cause() -> None:
    def work() -> Iterator[int]:
        yield from ()
        raise KeyError("red")

    thread = Background("restore", work)
    with pytest.raises(StationError, match=r"^restore: KeyError: 'red'$") as raised:
        next(thread)
    assert isinstance(raised.value.__cause__, KeyError)
    assert thread.join(PATIENCE)


def test_an_error_before_the_first_item_reaches_the_reader() -> None:
    def start() -> Iterator[int]:
        raise OSError("no such device")

    thread = Background("decode", start)
    with pytest.raises(StationError, match="decode: OSError: no such device"):
        next(thread)
    assert thread.join(PATIENCE)


def test_an_error_passes_later_stations_under_its_first_name() -> None:
    def fail() -> Iterator[int]:
        yield from ()
        raise ValueError("first")

    first = Background("first", fail)
    second = Background("second", lambda: (item for item in first), reads=first)
    with pytest.raises(StationError, match=r"^first: ValueError: first$"):
        next(second)
    assert first.join(PATIENCE)
    assert second.join(PATIENCE)


def test_close_ends_an_endless_generator_and_runs_its_finally() -> None:
    cleaned = threading.Event()

    def work() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            cleaned.set()

    # Held here too, so that it does not end merely because nobody refers to it, as a traceback may.
    endless = work()
    thread = Background("decode", lambda: endless)
    next(thread)
    thread.close()
    assert thread.join(PATIENCE)
    assert cleaned.is_set()


def test_it_works_ahead_and_no_further() -> None:
    made: list[int] = []
    one_too_many = threading.Event()
    enough = threading.Event()

    def work() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            if len(made) == 4:
                enough.set()
            if len(made) == 5:
                one_too_many.set()
            yield item

    thread = Background("decode", work, ahead=3)
    # Three wait in the channel and the fourth in the thread's hand.
    assert enough.wait(PATIENCE)
    assert not one_too_many.wait(0.1)
    thread.close()
    assert thread.join(PATIENCE)


def test_a_late_item_can_be_waited_for_again() -> None:
    release = threading.Event()

    def work() -> Iterator[int]:
        release.wait(PATIENCE)
        yield 7

    thread = Background("decode", work)
    with pytest.raises(TimeoutError):
        thread.get(0.01)
    release.set()
    assert thread.get(PATIENCE) == 7
    assert list(thread) == []
    assert thread.join(PATIENCE)


def is_waiting(name: str) -> bool:
    """Whether a thread of that name waits for another."""
    frames = sys._current_frames()
    frame = next((frames.get(each.ident or 0) for each in threading.enumerate() if each.name == name), None)
    while frame and frame.f_code.co_name != "wait":
        frame = frame.f_back
    return frame is not None


def test_the_account_adds_up() -> None:
    pause = 0.02
    asked = threading.Event()

    def slow() -> Iterator[int]:
        asked.wait(PATIENCE)
        wait_until(lambda: is_waiting("streamderain-second"))
        for item in range(3):
            time.sleep(pause)
            yield item

    def passed_on() -> Iterator[int]:
        asked.set()
        for item in first:
            time.sleep(pause)
            yield item

    began = time.perf_counter()
    first = Background("first", slow)
    second = Background("second", passed_on, reads=first)
    assert list(second) == [0, 1, 2]
    assert first.join(PATIENCE)
    assert second.join(PATIENCE)
    took = time.perf_counter() - began
    for stats in (first.stats, second.stats):
        assert stats.items == len(stats.durations) == 3
        assert min(stats.durations) >= pause * 0.9
        assert sum(stats.durations) <= stats.working
        assert stats.working >= 3 * pause * 0.9
        assert min(stats.starved, stats.blocked) >= 0
        assert stats.working + stats.starved + stats.blocked <= took
    assert first.stats.starved == 0
    # It waited before the first pause began.
    assert second.stats.starved >= pause * 0.9


def test_durations_are_kept_of_the_latest_items_alone() -> None:
    thread = Background("decode", lambda: iter(range(REMEMBERED + 10)), ahead=100)
    assert sum(1 for _ in thread) == REMEMBERED + 10
    assert thread.join(PATIENCE)
    assert thread.stats.items == REMEMBERED + 10
    assert len(thread.stats.durations) == REMEMBERED
    assert json.loads(json.dumps(thread.stats.totals())).keys() == {"name", "items", "working", "starved", "blocked"}


def test_waiting_for_a_slow_reader_is_booked_as_blocked() -> None:
    thread = Background("decode", lambda: iter(range(4)))
    for _ in thread:
        time.sleep(0.05)
    assert thread.join(PATIENCE)
    # Full is 0.15; the rest is leave for a busy machine.
    assert thread.stats.blocked >= 0.02
    assert thread.stats.items == 4


def test_an_error_while_it_cleans_up_is_told_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def work() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise OSError("the disk is full")

    thread = Background("encode", work)
    assert thread.get(PATIENCE) == 1
    thread.close()
    # An exception that leaves a thread would fail this test.
    assert thread.join(PATIENCE)
    assert "encode: could not end in order: the disk is full" in caplog.text
