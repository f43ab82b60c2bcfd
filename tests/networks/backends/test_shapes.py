"""PerShape: what is prepared for a shape stays while it is needed."""

from __future__ import annotations

import torch
from torch import Tensor

from streamderain.networks.backends.shapes import BUSY_SECONDS, BUSY_USES, SHAPES, PerShape, Run


class Backend:
    """Counts what it prepares; a pass adds the width."""

    def __init__(self) -> None:
        self.prepared: list[int] = []
        self.now = 0.0
        self.passes = PerShape(self.prepare, lambda: self.now)

    def prepare(self, stacked: Tensor) -> Run:
        width = stacked.shape[-1]
        self.prepared.append(width)
        return lambda other: other + width

    def run(self, width: int, times: int = 1) -> None:
        for _ in range(times):
            assert torch.equal(self.passes(torch.zeros(1, width)), torch.full((1, width), float(width)))


def test_each_shape_is_prepared_once_and_the_latest_are_kept() -> None:
    backend = Backend()
    for width in (1, 2, 1, 3, 4, 5, 1):
        backend.run(width)
    assert backend.prepared == [1, 2, 3, 4, 5]
    assert len(backend.passes) == SHAPES
    backend.run(2)
    assert backend.prepared[-1] == 2


def test_shapes_of_streams_that_go_on_all_stay() -> None:
    backend = Backend()
    streams = range(1, 2 * SHAPES)
    # A new stream comes while the others go on.
    for newest in streams:
        backend.run(newest, BUSY_USES)
    for width in streams:
        backend.run(width)
    assert backend.prepared == list(streams)


def test_shapes_of_streams_that_ended_go() -> None:
    backend = Backend()
    for width in range(1, 2 * SHAPES):
        backend.run(width, BUSY_USES)
    backend.now += 2 * BUSY_SECONDS
    backend.run(99)
    assert len(backend.passes) == SHAPES
