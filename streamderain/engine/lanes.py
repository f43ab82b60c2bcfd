"""Copies between host and device that overlap with the network: page-locked memory, streams, events.

Upload, compute and download each have a lane, a CUDA stream that is made once for each device, so that the next batch
travels up and the last one down while the network works. An event marks each border. On other devices a lane does its
work at once and the same stations run unchanged. What is page-locked comes from torch's pool, which hands memory out
again only after the copies that were given it are over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from streamderain.engine.record import Batch, Record
from streamderain.frames import Event, Frame, Restored


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

    def to_device(self, rows: Sequence[Tensor]) -> Tensor:
        """A copy of N host tensors of one shape on the device, (N, ...)."""
        return torch.stack(list(rows)).to(self.device)

    def to_host(self, data: Tensor) -> Tensor:
        """`data` in host memory, which may be read after `mark`."""
        return data.to("cpu")


class CudaLane(Lane):
    """A CUDA stream; copies from and to page-locked memory do not block the host."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def active(self) -> AbstractContextManager[object]:
        """See Lane; makes its device the current one, too."""
        context: AbstractContextManager[object] = torch.cuda.stream(self._stream)
        return context

    def after(self, ready: Event, *data: Tensor) -> None:
        """See Lane. Tells the allocator, too, that this stream uses the data."""
        if isinstance(ready, torch.cuda.Event):
            self._stream.wait_event(ready)
        for each in data:
            each.record_stream(self._stream)

    def mark(self) -> Event:
        """See Lane; who waits for it sleeps."""
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event

    def to_device(self, rows: Sequence[Tensor]) -> Tensor:
        """See Lane."""
        host = torch.empty((len(rows), *rows[0].shape), dtype=rows[0].dtype, pin_memory=True)
        torch.stack(list(rows), out=host)
        return host.to(self.device, non_blocking=True)

    def to_host(self, data: Tensor) -> Tensor:
        """See Lane."""
        host = torch.empty(data.shape, dtype=data.dtype, pin_memory=True)
        return host.copy_(data, non_blocking=True)


class Lanes(NamedTuple):
    """The three of one device."""

    upload: Lane
    compute: Lane
    download: Lane


def lanes_on(device: torch.device) -> Lanes:
    """The lanes of `device`, always the same: torch has 32 streams to give, and hands them out again after that."""
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return _lanes_on(device)


@cache
def _lanes_on(device: torch.device) -> Lanes:
    kind = CudaLane if device.type == "cuda" else Lane
    return Lanes(kind(device), kind(device), kind(device))


def upload(groups: Iterable[Sequence[Frame]], lane: Lane) -> Iterator[Batch]:
    """Groups of frames of one layout -> batches on the lane's device, each frame copied up once."""
    for frames in groups:
        with lane.active():
            data = lane.to_device([frame.data for frame in frames])
            copied = lane.mark()
        yield [Record(frame, row, copied) for frame, row in zip(frames, data, strict=True)]


def download(batches: Iterable[Batch], lane: Lane) -> Iterator[Restored]:
    """Derained batches -> single frames on the host, each beside the rainy one it came from."""
    for batch in batches:
        for record in batch:
            with lane.active():
                lane.after(record.ready, record.data)
                data = lane.to_host(record.data)
                copied = lane.mark()
            copied.synchronize()
            yield Restored(record.frame, replace(record.frame, data=data), record.effort)
