"""upload and download: the right pixels, also where copies happen as late as they may.

DeferredLane is a device that is as slow as CUDA allows: nothing is copied before somebody waits for the
event behind it. A buffer that is written or read too early then holds the wrong frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
import torch
from torch import Tensor

from streamderain.engine import lanes
from streamderain.engine.lanes import BUFFERS, BufferPool, CudaLane, Done, Lane, download, lane_on, upload
from streamderain.frames import Event, Frame, FrameBatch
from tests.stream.conftest import OTHER, SMALL, batches_of, frame, frames

JUNK = 255


class DeferredEvent:
    """Does all work that the lane was given before it, when it is waited for."""

    def __init__(self, lane: DeferredLane) -> None:
        self._lane, self._behind = lane, len(lane.given)

    def synchronize(self) -> None:
        while self._lane.finished < self._behind:
            self._lane.given[self._lane.finished]()
            self._lane.finished += 1


class DeferredLane(Lane):
    """A device that copies nothing until it must."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.given: list[Callable[[], object]] = []
        self.finished = 0
        self.buffers: list[Tensor] = []

    def mark(self) -> Event:
        return DeferredEvent(self)

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        self.buffers.append(torch.full(shape, JUNK, dtype=dtype))
        return self.buffers[-1]

    def to_device(self, buffer: Tensor) -> Tensor:
        arrived = torch.full_like(buffer, JUNK)
        self.given.append(lambda: arrived.copy_(buffer))
        return arrived

    def to_host(self, data: Tensor, buffer: Tensor) -> None:
        self.given.append(lambda: buffer.copy_(data))


class HastyPool(BufferPool):
    """The fault that these tests are there to find: it hands a buffer out while its copy is under way."""

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        self._lent = type(self._lent)((buffer, Done()) for buffer, _ in self._lent)
        return super().take(shape, dtype)


def groups_of(clip: list[Frame], size: int) -> Iterator[tuple[Frame, ...]]:
    return (tuple(clip[first : first + size]) for first in range(0, len(clip), size))


def arrived_late(clip: list[Frame], size: int) -> list[int]:
    """The number in each frame after an upload whose batches are looked at only when all are under way."""
    batches = list(upload(groups_of(clip, size), DeferredLane()))
    for batch in batches:
        batch.ready.synchronize()
    return [int(data.unique()) for batch in batches for data in batch.data]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_upload_to_a_slow_device_keeps_every_frame(size: int) -> None:
    assert arrived_late(frames(17), size) == list(range(17))


def test_a_pool_that_does_not_wait_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BufferPool", HastyPool)
    assert arrived_late(frames(17), 1) != list(range(17))


def test_upload_keeps_every_frame_when_the_layout_changes_again_and_again() -> None:
    clip = [frame(number, OTHER if number % 4 > 1 else SMALL) for number in range(20)]
    assert arrived_late(clip, 2) == list(range(20))


def test_upload_uses_few_buffers() -> None:
    lane = DeferredLane()
    list(upload(groups_of(frames(20), 2), lane))
    assert len(lane.buffers) == BUFFERS


def test_upload_says_that_a_batch_is_not_ready_before_its_copy() -> None:
    (batch,) = upload(groups_of(frames(2), 2), DeferredLane())
    assert (batch.data == JUNK).all()
    batch.ready.synchronize()
    assert batch.data[:, 0].tolist() == [0, 1]


def test_download_waits_for_its_copy_and_gives_frames_of_their_own() -> None:
    clip = frames(17)
    lane = DeferredLane()
    # All frames are held until the end, as an encoder may, while the buffers go round.
    pairs = list(download(batches_of(clip, 3), lane))
    assert [int(pair.clean.data.unique()) for pair in pairs] == list(range(17))
    assert [pair.rainy for pair in pairs] == clip
    assert len(lane.buffers) <= BUFFERS + 1


def test_download_keeps_time_and_layout() -> None:
    clip = [frame(number, OTHER) for number in (4, 9)]
    for pair in download(batches_of(clip, 2), Lane(torch.device("cpu"))):
        assert pair.clean.pts == pair.rainy.pts
        assert pair.clean.time_base == pair.rainy.time_base
        assert pair.clean.layout == OTHER


@pytest.mark.parametrize("bits", [8, 10])
def test_up_and_down_on_the_cpu_changes_nothing(bits: int) -> None:
    layout = type(SMALL)(4, 6, chroma="420", bits=bits)
    clip = [frame(number, layout) for number in range(7)]
    lane = lane_on(torch.device("cpu"))
    pairs = list(download(upload(groups_of(clip, 3), lane), lane))
    for before, pair in zip(clip, pairs, strict=True):
        assert pair.rainy is before
        assert pair.clean.data is not before.data
        torch.testing.assert_close(pair.clean.data, before.data, rtol=0, atol=0)


def test_batches_on_the_cpu_keep_their_pixels_while_buffers_go_round() -> None:
    batches = list(upload(groups_of(frames(17), 2), Lane(torch.device("cpu"))))
    assert [int(data.unique()) for batch in batches for data in batch.data] == list(range(17))


def test_writing_to_the_device_does_not_reach_back_to_the_frames() -> None:
    clip = frames(2)

    def blackened(batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
        for batch in batches:
            batch.data.fill_(77)
            yield batch

    lane = Lane(torch.device("cpu"))
    pairs = list(download(blackened(upload(groups_of(clip, 2), lane)), lane))
    assert [int(each.data[0]) for each in clip] == [0, 1]
    assert [int(pair.clean.data[0]) for pair in pairs] == [77, 77]


class Watched:
    """An event that remembers whether it was waited for."""

    def __init__(self) -> None:
        self.over = False

    def synchronize(self) -> None:
        self.over = True


def test_the_pool_hands_no_buffer_out_before_its_event() -> None:
    pool = BufferPool(Lane(torch.device("cpu")))
    lent: list[tuple[Tensor, Watched]] = []
    for turn in range(10):
        buffer = pool.take((2, 6), torch.uint8)
        for earlier, event in lent:
            assert event.over or earlier.data_ptr() != buffer.data_ptr(), f"too early in {turn = }"
        event = Watched()
        lent.append((buffer, event))
        pool.give(buffer, event)
    assert len({buffer.data_ptr() for buffer, _ in lent}) == BUFFERS


def test_the_pool_gives_the_shape_and_kind_that_was_asked_for() -> None:
    pool = BufferPool(Lane(torch.device("cpu")))
    for shape, dtype in [((1, 6), torch.uint8), ((2, 6), torch.uint8), ((2, 6), torch.int16)] * 3:
        buffer = pool.take(shape, dtype)
        assert (tuple(buffer.shape), buffer.dtype) == (shape, dtype)
        pool.give(buffer, Done())


def test_the_lane_fits_the_device() -> None:
    assert type(lane_on(torch.device("cpu"))) is Lane
    assert type(lane_on(torch.device("mps"))) is Lane
    assert issubclass(CudaLane, Lane)
