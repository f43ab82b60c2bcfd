"""PerShape: what is prepared for a shape stays while it is needed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from streamderain.backends.shapes import BUSY_SECONDS, BUSY_USES, SHAPES, PerShape, Run


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


def test_threads_of_one_shape_prepare_it_once_and_take_turns_in_it() -> None:
    prepared: list[torch.Size] = []
    first_inside, second_inside = threading.Event(), threading.Event()

    def prepare(stacked: Tensor) -> Run:
        prepared.append(stacked.shape)

        def run(given: Tensor) -> Tensor:
            if not first_inside.is_set():
                first_inside.set()
                assert not second_inside.wait(0.2), "two in one pass"
            else:
                second_inside.set()
            return given

        return run

    passes = PerShape(prepare)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(passes, torch.zeros(1, 3))
        assert first_inside.wait(30)
        second = pool.submit(passes, torch.ones(1, 3))
        assert float(first.result().mean()) == 0
        assert float(second.result().mean()) == 1
    assert len(prepared) == 1


def test_a_shape_is_not_kept_waiting_by_another() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def prepare(stacked: Tensor) -> Run:
        def run(given: Tensor) -> Tensor:
            if given.shape[-1] == 1:
                inside.set()
                assert go_on.wait(30)
            return given

        return run

    passes = PerShape(prepare)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(passes, torch.zeros(1, 1))
        try:
            assert inside.wait(30)
            assert passes(torch.zeros(1, 2)).shape == (1, 2)
        finally:
            go_on.set()
        assert slow.result().shape == (1, 1)


def test_bytes_and_numbers_of_one_shape_are_prepared_apart() -> None:
    dtypes: list[torch.dtype] = []

    def prepare(stacked: Tensor) -> Run:
        dtypes.append(stacked.dtype)
        return lambda given: given

    passes = PerShape(prepare)
    for dtype in (torch.float32, torch.uint8, torch.float32):
        assert passes(torch.zeros(1, 2, dtype=dtype)).dtype == dtype
    assert dtypes == [torch.float32, torch.uint8]


def test_what_could_not_be_prepared_is_tried_again() -> None:
    tries: list[int] = []

    def prepare(stacked: Tensor) -> Run:
        tries.append(len(tries))
        if len(tries) == 1:
            raise MemoryError("not now")
        return lambda given: given

    passes = PerShape(prepare)
    with pytest.raises(MemoryError, match="not now"):
        passes(torch.zeros(1, 2))
    assert len(passes) == 0
    assert passes(torch.zeros(1, 2)).shape == (1, 2)
