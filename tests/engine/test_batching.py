"""batch: groups by count, layout and deadline, and never a frame lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from streamderain.engine.batching import batch
from streamderain.frames import Frame
from streamderain.stream.background import Background
from tests.stream.conftest import OTHER, PATIENCE, SMALL, frames


def numbers(groups: Iterator[tuple[Frame, ...]]) -> list[list[int]]:
    return [[frame.pts for frame in group] for group in groups]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [[0], [1], [2], [3], [4]]), (2, [[0, 1], [2, 3], [4]]), (5, [[0, 1, 2, 3, 4]]), (9, [[0, 1, 2, 3, 4]])],
)
def test_groups_hold_count_frames_and_the_last_what_is_left(count: int, expected: list[list[int]]) -> None:
    assert numbers(batch(frames(5), count)) == expected


def test_no_frames_make_no_groups() -> None:
    assert numbers(batch([], 3)) == []


def test_another_layout_begins_another_group() -> None:
    clip = [*frames(3, SMALL), *frames(2, OTHER, first=3), *frames(1, SMALL, first=5)]
    groups = list(batch(clip, 4))
    assert numbers(iter(groups)) == [[0, 1, 2], [3, 4], [5]]
    assert all(frame.layout == group[0].layout for group in groups for frame in group)


def test_a_group_leaves_at_its_deadline_and_the_rest_follows() -> None:
    go_on = threading.Event()

    def camera() -> Iterator[Frame]:
        yield from frames(2)
        go_on.wait(PATIENCE)
        yield from frames(3, first=2)

    source = Background("decode", camera)
    groups = batch(source, 4, within=0.05)
    early = [frame.pts for frame in next(groups)]
    while early[-1] != 1:  # on a busy machine the first may have left alone
        early += [frame.pts for frame in next(groups)]
    # The camera stands still until here, so only the deadline can have sent them.
    go_on.set()
    late = [frame.pts for group in groups for frame in group]
    assert early + late == [0, 1, 2, 3, 4]
    assert source.join(PATIENCE)


def test_without_a_deadline_it_waits_until_the_group_is_full() -> None:
    go_on = threading.Event()

    def camera() -> Iterator[Frame]:
        yield from frames(2)
        go_on.wait(0.1)
        yield from frames(2, first=2)

    source = Background("decode", camera)
    assert numbers(batch(source, 4)) == [[0, 1, 2, 3]]
    assert source.join(PATIENCE)


def test_a_plain_iterator_is_not_asked_with_a_deadline() -> None:
    assert numbers(batch(iter(frames(3)), 2, within=0.0)) == [[0, 1], [2]]


def test_a_timeout_of_the_source_itself_is_an_error_and_no_deadline() -> None:
    def camera() -> Iterator[Frame]:
        yield from frames(1)
        raise TimeoutError("the camera is silent")

    with pytest.raises(TimeoutError, match="silent"):
        list(batch(camera(), 3, within=1.0))


def test_a_batch_holds_at_least_one_frame() -> None:
    with pytest.raises(ValueError, match="count = 0"):
        list(batch([], 0))
