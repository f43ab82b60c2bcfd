"""Derained frames -> every output, and the last one again, or a slate, while there are none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from streamderain.config import LiveConfig
from streamderain.frames import Frame, Restored, VideoInfo
from streamderain.live.numbers import OutputNumbers
from streamderain.live.outputs import Outputs
from streamderain.live.slate import USUAL, blank
from streamderain.media.live import LiveSource
from streamderain.media.note import noted
from streamderain.media.pixels import layout_of
from streamderain.quantities import size_of
from streamderain.stream.background import Background
from streamderain.stream.latency import LatencyMeter

AWAY_SECONDS = 1.0
"""Without a frame for this long, the last one is shown again, ..."""

FILL_SECONDS = 0.2
"""... and then again each time this has passed."""

SOUND_AHEAD_SECONDS = 0.1
"""How far sound goes before its picture, as libav keeps a picture back until it has seen sound behind it."""

DRAIN_SECONDS = 1.0
"""What is on its way is given to come out once the run is to end."""


class Publisher:
    """The last station: encodes each frame once and hands it to all outputs, each of which lives by itself.

    While there was no frame yet and the source is away, or the network is being prepared, a slate goes to the outputs
    that publish. It is as large as the config says, as the source's picture is or, where that is not known, as the
    `known` one was; outputs end and begin anew if the first frame is not like it, unless the config says its size.

    `sent` is called for each frame that went out. Into `latency` goes how old each was when it had been written by the
    first of those that publish, or of those that record where none does. A frame that `keeps` does not want is left
    out; `written` is told the arrival of each that was written. `name` is what the log calls it, and `happened` is
    told of outputs. `is_over` says that
    all outputs were let go.
    """

    def __init__(
        self,
        source: LiveSource,
        outputs: Sequence[str],
        config: LiveConfig,
        latency: LatencyMeter,
        sent: Callable[[Restored], None],
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        keeps: Callable[[Frame], bool] = lambda frame: True,
        written: Callable[[float], None] = lambda arrived: None,
        known: VideoInfo | None = None,
        happened: Callable[[str, str, str], None] = lambda kind, name, reason: None,
    ) -> None:
        self._source, self._latency, self._sent = source, latency, sent
        self._clock, self._keeps, self._known = clock, keeps, known
        self._slate = size_of(config.slate) if config.slate else None
        self._to = Outputs(outputs, config, latency, written, name, happened)
        self._last: Frame | None = None
        self._last_at = self._began_at = clock()
        self._has_begun = False
        self._ends_at: float | None = None
        self.filled = 0
        self.is_over = False

    def publish(self, pairs: Background[Restored]) -> Iterator[None]:
        """Write every pair's clean frame, until the pairs end or `stop` has waited long enough; a station that yields
        for each, and once a second while there are none.
        """
        patience, self._began_at = AWAY_SECONDS, self._clock()
        try:
            while True:
                try:
                    pair = pairs.get(patience if self._ends_at is None else min(patience, self._left()))
                except TimeoutError:
                    if self._ends_at is None:
                        patience = self._fill()
                    elif not self._left():
                        return
                    yield
                    continue
                except StopIteration:
                    return
                patience = AWAY_SECONDS
                if self._keeps(pair.clean):
                    self._publish(pair)
                    yield
        finally:
            try:
                self._to.close()
            finally:
                self.is_over = True

    def stop(self) -> None:
        """End soon, from any thread, whatever the source or the network is at: somebody else may wait for the
        outputs.
        """
        self._ends_at = self._clock() + DRAIN_SECONDS

    @property
    def outputs(self) -> tuple[OutputNumbers, ...]:
        """How each output does."""
        return self._to.numbers

    def _left(self) -> float:
        return 0.0 if self._ends_at is None else max(0.0, self._ends_at - self._clock())

    def _publish(self, pair: Restored) -> None:
        self._last, self._last_at = pair.clean, self._clock()
        if self._to.names:
            if not self._has_begun:
                self._begin()
            self._write(pair.clean)
        elif pair.clean.arrived is not None:
            self._latency.add(self._clock() - pair.clean.arrived, pair.clean.seconds)
        self._sent(pair)

    def _begin(self) -> None:
        """Open what is not, for good."""
        info, audio = self._source.info, self._source.audio_stream
        assert info
        if not self._to.is_open:
            self._to.begin(info, audio)
        elif not (self._to.fits_sound(audio) if self._slate else self._to.fits(layout_of(info), audio)):
            self._to.begin_again(self._slated(info), audio)
        self._to.open(self._to.names)
        self._has_begun = True

    def _write(self, frame: Frame) -> None:
        self._to.write(frame)
        # Sound waits for the picture that it belongs to.
        passengers, base = self._source.passengers, self._source.time_base
        until = (frame.pts * frame.time_base + SOUND_AHEAD_SECONDS) / base
        while passengers and (passengers[0].pts or 0) <= until:
            self._to.sound(passengers.popleft())

    def _fill(self) -> float:
        """Show the last frame once more; how long to wait for the next."""
        if not self._has_begun and not self._to.is_open:
            self._begin_with_slate()
        if self._last is None or not self._to.is_open:
            return AWAY_SECONDS
        words = "NO SIGNAL" if not self._source.connected else None if self._has_begun else "STARTING"
        frame = noted(self._last, words) if words else self._last
        # As late as the frames are, or those that are on their way would come too late for their places.
        pts = frame.pts + round((self._clock() - self._last_at) / frame.time_base)
        self._write(replace(frame, pts=pts, arrived=None))
        self.filled += self._has_begun
        return FILL_SECONDS

    def _begin_with_slate(self) -> None:
        source = self._source
        # A source that is being opened for the first time is given time.
        if not self._to.published or not (source.connected or source.is_away):
            return
        info = self._slated(source.info or self._known or USUAL)
        self._to.begin(info, source.audio_stream if source.connected else None)
        self._to.open(self._to.published)
        self._last, self._last_at = blank(layout_of(info), self._clock() - self._began_at), self._clock()

    def _slated(self, info: VideoInfo) -> VideoInfo:
        """`info` in the size that was asked for."""
        width, height = self._slate or (info.width, info.height)
        return replace(info, width=width, height=height)
