"""upload and download: the right pixels, also where copies happen as late as they may.

DeferredLane is a device that is as slow as CUDA allows: nothing is copied before somebody waits for the
event behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from streamderain.engine.lanes import CudaLane, Lane, download, lanes_on, upload
from streamderain.engine.record import Batch
from streamderain.frames import Event, Frame
from tests.stream.conftest import OTHER, SMALL, batches_of, frame, frames

JUNK = 255
CPU = torch.device("cpu")


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
        super().__init__(CPU)
        self.given: list[Callable[[], object]] = []
        self.finished = 0

    def mark(self) -> Event:
        return DeferredEvent(self)

    def to_device(self, rows: Sequence[Tensor]) -> Tensor:
        host = torch.stack(list(rows))
        arrived = torch.full_like(host, JUNK)
        self.given.append(lambda: arrived.copy_(host))
        return arrived

    def to_host(self, data: Tensor) -> Tensor:
        arrived = torch.full_like(data, JUNK)
        self.given.append(lambda: arrived.copy_(data))
        return arrived


def groups_of(clip: list[Frame], size: int) -> Iterator[Sequence[Frame]]:
    return (clip[first : first + size] for first in range(0, len(clip), size))


def arrived_late(clip: list[Frame], size: int) -> list[int]:
    """The number in each frame after an upload whose batches are looked at only when all are under way."""
    batches = list(upload(groups_of(clip, size), DeferredLane()))
    for batch in batches:
        batch[0].ready.synchronize()
    return [int(record.data.unique()) for batch in batches for record in batch]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_upload_to_a_slow_device_keeps_every_frame(size: int) -> None:
    assert arrived_late(frames(17), size) == list(range(17))


def test_upload_keeps_every_frame_when_the_layout_changes_again_and_again() -> None:
    clip = [frame(number, OTHER if number % 4 > 1 else SMALL) for number in range(20)]
    assert arrived_late(clip, 2) == list(range(20))


def test_upload_says_that_a_batch_is_not_ready_before_its_copy() -> None:
    (batch,) = upload(groups_of(frames(2), 2), DeferredLane())
    assert all((record.data == JUNK).all() for record in batch)
    batch[0].ready.synchronize()
    assert [int(record.data[0]) for record in batch] == [0, 1]


def test_download_waits_for_its_copy_and_gives_frames_of_their_own() -> None:
    clip = frames(17)
    # All frames are held until the end, as an encoder may.
    pairs = list(download(batches_of(clip, 3), DeferredLane()))
    assert [int(pair.clean.data.unique()) for pair in pairs] == list(range(17))
    assert [pair.rainy for pair in pairs] == clip


def test_download_keeps_time_and_layout() -> None:
    clip = [frame(number, OTHER) for number in (4, 9)]
    for pair in download(batches_of(clip, 2), Lane(CPU)):
        assert pair.clean.pts == pair.rainy.pts
        assert pair.clean.time_base == pair.rainy.time_base
        assert pair.clean.layout == OTHER


@pytest.mark.parametrize("bits", [8, 10])
def test_up_and_down_on_the_cpu_changes_nothing(bits: int) -> None:
    layout = type(SMALL)(4, 6, chroma="420", bits=bits)
    clip = [frame(number, layout) for number in range(7)]
    lane = Lane(CPU)
    pairs = list(download(upload(groups_of(clip, 3), lane), lane))
    for before, pair in zip(clip, pairs, strict=True):
        assert pair.rainy is before
        assert pair.clean.data is not before.data
        torch.testing.assert_close(pair.clean.data, before.data, rtol=0, atol=0)


def test_writing_to_the_device_does_not_reach_back_to_the_frames() -> None:
    clip = frames(2)

    def blackened(batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            for record in batch:
                record.data.fill_(77)
            yield batch

    lane = Lane(CPU)
    pairs = list(download(blackened(upload(groups_of(clip, 2), lane)), lane))
    assert [int(each.data[0]) for each in clip] == [0, 1]
    assert [int(pair.clean.data[0]) for pair in pairs] == [77, 77]


def test_the_lanes_fit_the_device_and_are_made_once() -> None:
    for device in (CPU, torch.device("mps")):
        lanes = lanes_on(device)
        assert {type(lane) for lane in lanes} == {Lane}
        assert len(set(map(id, lanes))) == 3
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lanes_on, device).result() is lanes
    assert issubclass(CudaLane, Lane)
