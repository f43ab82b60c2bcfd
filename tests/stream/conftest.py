"""Frames whose number can be read off their pixels, and threads that no test leaves waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import pytest
import torch

from streamderain.engine.lanes import Done
from streamderain.engine.record import Batch, Record
from streamderain.frames import Frame, PixelLayout

SMALL = PixelLayout(2, 3, chroma="gray")
OTHER = PixelLayout(3, 2, chroma="gray")
PATIENCE = 30.0
"""Seconds that a test waits for what must happen; only a hang makes it wait that long."""


def frame(number: int, layout: PixelLayout = SMALL) -> Frame:
    """A frame that is `number` in every pixel and in its time."""
    dtype = torch.uint8 if layout.bits == 8 else torch.int16
    return Frame(torch.full((layout.samples,), number, dtype=dtype), layout, number, Fraction(1, 25))


def frames(count: int, layout: PixelLayout = SMALL, first: int = 0) -> list[Frame]:
    return [frame(number, layout) for number in range(first, first + count)]


def batches_of(clip: Sequence[Frame], size: int) -> list[Batch]:
    """The clip in batches of `size`, the last one perhaps smaller."""
    records = [Record(each, each.data, Done()) for each in clip]
    return [records[first : first + size] for first in range(0, len(records), size)]


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    """Runs a function in a thread of its own, which must have ended when the test does."""
    started: list[threading.Thread] = []

    def start(function: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=function, name="streamderain-test", daemon=True)
        started.append(thread)
        thread.start()
        return thread

    yield start
    for thread in started:
        thread.join(PATIENCE)
