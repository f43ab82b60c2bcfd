"""Gives each frame its neighbours in time, without decoding or uploading any frame twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from streamderain.errors import StreamderainError
from streamderain.frames import Frame, FrameBatch, PixelLayout

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Around(Generic[T]):
    """Something of a frame, `present`, between that of its neighbours, in order of time; fewer where a scene ends."""

    before: tuple[T, ...]
    present: T
    after: tuple[T, ...]


class Neighbourhood(Generic[T]):
    """Holds what comes of each frame back until its neighbours are there, up to `past` before and `future` after it.

    No neighbour is of another scene, and none repeats another or the frame itself: a camera that sends each picture
    twice has its rain twice, too.
    """

    def __init__(self, past: int, future: int) -> None:
        self.past, self.future = past, future
        self._scene: Hashable = None
        self._begin()

    def _begin(self) -> None:
        self._number = -1
        # What was first of its kind, by number, and what waits for its future, with the number of its kind.
        self._firsts: deque[tuple[int, T]] = deque()
        self._waiting: deque[tuple[int, T]] = deque()

    def push(self, item: T, scene: Hashable, repeats: bool = False) -> list[Around[T]]:
        """Take what comes of the next frame, its scene, and whether it repeats the frame before; return what is
        complete now, in order.
        """
        done = self.end() if scene != self._scene else []
        self._scene = scene
        if not (repeats and self._firsts):
            self._number += 1
            self._firsts.append((self._number, item))
        self._waiting.append((self._number, item))
        return done + self._complete(self._number - self.future)

    def end(self) -> list[Around[T]]:
        """Return what still waits: no further frame of this scene comes."""
        done = self._complete(self._number)
        self._begin()
        return done

    def _complete(self, newest: int) -> list[Around[T]]:
        done = []
        while self._waiting and self._waiting[0][0] <= newest:
            number, item = self._waiting.popleft()
            while self._firsts[0][0] < number - self.past:
                self._firsts.popleft()
            before = tuple(first for each, first in self._firsts if each < number)
            after = tuple(first for each, first in self._firsts if number < each <= number + self.future)
            done.append(Around(before, item, after))
        return done


@dataclass(frozen=True, eq=False)
class Windows:
    """N frames whose neighbours are all at hand.

    `data`: (N, layout.samples), as it came. `rows`: for each frame what was seen of it and its neighbours, in order of
    time, past + 1 + future of them.
    """

    frames: tuple[Frame, ...]
    data: Tensor
    rows: list[list[Any]]

    @property
    def layout(self) -> PixelLayout:
        """The layout that all frames share."""
        return self.frames[0].layout

    def present(self, past: int) -> list[Any]:
        """What was seen of the frames themselves, which have `past` before them."""
        return [row[past] for row in self.rows]


@dataclass(frozen=True, eq=False)
class _Seen:
    frame: Frame
    data: Tensor
    seen: Any


def windows(
    batches: Iterable[FrameBatch],
    past: int,
    future: int,
    see: Callable[[FrameBatch], Iterable[Any]],
    reach: tuple[int, int] | None = None,
    most: int | None = None,
) -> Iterator[Windows]:
    """Batches -> windows of `past` + 1 + `future` pictures, each frame once and in order, at most `most` together.

    `see` makes something of each frame of a batch, once; it is referred to, not copied. `reach` says how many
    neighbours before and after a frame are really waited for, by default all. Missing ones, there and where a scene
    begins or ends, are the nearest once more.
    """
    neighbourhood: Neighbourhood[_Seen] = Neighbourhood(*(reach or (past, future)))
    try:
        for batch in batches:
            done = []
            for frame, data, seen in zip(batch.frames, batch.data, see(batch), strict=True):
                done += neighbourhood.push(_Seen(frame, data, seen), (frame.scene, frame.layout), frame.repeats)
            yield from _together(done, past, future, most)
    except StreamderainError:
        # What came before a source broke is not lost with it.
        yield from _together(neighbourhood.end(), past, future, most)
        raise
    yield from _together(neighbourhood.end(), past, future, most)


def _together(done: list[Around[_Seen]], past: int, future: int, most: int | None) -> Iterator[Windows]:
    """What is complete, as few Windows of one layout each as hold it, with at most `most` frames."""
    for _, group in groupby(done, key=lambda around: around.present.frame.layout):
        arounds = list(group)
        step = most or len(arounds)
        for first in range(0, len(arounds), step):
            some = arounds[first : first + step]
            yield Windows(
                tuple(around.present.frame for around in some),
                torch.stack([around.present.data for around in some]),
                [_filled(around, past, future) for around in some],
            )


def _filled(around: Around[_Seen], past: int, future: int) -> list[Any]:
    """A row of a window, with the nearest once more for frames that there are not."""
    before, after = list(around.before), list(around.after)
    row = [*before, around.present, *after]
    row = [row[0]] * (past - len(before)) + row + [row[-1]] * (future - len(after))
    return [each.seen for each in row]
