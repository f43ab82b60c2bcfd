"""Copies between host and device that overlap with the network: pinned buffers, streams, events.

Upload, compute and download each have a lane, a CUDA stream of its own, so that the next batch
travels up and the last one down while the network works. An event marks each border. On other devices a
lane does its work at once and the same stations run unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from streamderain.frames import Event, Frame, FrameBatch, Restored

BUFFERS = 3
"""Host buffers of each lane: one being filled, one in the copy, one in reserve."""


class Done:
    """The event of work that was over before anybody could ask."""

    def synchronize(self) -> None:
        """Return at once."""


class Lane:
    """Work in order on a device that has no streams of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def active(self) -> AbstractContextManager[object]:
        """A context whose device work goes into this lane."""
        return nullcontext()

    def after(self, ready: Event, *data: Tensor) -> None:
        """Let further work in this lane begin once `data`, which it uses, is `ready`."""

    def mark(self) -> Event:
        """An event behind everything that this lane was given so far."""
        return Done()

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Host memory that this lane can copy from and to."""
        return torch.empty(shape, dtype=dtype)

    def to_device(self, buffer: Tensor) -> Tensor:
        """A copy of `buffer` on the device; `buffer` may be written again after `mark`."""
        return buffer.to(self.device, copy=True)

    def to_host(self, data: Tensor, buffer: Tensor) -> None:
        """Copy `data` into `buffer`, which may be read after `mark`."""
        buffer.copy_(data)


class CudaLane(Lane):
    """A CUDA stream; copies from and to pinned memory do not block the host."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def active(self) -> AbstractContextManager[object]:
        """See Lane."""
        context: AbstractContextManager[object] = torch.cuda.stream(self._stream)
        return context

    def after(self, ready: Event, *data: Tensor) -> None:
        """See Lane. Tells the allocator, too, that this stream uses the data."""
        if isinstance(ready, torch.cuda.Event):
            self._stream.wait_event(ready)
        for each in data:
            each.record_stream(self._stream)

    def mark(self) -> Event:
        """See Lane."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """See Lane; page-locked, which is what lets a copy run beside other work."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def to_device(self, buffer: Tensor) -> Tensor:
        """See Lane."""
        return buffer.to(self.device, non_blocking=True)

    def to_host(self, data: Tensor, buffer: Tensor) -> None:
        """See Lane."""
        buffer.copy_(data, non_blocking=True)


def lane_on(device: torch.device) -> Lane:
    """A new lane of the right kind for `device`."""
    return CudaLane(device) if device.type == "cuda" else Lane(device)


class BufferPool:
    """Up to `BUFFERS` host buffers that go round; one is handed out again only after its copy's event."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._lent: deque[tuple[Tensor, Event]] = deque()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A buffer that nothing reads or writes any more; a change of shape or dtype makes a new one."""
        if len(self._lent) < BUFFERS:
            return self._lane.host_buffer(shape, dtype)
        buffer, copied = self._lent.popleft()
        copied.synchronize()
        if buffer.shape == shape and buffer.dtype == dtype:
            return buffer
        return self._lane.host_buffer(shape, dtype)

    def give(self, buffer: Tensor, copied: Event) -> None:
        """Return `buffer`, which is in use until `copied`."""
        self._lent.append((buffer, copied))


def upload(groups: Iterable[tuple[Frame, ...]], lane: Lane) -> Iterator[FrameBatch]:
    """Groups of frames of one layout -> batches on the lane's device, each frame copied up once."""
    pool = BufferPool(lane)
    for frames in groups:
        first = frames[0].data
        buffer = pool.take((len(frames), len(first)), first.dtype)
        torch.stack([frame.data for frame in frames], out=buffer)
        with lane.active():
            data = lane.to_device(buffer)
            copied = lane.mark()
        pool.give(buffer, copied)
        yield FrameBatch(frames, data, copied)


def download(batches: Iterable[FrameBatch], lane: Lane) -> Iterator[Restored]:
    """Derained batches -> single frames on the host, each beside the rainy one it came from."""
    pool = BufferPool(lane)
    for batch in batches:
        buffer = pool.take(tuple(batch.data.shape), batch.data.dtype)
        with lane.active():
            lane.after(batch.ready, batch.data)
            lane.to_host(batch.data, buffer)
            copied = lane.mark()
        copied.synchronize()
        # Cloned, because the buffer goes round again while the encoder still holds the frames.
        data = buffer.clone()
        pool.give(buffer, copied)
        for rainy, clean in zip(batch.frames, data.unbind(0), strict=True):
            yield Restored(rainy, replace(rainy, data=clean))
