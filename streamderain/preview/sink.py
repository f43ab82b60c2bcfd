"""Where a stream leaves its newest pair of pictures, and where viewers wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from streamderain.preview.jpeg import Pixels, alone, beside, jpeg, single


class Gone(Exception):
    """The stream is no longer shown."""


class Picture:
    """A pair of pictures, made ready to send once, however many watch. Belongs to the loop's thread."""

    def __init__(self, number: int, rainy: Tensor, clean: Tensor) -> None:
        self.number = number
        self._pair = rainy, clean
        self._pixels: asyncio.Task[Pixels] | None = None
        self._jpeg: asyncio.Task[bytes] | None = None
        self._clean: asyncio.Task[Pixels] | None = None

    async def pixels(self) -> Pixels:
        """The double-wide picture, (h, 2w, 3) uint8 in RGB."""
        if self._pixels is None:
            self._pixels = asyncio.ensure_future(asyncio.to_thread(beside, *self._pair))
        return await asyncio.shield(self._pixels)  # a viewer who leaves takes it from nobody else

    async def clean(self) -> Pixels:
        """The derained picture alone, (h, w, 3) uint8 in RGB."""
        if self._clean is None:
            self._clean = asyncio.ensure_future(asyncio.to_thread(single, self._pair[1]))
        return await asyncio.shield(self._clean)

    async def jpeg(self) -> bytes:
        """The double-wide picture as a JPEG file."""
        if self._jpeg is None:
            self._jpeg = asyncio.ensure_future(self._encode())
        return await asyncio.shield(self._jpeg)

    async def alone(self, rainy: bool, width: int | None) -> bytes:
        """One of the two as a JPEG file, in full or at most so wide."""
        picture = self._pair[0 if rainy else 1]
        return await asyncio.to_thread(lambda: jpeg(alone(picture, width)))

    async def _encode(self) -> bytes:
        return await asyncio.to_thread(jpeg, await self.pixels())


class Preview:
    """The sink of one stream. `show` and `watched` may be used in any thread, the rest in the page's own.
    `since` is when the first of those who watch came.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._newest: tuple[Tensor, Tensor] | None = None
        self._picture: Picture | None = None
        self._awake = True
        self._gone = False
        self._waiting: set[asyncio.Future[None]] = set()
        self.viewers = 0
        self.since = 0.0

    @property
    def watched(self) -> bool:
        """Whether anybody looks; while nobody does, pictures need not even be made."""
        return self.viewers > 0

    def show(self, rainy: Tensor, clean: Tensor) -> None:
        """Leave a pair of (3, H, W) uint8 RGB pictures on the host, which must not change any more.

        Never waits, keeps only the newest, and does nothing while nobody watches. Raises ValueError for other shapes.
        """
        if not self.watched or self._gone:
            return
        if rainy.ndim != 3 or rainy.shape[0] != 3 or rainy.shape != clean.shape or min(rainy.shape[1:]) < 2:
            raise ValueError(f"pictures are {tuple(rainy.shape)} and {tuple(clean.shape)}; both must be (3, H, W)")
        self._newest = rainy, clean
        # One call at a time waits in the loop, however busy it is.
        if self._awake:
            self._awake = False
            self._call(self._arrived)

    def close(self) -> None:
        """Nothing is shown any more; who waits for a picture meets Gone."""
        self._gone = True
        self._call(self._wake)

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Counts as watching inside."""
        if not self.viewers:
            self.since = time.monotonic()
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1
            if not self.viewers:
                self._newest = self._picture = None

    async def after(self, number: int) -> Picture:
        """The newest picture as soon as its number is above `number`. Raises Gone."""
        while not self._gone:
            if self._picture and self._picture.number > number:
                return self._picture
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        raise Gone

    def _arrived(self) -> None:
        self._awake = True
        pair, self._newest = self._newest, None
        if pair and self.watched:
            number = self._picture.number + 1 if self._picture else 1
            self._picture = Picture(number, *pair)
            self._wake()

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            self._gone = True  # the page has closed
