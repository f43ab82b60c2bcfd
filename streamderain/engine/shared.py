"""One network for many streams: what comes at about the same time goes through it together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeAlias

import torch
from torch import Tensor

from streamderain.engine.lanes import Done, lanes_on
from streamderain.errors import DeviceError
from streamderain.frames import Event, Network, takes_aligned

_Key: TypeAlias = tuple[torch.Size, torch.dtype, torch.device]


class _Request:
    """What one stream, the caller's thread, waits for. `key` is what requests of one batch have in common."""

    def __init__(self, windows: Tensor) -> None:
        self.caller = threading.get_ident()
        self.windows = windows
        self.key: _Key = (windows.shape[1:], windows.dtype, windows.device)
        self.ready = _mark_here(windows.device)
        self.answered = threading.Event()
        self.clean: Tensor | None = None
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self.windows)


class SharedNetwork:
    """Stands for `network` in many streams, each of which calls `restore` from a thread of its own.

    The oldest request goes first, and those of its shape that wait go with it, up to `most` windows together, and a
    power of two of them, as what backends prepare holds for one number. Whoever was answered last may come back for it
    until `within` seconds after the answer: streams that keep the network busy would take turns otherwise. An error
    reaches the callers whose windows cause it and no others.

    With `aside`, windows of a size that is new go through in their caller's thread: what a network prepares then, which
    can take half a minute, keeps nobody else waiting. The network must bear two threads at a time.

    On CUDA a request is read after all that its caller's stream was given before, and an answer is complete on the
    device when `restore` returns. That path has not run on a GPU yet.
    """

    def __init__(
        self,
        network: Network,
        most: int = 4,
        within: float = 0.01,
        aside: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if most < 1 or within < 0:
            raise ValueError(f"{most = }, {within = }; at least 1 window, and 0 seconds or more")
        self.device, self.past, self.future = network.device, network.past, network.future
        self.takes_aligned = takes_aligned(network)
        self.batches = self.windows = 0
        self._network, self._most, self._within, self._aside = network, most, within, aside
        self._clock = clock
        self._known: dict[_Key, threading.Lock | None] = {}
        self._lane = lanes_on(network.device).compute
        self._changed = threading.Condition()
        self._requests: list[_Request] = []
        # Who was answered last, of what shape, and until when each may come back.
        self._answered: set[tuple[int, _Key]] = set()
        self._until = clock()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="streamderain-network", daemon=True)
        self._worker.start()

    def restore(self, windows: Tensor) -> Tensor:
        """(N, past + 1 + future, 3, H, W) RGB in 0..1 -> (N, 3, H, W); waits for its turn.

        Raises what the network raised, and DeviceError after `close`.
        """
        request = _Request(windows)
        if self._aside and (answer := self._restored_aside(request)) is not None:
            return answer
        with self._changed:
            if self._closed:
                raise _closed()
            self._requests.append(request)
            self._changed.notify_all()
        request.answered.wait()
        if request.error is not None:
            raise request.error
        assert request.clean is not None
        if request.clean.is_cuda:
            # It was made in the lane's stream, which must not write there again before this one has read it.
            request.clean.record_stream(torch.cuda.current_stream(request.clean.device))
        return request.clean

    def _restored_aside(self, request: _Request) -> Tensor | None:
        """The answer, if it is the first of its kind; others of its kind wait until that is there."""
        learning = self._known.setdefault(request.key, threading.Lock())
        if learning is None:
            return None
        with learning:
            if self._known[request.key] is None or self._closed:
                return None
            clean = self._network.restore(request.windows)
            self._known[request.key] = None
            return clean

    def close(self, patience: float = 2.0) -> bool:
        """End after the batch that is in the network; who still waits, or comes later, gets a DeviceError. Whether the
        thread ended within `patience` seconds.
        """
        with self._changed:
            self._closed = True
            waiting, self._requests = self._requests, []
            self._changed.notify_all()
        for request in waiting:
            request.error = _closed()
            request.answered.set()
        self._worker.join(patience)
        return not self._worker.is_alive()

    @property
    def queued(self) -> int:
        """Requests that wait for their turn."""
        return len(self._requests)

    def _work(self) -> None:
        with torch.inference_mode(), self._lane.active():
            while group := self._next_group():
                self._answer(group)
                # Else the last batch of a stream that ended would be held for ever.
                del group

    def _next_group(self) -> list[_Request]:
        """The requests that go next, in the order they came; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closed)
            if self._closed:
                return []
            self._changed.wait_for(self._is_enough, max(0.0, self._until - self._clock()))
            group = self._group()
            del group[_whole_power(group) :]
            self._requests = [request for request in self._requests if request not in group]
            return group

    def _group(self) -> list[_Request]:
        """What would go if it went now."""
        group: list[_Request] = []
        for request in self._requests:
            if request.key != self._requests[0].key:
                continue
            if group and sum(map(len, group)) + len(request) > self._most:
                break
            group.append(request)
        return group

    def _is_enough(self) -> bool:
        if self._closed or sum(map(len, self._group())) >= self._most:
            return True
        came = {(request.caller, request.key) for request in self._requests}
        return all(key != self._requests[0].key for _, key in self._answered - came)

    def _answer(self, group: Sequence[_Request]) -> None:
        try:
            self._restore(group)
        except Exception as error:
            if len(group) > 1:
                # One of them may be to blame; each is tried alone.
                for request in group:
                    self._answer([request])
                return
            group[0].error = error
        with self._changed:
            self._answered = {(request.caller, request.key) for request in group}
            self._until = self._clock() + self._within
        for request in group:
            request.answered.set()

    def _restore(self, group: Sequence[_Request]) -> None:
        for request in group:
            self._lane.after(request.ready, request.windows)
        alone = len(group) == 1
        clean = self._network.restore(group[0].windows if alone else torch.cat([each.windows for each in group]))
        parts = torch.split(clean, [len(request) for request in group])
        # Copies, as views would hold the frames of all for as long as one of them is held.
        answers = parts if alone else tuple(part.clone() for part in parts)
        self._lane.mark().synchronize()
        for request, answer in zip(group, answers, strict=True):
            request.clean = answer
        self.batches += 1
        self.windows += len(clean)


def _whole_power(group: Sequence[_Request]) -> int:
    """How many requests from the first on make the largest power of two windows, or 1 where none do."""
    totals = accumulate(map(len, group))
    return max((count for count, total in enumerate(totals, 1) if not total & (total - 1)), default=1)


def _mark_here(device: torch.device) -> Event:
    """An event behind everything that this thread's current stream was given."""
    if device.type != "cuda":
        return Done()
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def _closed() -> DeviceError:
    return DeviceError("the shared network is closed; start a new one")
