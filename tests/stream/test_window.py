"""windows: every frame once, in order, between the right neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from streamderain.frames import FrameBatch
from streamderain.stream.window import Windows, windows

from .conftest import OTHER, SMALL, batches_of, frames


def picture(batch: FrameBatch) -> Tensor:
    """(N, 1) with each frame's number plus a half, so that pictures and data cannot be mixed up."""
    return batch.data[:, :1].float() + 0.5


def neighbours(done: list[Windows], past: int, future: int) -> list[list[float]]:
    """Of every frame in turn, the numbers that stand in its window."""
    return [
        (window.pictures[place : place + past + 1 + future, 0] - 0.5).tolist()
        for window in done
        for place in range(len(window.frames))
    ]


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
        for window in done:
            assert len(window.pictures) == past + len(window.frames) + future


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
