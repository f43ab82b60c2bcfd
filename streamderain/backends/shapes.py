"""What a backend prepares for each shape, kept for the latest ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import TypeAlias

import torch
from torch import Tensor

SHAPES = 4
"""Shapes that stay prepared, as each holds the memory of a whole pass, ..."""

BUSY_USES, BUSY_SECONDS = 50, 60.0
"""... and beyond them those that came so often, the last time so lately: streams that go on."""

Run = Callable[[Tensor], Tensor]


_Key: TypeAlias = tuple[Hashable, torch.dtype]


class _Prepared:
    """A run, once it is there, and the lock that whoever is in it holds: it has memory for one."""

    def __init__(self) -> None:
        self.run: Future[Run] = Future()
        self.busy = threading.Lock()
        self.uses, self.used_at = 0, 0.0


class PerShape:
    """Runs on tensors of any shape and dtype what `prepare` made of the first such tensor.

    Threads with shapes of their own run side by side. Those of one shape take turns, as two videos of nearly equal size
    come to: padded, they are equal.
    """

    def __init__(self, prepare: Callable[[Tensor], Run], clock: Callable[[], float] = time.monotonic) -> None:
        self._prepare, self._clock = prepare, clock
        self._changing = threading.Lock()
        # The one that was used last stands last.
        self._runs: dict[_Key, _Prepared] = {}

    def __call__(self, stacked: Tensor, shape: Hashable = None) -> Tensor:
        """What the run for this shape answers, or that for `shape`, where it stands for several. Raises what `prepare`
        raised, and then tries anew the next time.
        """
        key = (shape or stacked.shape, stacked.dtype)
        prepared, is_new = self._taken(key)
        if is_new:
            self._fill(key, prepared, stacked)
        run = prepared.run.result()
        with prepared.busy:
            return run(stacked)

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, key: object) -> bool:
        return key in self._runs

    def _taken(self, key: _Key) -> tuple[_Prepared, bool]:
        """What is there for `key`, as the latest, and whether the caller is the first who wants it."""
        with self._changing:
            known = self._runs.pop(key, None)
            prepared = known or _Prepared()
            prepared.uses, prepared.used_at = prepared.uses + 1, self._clock()
            self._runs[key] = prepared
            self._make_room()
            return prepared, known is None

    def _fill(self, key: _Key, prepared: _Prepared, example: Tensor) -> None:
        # Outside the lock, as it may take half a minute, which other shapes need not wait for.
        try:
            prepared.run.set_result(self._prepare(example))
        except BaseException as error:
            with self._changing:
                if self._runs.get(key) is prepared:
                    del self._runs[key]
            prepared.run.set_exception(error)
            raise

    def _make_room(self) -> None:
        since = self._clock() - BUSY_SECONDS
        for key, prepared in list(self._runs.items())[:-SHAPES]:
            if prepared.uses < BUSY_USES or prepared.used_at < since:
                del self._runs[key]
