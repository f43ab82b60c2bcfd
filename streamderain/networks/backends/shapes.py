"""What a backend prepares for each shape, kept for the latest ones."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

SHAPES = 4
"""Shapes that stay prepared, as each holds the memory of a whole pass, ..."""

BUSY_USES, BUSY_SECONDS = 50, 60.0
"""... and beyond them those that came so often, the last time so lately: streams that go on."""

Run = Callable[[Tensor], Tensor]


class _Prepared:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.uses, self.used_at = 0, 0.0


class PerShape:
    """Runs on tensors of any shape what `prepare` made of the first tensor of that shape. Two threads may do so at a
    time with shapes of their own.
    """

    def __init__(self, prepare: Callable[[Tensor], Run], clock: Callable[[], float] = time.monotonic) -> None:
        self._prepare, self._clock = prepare, clock
        # The one that was used last stands last.
        self._runs: dict[tuple[int, ...], _Prepared] = {}

    def __call__(self, stacked: Tensor) -> Tensor:
        """What the run for this shape answers."""
        shape = tuple(stacked.shape)
        prepared = self._runs.pop(shape, None) or _Prepared(self._prepare(stacked))
        prepared.uses, prepared.used_at = prepared.uses + 1, self._clock()
        self._runs[shape] = prepared
        self._make_room()
        return prepared.run(stacked)

    def __len__(self) -> int:
        return len(self._runs)

    def _make_room(self) -> None:
        since = self._clock() - BUSY_SECONDS
        for shape, prepared in list(self._runs.items())[:-SHAPES]:
            if prepared.uses < BUSY_USES or prepared.used_at < since:
                self._runs.pop(shape, None)
