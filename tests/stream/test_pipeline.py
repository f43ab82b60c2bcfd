"""Pipeline: whatever happens, every thread ends and the reader learns why."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from streamderain.errors import SinkError, StationError
from streamderain.stream.background import Background
from streamderain.stream.pipeline import Pipeline, Station
from streamderain.stream.stats import slowest

from .conftest import PATIENCE


def doubled(items: Iterable[int]) -> Iterator[int]:
    return (2 * item for item in items)


def plus_one(items: Iterable[int]) -> Iterator[int]:
    return (item + 1 for item in items)


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("streamderain-")]


def test_stations_work_in_turn_and_end_with_the_source() -> None:
    with Pipeline(range(5), Station("double", doubled), Station("add", plus_one), patience=PATIENCE) as items:
        assert list(items) == [1, 3, 5, 7, 9]
    assert our_threads() == []


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_an_error_in_any_station_reaches_the_reader_and_stops_the_rest(broken: int) -> None:
    def breaks(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            if item == 3:
                raise SinkError("the disk is full")
            yield item

    def passes(items: Iterable[int]) -> Iterator[int]:
        yield from items

    stations = [Station(f"station {number}", breaks if number == broken else passes) for number in range(3)]
    pipeline = Pipeline(itertools.count(), *stations, patience=PATIENCE)
    seen = []
    with pytest.raises(SinkError, match=f"^station {broken}: the disk is full$"), pipeline as items:
        seen.extend(items)
    assert seen == [0, 1, 2]
    assert pipeline.stuck == []
    assert our_threads() == []


def test_a_reader_that_leaves_early_stops_every_thread() -> None:
    cleaned = []

    def station(name: str) -> Station:
        def run(items: Iterable[int]) -> Iterator[int]:
            try:
                yield from items
            finally:
                cleaned.append(name)

        return Station(name, run, ahead=2)

    with Pipeline(itertools.count(), station("a"), station("b"), station("c"), patience=PATIENCE) as items:
        assert next(items) == 0
    assert our_threads() == []
    assert sorted(cleaned) == ["a", "b", "c"]


def test_an_error_of_the_reader_stops_every_thread() -> None:
    def read() -> None:
        stations = Station("a", doubled), Station("b", plus_one)
        with Pipeline(itertools.count(), *stations, patience=PATIENCE) as items:
            for _ in items:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()
    assert our_threads() == []


def test_the_source_runs_ahead_by_what_the_stations_hold_and_no_more() -> None:
    ahead = (1, 3, 2)
    read = 2
    # Each station has `ahead` waiting behind it and one in hand.
    bound = read + sum(each + 1 for each in ahead)
    taken = 0
    reached, passed = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        nonlocal taken
        for item in itertools.count():
            taken += 1
            if taken == bound:
                reached.set()
            if taken > bound:
                passed.set()
            yield item

    stations = [Station(f"station {number}", lambda items: items, each) for number, each in enumerate(ahead)]
    with Pipeline(source(), *stations, patience=PATIENCE) as items:
        assert [next(items) for _ in range(read)] == [0, 1]
        assert reached.wait(PATIENCE)
        assert not passed.wait(0.1)


def test_a_station_that_hangs_is_named(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def hangs(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            yield item
            release.wait(PATIENCE)

    pipeline = Pipeline(itertools.count(), Station("camera", hangs), Station("fine", doubled), patience=0.05)
    with pipeline as items:
        assert next(items) == 0
    stuck, said = list(pipeline.stuck), caplog.text
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("streamderain-"):
            thread.join(PATIENCE)
    # The others may only have been slow; the one that hangs must be there.
    assert "camera" in stuck
    assert f"left behind, as still busy after the end: {', '.join(stuck)}" in said


def test_the_last_station_is_waited_for_beyond_all_patience() -> None:
    written = threading.Event()

    def writes(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            yield item
            written.wait(0.3)
            written.set()

    pipeline = Pipeline(itertools.count(), Station("fine", doubled), Station("writer", writes), patience=0.0)
    with pipeline as items:
        assert next(items) == 0
    assert written.is_set()
    assert "writer" not in pipeline.stuck


def test_a_pipeline_that_could_not_be_started_waits_for_no_station(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while its threads are started, and a camera that is away."""
    release = threading.Event()

    def away(items: Iterable[int]) -> Iterator[int]:
        release.wait()
        yield from items

    def interrupted(items: Iterable[int]) -> Iterator[int]:
        raise AssertionError("it was never started")

    def background(name: str, *arguments: Any) -> Background[int]:
        if name == "second":
            raise KeyboardInterrupt
        return Background(name, *arguments)

    monkeypatch.setattr("streamderain.stream.pipeline.Background", background)
    pipeline = Pipeline(range(3), Station("camera", away), Station("second", interrupted), patience=0.05)
    helper = threading.Timer(PATIENCE, release.set)
    helper.start()
    with pytest.raises(KeyboardInterrupt), pipeline:
        pass
    assert not release.is_set()
    assert pipeline.stuck == ["camera"]
    helper.cancel()
    release.set()
    for thread in threading.enumerate():
        if thread.name == "streamderain-camera":
            thread.join(PATIENCE)


def test_stats_are_kept_in_the_order_of_the_stations() -> None:
    pipeline = Pipeline(range(3), Station("a", doubled), Station("b", plus_one), patience=PATIENCE)
    with pipeline as items:
        list(items)
    assert [(stats.name, stats.items) for stats in pipeline.stats] == [("a", 3), ("b", 3)]
    pipeline.stats[0].working, pipeline.stats[1].working = 1.0, 2.0
    assert slowest(pipeline.stats).name == "b"


def test_a_foreign_error_names_its_station_once() -> None:
    stations = Station("a", lambda items: (1 // item for item in items)), Station("b", plus_one)
    with (
        pytest.raises(StationError, match=r"^a: ZeroDivisionError: [^:]*$"),
        Pipeline([1, 0], *stations, patience=PATIENCE) as items,
    ):
        list(items)


def test_a_pipeline_needs_a_station() -> None:
    with pytest.raises(ValueError, match="at least one station"):
        Pipeline([])
