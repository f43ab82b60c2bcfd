"""Gives each frame its neighbours in time, without decoding or uploading any frame twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

from streamderain.engine.record import Batch, Record
from streamderain.errors import StreamderainError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Around(Generic[T]):
    """Something of a frame, `present`, between that of its neighbours, in order of time; fewer where a scene ends."""

    before: tuple[T, ...]
    present: T
    after: tuple[T, ...]

    def row(self, past: int, future: int) -> list[T]:
        """A window of `past` + 1 + `future`, in order of time; the nearest stand for those that there are not."""
        row = [*self.before, self.present, *self.after]
        return [row[0]] * (past - len(self.before)) + row + [row[-1]] * (future - len(self.after))


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


def windows(
    batches: Iterable[Batch], reach: tuple[int, int], most: int, see: Callable[[Batch], None]
) -> Iterator[list[Around[Record]]]:
    """Each frame once, in order, between its neighbours: up to `most` of one layout together.

    `reach` is how many neighbours before and after a frame are waited for. Each batch is shown to `see` when it comes.
    """
    neighbourhood: Neighbourhood[Record] = Neighbourhood(*reach)
    try:
        for batch in batches:
            see(batch)
            done = []
            for record in batch:
                done += neighbourhood.push(record, record.scene, record.frame.repeats)
            yield from _together(done, most)
    except StreamderainError:
        # What came before a source broke is not lost with it.
        yield from _together(neighbourhood.end(), most)
        raise
    yield from _together(neighbourhood.end(), most)


def _together(done: list[Around[Record]], most: int) -> Iterator[list[Around[Record]]]:
    """What is complete, in as few lists of one layout each as hold it, with at most `most` frames."""
    for _, group in groupby(done, key=lambda around: around.present.frame.layout):
        alike = list(group)
        for first in range(0, len(alike), most):
            yield alike[first : first + most]
