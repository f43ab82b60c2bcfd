"""Frames -> groups of frames that share a layout, by count, deadline and equal size."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from streamderain.frames import Frame
from streamderain.stream.background import Background


def batch(frames: Iterable[Frame], count: int, within: float | None = None) -> Iterator[tuple[Frame, ...]]:
    """Groups of up to `count` consecutive frames of one layout.

    A group goes out when it is full, when the next frame has another layout, when the frames end, or
    `within` seconds after its first frame came, where `frames` is a Background and so can be asked with
    a deadline. Without `within` it waits for as long as it takes.
    """
    if count < 1:
        raise ValueError(f"{count = }; a batch holds at least 1 frame")
    iterator = iter(frames)
    group: list[Frame] = []
    deadline: float | None = None
    while True:
        try:
            frame = _next(iterator, deadline)
        except StopIteration:
            break
        if frame is None:
            yield tuple(group)
            group, deadline = [], None
            continue
        if group and frame.layout != group[0].layout:
            yield tuple(group)
            group = []
        if not group:
            deadline = None if within is None else time.monotonic() + within
        group.append(frame)
        if len(group) == count:
            yield tuple(group)
            group, deadline = [], None
    if group:
        yield tuple(group)


def _next(iterator: Iterator[Frame], deadline: float | None) -> Frame | None:
    """The next frame, or None when it does not come before the deadline."""
    # Only here does TimeoutError mean a late frame: from a plain iterator it is the source's own failure.
    if deadline is None or not isinstance(iterator, Background):
        return next(iterator)
    try:
        frame: Frame = iterator.get(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return None
    return frame
