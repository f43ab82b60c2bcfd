"""The frames of a source, stretch by stretch; each stretch among the frames beside it that an engine needs.

What an engine makes of a stretch depends on its frames and the few beside them alone, and not on what it saw before: so
a stretch comes out the same in one run, behind a crash, or on another machine. Frames are decoded once, however many
stretches need them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from streamderain.errors import SourceError, TruncatedError
from streamderain.frames import Frame, Restored
from streamderain.media.ahead import Ahead
from streamderain.media.cut import go_on
from streamderain.media.decoder import decode
from streamderain.media.source import Source


class Feed:
    """Frames of `source` from where it is on: stretch after stretch, with up to `lead` frames before each. `begin` is
    the time of the first, in units of the source's time base, which is its beginning where that is None, and `after`
    that of the frame before.

    A source that cannot be read any further ends the stretch that it is in; `error` says why.
    """

    def __init__(self, source: Source, lead: int, begin: int | None = None, after: int | None = None) -> None:
        self.source = source
        self.error: SourceError | None = None
        self.past: deque[Frame] = deque(maxlen=lead)
        self.coming: Ahead[Frame] = Ahead(())
        try:
            before = 0 if begin is None else go_on(source, begin, lead, after)
        except TruncatedError as error:  # right behind the last part that could be made
            self.error = error
            return
        self.coming = Ahead(decode(source))
        for _, frame in zip(range(before), self.coming, strict=False):
            self.past.append(frame)

    def upcoming(self) -> Frame | None:
        """The frame with which the next stretch will begin; None at the end."""
        frame = next(self.coming.look(1), None)
        if frame is None and self.error is None:
            self._raise_what_came()
        return frame

    def _raise_what_came(self) -> None:
        try:
            next(iter(self.coming), None)
        except SourceError as error:
            self.error = error

    def trailing(self, most: int) -> Iterator[Frame]:
        """What is behind the frames that were taken, without taking it."""
        return self.coming.look(most)


class Stretch:
    """The next frames of a feed: `most` of them, or those before the time `end`, in units of the source's time base,
    whichever is less. `lasts` is how long the last of them is shown, as that, once it has been met; `behind` are the
    derained frames behind it, once all are shown.
    """

    def __init__(self, feed: Feed, most: int | None = None, end: int | None = None) -> None:
        self._feed, self._most, self._end = feed, most, end
        self._begin: int | None = None
        self._last = 0
        self._next: int | None = None
        self.behind: list[Frame] = []

    def frames(self, trail: int) -> Iterator[Frame]:
        """The frames, and those beside them, up to `trail` of them behind."""
        yield from tuple(self._feed.past)
        try:
            yield from self._own()
        except SourceError as error:
            self._feed.error = error
        yield from self._feed.trailing(trail)

    def _own(self) -> Iterator[Frame]:
        for number, frame in enumerate(self._feed.coming, 1):
            self._feed.past.append(frame)
            self._begin, self._last = frame.pts if self._begin is None else self._begin, frame.pts
            after = next(self._feed.coming.look(1), None)
            if after and (number == self._most or (self._end is not None and after.pts >= self._end)):
                self._next = after.pts
            yield frame
            if self._next is not None:
                return

    def shown(self, pairs: Iterable[Restored]) -> Iterator[Restored]:
        """Of all pairs those of the stretch itself; as a station."""
        for pair in pairs:
            pts = pair.rainy.pts
            if self._next is not None and pts >= self._next:
                self.behind.append(pair.clean)
            elif self._begin is not None and pts >= self._begin:
                yield pair

    @property
    def lasts(self) -> int:
        """See above."""
        return self._feed.source.last_duration if self._next is None else self._next - self._last
