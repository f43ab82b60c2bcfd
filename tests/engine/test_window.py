"""windows: every frame once, in order, between the right neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from streamderain.engine.window import Neighbourhood, Windows, windows
from streamderain.frames import Frame, FrameBatch
from tests.stream.conftest import OTHER, SMALL, batches_of, frame, frames


def picture(batch: FrameBatch) -> Tensor:
    """(N, 1) with each frame's number plus a half, so that pictures and data cannot be mixed up."""
    return batch.data[:, :1].float() + 0.5


def neighbours(done: list[Windows], past: int, future: int) -> list[list[float]]:
    """Of every frame in turn, the numbers that stand in its window."""
    assert all(len(row) == past + 1 + future for window in done for row in window.rows)
    return [[float(seen) - 0.5 for seen in row] for window in done for row in window.rows]


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
        done = list(windows(batches_of(clip, size), past, future, picture))
        assert [frame for window in done for frame in window.frames] == clip
        assert torch.cat([window.data for window in done]).tolist() == [frame.data.tolist() for frame in clip]
        assert neighbours(done, past, future) == expected(length, past, future), f"{size = }, {length = }"


@pytest.mark.parametrize(("past", "future"), [(0, 0), (1, 1), (2, 0), (0, 2), (2, 2)])
def test_a_change_of_layout_ends_one_clip_and_begins_another(past: int, future: int) -> None:
    wide, tall = frames(4, SMALL), frames(3, OTHER, first=10)
    done = list(windows(batches_of(wide, 3) + batches_of(tall, 2), past, future, picture))
    assert [frame for window in done for frame in window.frames] == wide + tall
    assert neighbours(done, past, future) == expected(4, past, future) + expected(3, past, future, first=10)
    assert {window.layout for window in done} == {SMALL, OTHER}


def test_the_picture_of_a_batch_is_made_once() -> None:
    asked: list[int] = []

    def counted(batch: FrameBatch) -> Tensor:
        asked.extend(frame.pts for frame in batch.frames)
        return picture(batch)

    list(windows(batches_of(frames(7), 2), 2, 2, counted))
    assert asked == list(range(7))


def test_a_frame_leaves_as_soon_as_its_future_is_there() -> None:
    feed = iter(batches_of(frames(6), 1))
    taken = []

    def source() -> Iterator[FrameBatch]:
        for batch in feed:
            taken.append(batch.frames[0].pts)
            yield batch

    done = windows(source(), 1, 2, picture)
    assert next(done).frames[0].pts == 0
    assert taken == [0, 1, 2]


def test_nothing_comes_of_nothing() -> None:
    assert list(windows([], 1, 1, picture)) == []


def marked(marks: str) -> list[Frame]:
    """Frames of one scene after another: `.` goes on, `|` begins a scene, `=` repeats the frame before."""
    scene, clip = 0, []
    for number, mark in enumerate(marks):
        scene += mark == "|"
        clip.append(replace(frame(number), scene=scene, repeats=mark == "="))
    return clip


@pytest.mark.parametrize("size", [1, 3, 8])
def test_no_frame_of_another_scene_enters(size: int) -> None:
    done = list(windows(batches_of(marked("..|...|."), size), 2, 2, picture))
    expected_rows = [*expected(2, 2, 2), *expected(4, 2, 2, first=2), *expected(2, 2, 2, first=6)]
    assert neighbours(done, 2, 2) == expected_rows
    assert [each.pts for window in done for each in window.frames] == list(range(8))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_repeated_frames_are_nobodys_neighbours(size: int) -> None:
    done = list(windows(batches_of(marked(".=.=.=.="), size), 1, 1, picture))
    assert neighbours(done, 1, 1) == [
        [0, 0, 2], [1, 1, 2], [0, 2, 4], [0, 3, 4], [2, 4, 6], [2, 5, 6], [4, 6, 6], [4, 7, 7]
    ]  # fmt: skip


def test_a_scene_may_begin_with_what_looks_repeated() -> None:
    done = list(windows(batches_of(marked("=.."), 1), 1, 1, picture))
    assert neighbours(done, 1, 1) == expected(3, 1, 1)


@pytest.mark.parametrize(
    ("reach", "rows"),
    [
        ((2, 0), [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 2, 2, 2], [1, 2, 3, 3, 3]]),
        ((0, 0), [[0] * 5, [1] * 5, [2] * 5, [3] * 5]),
    ],
)
def test_beyond_its_reach_a_window_holds_copies(reach: tuple[int, int], rows: list[list[int]]) -> None:
    assert neighbours(list(windows(batches_of(frames(4), 2), 2, 2, picture, reach)), 2, 2) == rows


def test_without_a_future_no_frame_waits() -> None:
    feed, taken = iter(batches_of(frames(4), 1)), []

    def source() -> Iterator[FrameBatch]:
        for batch in feed:
            taken.append(batch.frames[0].pts)
            yield batch

    done = windows(source(), 2, 2, picture, (2, 0))
    assert next(done).frames[0].pts == 0
    assert taken == [0]


def test_a_neighbourhood_keeps_no_more_than_it_needs() -> None:
    neighbourhood: Neighbourhood[int] = Neighbourhood(2, 2)
    held = [len(neighbourhood._firsts) for number in range(100) if neighbourhood.push(number, 0) or True]
    assert max(held) <= 5
