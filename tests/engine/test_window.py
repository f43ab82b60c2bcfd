"""windows: every frame once, in order, between the right neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from streamderain.engine.record import Batch, Record
from streamderain.engine.window import Around, Neighbourhood, windows
from streamderain.frames import Frame
from tests.stream.conftest import OTHER, SMALL, batches_of, frame, frames


def see(batch: Batch) -> None:
    """Remember each frame's number plus a half, so that what was seen and data cannot be mixed up."""
    for record in batch:
        record.seen = float(record.data[0]) + 0.5


def through(
    batches: Iterable[Batch], past: int, future: int, reach: tuple[int, int] | None = None
) -> list[list[Around[Record]]]:
    done = list(windows(batches, reach or (past, future), 100, see))
    assert all(around.present.frame.layout == group[0].present.frame.layout for group in done for around in group)
    return done


def neighbours(done: list[list[Around[Record]]], past: int, future: int) -> list[list[float]]:
    """Of every frame in turn, the numbers that stand in its window."""
    rows = [around.row(past, future) for group in done for around in group]
    assert all(len(row) == past + 1 + future for row in rows)
    return [[record.seen - 0.5 for record in row] for row in rows]


def clip_of(done: list[list[Around[Record]]]) -> list[Frame]:
    return [around.present.frame for group in done for around in group]


def expected(length: int, past: int, future: int, first: int = 0) -> list[list[float]]:
    """A plain reading of the definition: what is missing is a copy of the nearest frame."""
    last = first + length - 1
    return [
        [float(min(max(number + offset, first), last)) for offset in range(-past, future + 1)]
        for number in range(first, first + length)
    ]


@pytest.mark.parametrize(("past", "future"), list(itertools.product(range(3), range(3))))
def test_every_frame_comes_once_between_its_neighbours(past: int, future: int) -> None:
    for size, length in itertools.product(range(1, 6), range(1, 8)):
        clip = frames(length)
        done = through(batches_of(clip, size), past, future)
        assert clip_of(done) == clip
        assert neighbours(done, past, future) == expected(length, past, future), f"{size = }, {length = }"


@pytest.mark.parametrize(("past", "future"), [(0, 0), (1, 1), (2, 0), (0, 2), (2, 2)])
def test_a_change_of_layout_ends_one_clip_and_begins_another(past: int, future: int) -> None:
    wide, tall = frames(4, SMALL), frames(3, OTHER, first=10)
    done = through(batches_of(wide, 3) + batches_of(tall, 2), past, future)
    assert clip_of(done) == wide + tall
    assert neighbours(done, past, future) == expected(4, past, future) + expected(3, past, future, first=10)


def test_each_batch_is_seen_once() -> None:
    asked: list[int] = []
    list(windows(batches_of(frames(7), 2), (2, 2), 4, lambda batch: asked.extend(each.frame.pts for each in batch)))
    assert asked == list(range(7))


def test_no_more_frames_go_together_than_are_allowed() -> None:
    done = list(windows(batches_of(frames(9), 9), (1, 1), 4, see))
    assert [len(group) for group in done] == [4, 4, 1]


@pytest.mark.parametrize(("past", "future"), [(1, 2), (2, 0)])
def test_a_frame_leaves_as_soon_as_its_future_is_there(past: int, future: int) -> None:
    taken = []

    def source() -> Iterator[Batch]:
        for batch in batches_of(frames(6), 1):
            taken.append(batch[0].frame.pts)
            yield batch

    done = windows(source(), (past, future), 1, see)
    assert clip_of([next(done)])[0].pts == 0
    assert taken == list(range(future + 1))


def test_nothing_comes_of_nothing() -> None:
    assert through([], 1, 1) == []


def marked(marks: str) -> list[Frame]:
    """Frames of one scene after another: `.` goes on, `|` begins a scene, `=` repeats the frame before."""
    scene, clip = 0, []
    for number, mark in enumerate(marks):
        scene += mark == "|"
        clip.append(replace(frame(number), scene=scene, repeats=mark == "="))
    return clip


@pytest.mark.parametrize("size", [1, 3, 8])
def test_no_frame_of_another_scene_enters(size: int) -> None:
    done = through(batches_of(marked("..|...|."), size), 2, 2)
    expected_rows = [*expected(2, 2, 2), *expected(4, 2, 2, first=2), *expected(2, 2, 2, first=6)]
    assert neighbours(done, 2, 2) == expected_rows
    assert [each.pts for each in clip_of(done)] == list(range(8))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_repeated_frames_are_nobodys_neighbours(size: int) -> None:
    done = through(batches_of(marked(".=.=.=.="), size), 1, 1)
    assert neighbours(done, 1, 1) == [
        [0, 0, 2], [1, 1, 2], [0, 2, 4], [0, 3, 4], [2, 4, 6], [2, 5, 6], [4, 6, 6], [4, 7, 7]
    ]  # fmt: skip


def test_a_scene_may_begin_with_what_looks_repeated() -> None:
    done = through(batches_of(marked("=.."), 1), 1, 1)
    assert neighbours(done, 1, 1) == expected(3, 1, 1)


@pytest.mark.parametrize(
    ("reach", "rows"),
    [
        ((2, 0), [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 2, 2, 2], [1, 2, 3, 3, 3]]),
        ((0, 0), [[0] * 5, [1] * 5, [2] * 5, [3] * 5]),
    ],
)
def test_beyond_its_reach_a_window_holds_copies(reach: tuple[int, int], rows: list[list[int]]) -> None:
    assert neighbours(through(batches_of(frames(4), 2), 2, 2, reach), 2, 2) == rows


def test_a_neighbourhood_keeps_no_more_than_it_needs() -> None:
    neighbourhood: Neighbourhood[int] = Neighbourhood(2, 2)
    held = [len(neighbourhood._firsts) for number in range(100) if neighbourhood.push(number, 0) or True]
    assert max(held) <= 5
