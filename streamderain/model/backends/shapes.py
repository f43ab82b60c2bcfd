"""What a backend prepares for each shape, kept for the latest ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

SHAPES = 4
"""Shapes that stay prepared, as each holds the memory of a whole pass."""

Run = Callable[[Tensor], Tensor]


class PerShape:
    """Runs on tensors of any shape what `prepare` made of the first tensor of that shape."""

    def __init__(self, prepare: Callable[[Tensor], Run]) -> None:
        self._prepare = prepare
        self._runs: OrderedDict[tuple[int, ...], Run] = OrderedDict()

    def __call__(self, stacked: Tensor) -> Tensor:
        """What the run for this shape answers."""
        shape = tuple(stacked.shape)
        if shape not in self._runs:
            self._runs[shape] = self._prepare(stacked)
            while len(self._runs) > SHAPES:
                self._runs.popitem(last=False)
        self._runs.move_to_end(shape)
        return self._runs[shape](stacked)

    def __len__(self) -> int:
        return len(self._runs)
