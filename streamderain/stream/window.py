"""Gives each frame its neighbours in time, without decoding or uploading any frame twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from streamderain.frames import Frame, FrameBatch, PixelLayout


@dataclass(frozen=True, eq=False)
class Windows:
    """N frames whose neighbours are all at hand.

    `data`: (N, layout.samples), as it came. `pictures`: (past + N + future, ...), what was made of each
    frame; the window of frame i is pictures[i : i + past + 1 + future].
    """

    frames: tuple[Frame, ...]
    data: Tensor
    pictures: Tensor

    @property
    def layout(self) -> PixelLayout:
        """The layout that all frames share."""
        return self.frames[0].layout


def windows(
    batches: Iterable[FrameBatch], past: int, future: int, picture: Callable[[FrameBatch], Tensor]
) -> Iterator[Windows]:
    """Batches -> windows, `future` frames behind, each frame once and in order.

    `picture` makes (N, ...) of a batch, once for each. Before the first frame and after the last, and at
    a change of layout, the missing neighbours are copies of the nearest frame.
    """
    waiting: _Waiting | None = None
    for batch in batches:
        if waiting and waiting.layout != batch.layout:
            yield from waiting.last()
            waiting = None
        pictures = picture(batch)
        if waiting is None:
            waiting = _Waiting(past, future, batch.layout, pictures[:1])
        yield from waiting.add(batch, pictures)
    if waiting:
        yield from waiting.last()


class _Waiting:
    """The frames whose future is still to come, and the pictures that their windows reach back to."""

    def __init__(self, past: int, future: int, layout: PixelLayout, first: Tensor) -> None:
        self.past, self.future, self.layout = past, future, layout
        self._frames: tuple[Frame, ...] = ()
        self._data: list[Tensor] = []
        self._pictures = _repeat(first, past)

    def add(self, batch: FrameBatch, pictures: Tensor) -> Iterator[Windows]:
        self._frames += tuple(batch.frames)
        self._data += batch.data.unbind(0)
        self._pictures = torch.cat((self._pictures, pictures))
        yield from self._complete()

    def last(self) -> Iterator[Windows]:
        self._pictures = torch.cat((self._pictures, _repeat(self._pictures[-1:], self.future)))
        yield from self._complete()

    def _complete(self) -> Iterator[Windows]:
        count = len(self._pictures) - self.past - self.future
        if count < 1:
            return
        done = Windows(self._frames[:count], torch.stack(self._data[:count]), self._pictures)
        self._frames, self._data = self._frames[count:], self._data[count:]
        self._pictures = self._pictures[count:]
        yield done


def _repeat(picture: Tensor, times: int) -> Tensor:
    return picture.expand(times, *picture.shape[1:])
