"""Derained frames -> every output, and the last one again while the source is away."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from streamderain.config import LiveConfig, seconds
from streamderain.errors import ConfigError
from streamderain.frames import Frame, Restored
from streamderain.live.numbers import OutputNumbers
from streamderain.media.broadcast import Broadcast, Chunk
from streamderain.media.encoder import Encoding, available
from streamderain.media.live import Backoff, LiveSource
from streamderain.media.note import noted
from streamderain.media.outlet import Outlet, is_recording
from streamderain.media.url import public
from streamderain.stream.background import Background
from streamderain.stream.latency import LatencyMeter
from streamderain.stream.watched import Watched

logger = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""Without a frame for this long, the last one is shown again, ..."""

FILL_SECONDS = 0.2
"""... and then again each time this has passed."""

SOUND_AHEAD_SECONDS = 0.1
"""How far sound goes before its picture, as libav keeps a picture back until it has seen sound behind it."""

DRAIN_SECONDS = 1.0
"""What is on its way is given to come out once the run is to end, ..."""

CLOSE_SECONDS = 1.5
"""... and then all outputs together to end."""


class Publisher:
    """The last station: encodes each frame once and hands it to all outputs, each of which lives by itself.

    `sent` is called for each frame that went out. Into `latency` goes how old each was when it had been written by the
    first of those that publish, or of those that record where none does. A frame that `keeps` does not want is left
    out; `written` is told the arrival of each that was written. `name` is what the log calls it. `is_over` says that
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
    ) -> None:
        self._source, self._config, self._latency, self._sent = source, config, latency, sent
        self._names = list(outputs)
        self._timed = [name for name in outputs if not is_recording(name)] or self._names
        self._segment = seconds(config.segment) if config.segment else None
        if self._segment and not any(is_recording(name) for name in outputs):
            raise ConfigError(f"segment is {config.segment}, but no output is a file; name one, such as rain.mkv")
        self._broadcast: Broadcast | None = None
        self._outlets: list[Watched[Chunk]] = []
        self._clock, self._name, self._keeps, self._written = clock, name, keeps, written
        self._last: Frame | None = None
        self._last_at = 0.0
        self._ends_at: float | None = None
        self.filled = 0
        self.is_over = False

    def publish(self, pairs: Background[Restored]) -> Iterator[None]:
        """Write every pair's clean frame, until the pairs end or `stop` has waited long enough; a station that yields
        for each, and once a second while there are none.
        """
        patience = AWAY_SECONDS
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
                if not self._keeps(pair.clean):
                    continue
                self._last, self._last_at = pair.clean, self._clock()
                if self._names:
                    self._write(pair.clean)
                elif pair.clean.arrived is not None:
                    self._latency.add(self._clock() - pair.clean.arrived, pair.clean.seconds)
                self._sent(pair)
                yield
        finally:
            try:
                self._close()
            finally:
                self.is_over = True

    def stop(self) -> None:
        """End soon, from any thread, whatever the source or the network is at: somebody else may wait for the
        outputs.
        """
        self._ends_at = self._clock() + DRAIN_SECONDS

    def _left(self) -> float:
        return 0.0 if self._ends_at is None else max(0.0, self._ends_at - self._clock())

    @property
    def outputs(self) -> tuple[OutputNumbers, ...]:
        """How each output does."""
        return tuple(
            OutputNumbers(
                public(name), outlet.connected, outlet.queued, outlet.written, outlet.dropped, outlet.reopened
            )
            for name, outlet in zip(self._names, self._outlets, strict=False)
        )

    def _write(self, frame: Frame) -> None:
        if self._broadcast is None:
            self._begin()
        assert self._broadcast
        self._broadcast.write(frame)
        # Sound waits for the picture that it belongs to.
        passengers, base = self._source.passengers, self._source.time_base
        until = (frame.pts * frame.time_base + SOUND_AHEAD_SECONDS) / base
        while passengers and (passengers[0].pts or 0) <= until:
            self._broadcast.sound(passengers.popleft())

    def _fill(self) -> float:
        """Show the last frame once more; how long to wait for the next."""
        if self._last is None or not self._names:
            return AWAY_SECONDS
        frame = self._last if self._source.connected else noted(self._last, "NO SIGNAL")
        # As late as the frames are, or those that are on their way would come too late for their places.
        pts = frame.pts + round((self._clock() - self._last_at) / frame.time_base)
        self._write(replace(frame, pts=pts, arrived=None))
        self.filled += 1
        return FILL_SECONDS

    def _begin(self) -> None:
        config, info = self._config, self._source.info
        assert info
        encoding = Encoding(config.encoder, config.crf, config.preset, config.encoder_option)
        encoding = available(encoding, config.hwaccel)
        self._broadcast = Broadcast(info, encoding, self._source.audio_stream, self._hand_out)
        if config.overwrite and not self._segment:
            for recording in filter(is_recording, self._names):
                Path(recording).unlink(missing_ok=True)
        self._outlets = [self._watched(number, name) for number, name in enumerate(self._names)]

    def _watched(self, number: int, name: str) -> Watched[Chunk]:
        assert self._broadcast
        shown, random_source, backoff = public(name), random.Random(), Backoff()
        segment = self._segment if is_recording(name) else None
        label = f"{self._name}: {shown}" if self._name else shown
        opened = partial(Outlet, name, self._broadcast.streams, segment_seconds=segment, label=label)
        return Watched(
            f"output-{number + 1}",
            (lambda: _Timed(opened(), self._latency, self._written)) if name in self._timed else opened,
            starts_at=lambda chunk: chunk.is_key,
            # A viewer wants the newest, a recording all of it.
            latest=not is_recording(name),
            frozen_after=self._config.frozen_after,
            delays=lambda attempt: backoff.delay(attempt, random_source),
            report=lambda kind, detail: self._report(label, kind, detail.removeprefix(shown).strip()),
        )

    def _report(self, label: str, kind: str, detail: str) -> None:
        level = logging.INFO if kind == "opened" else logging.WARNING
        logger.log(level, "%s: %s%s", label, kind, f", {detail}" if detail else "")
        if kind == "opened" and self._broadcast:
            # Else whoever watches would wait for the next one.
            self._broadcast.ask_keyframe()

    def _hand_out(self, chunk: Chunk) -> None:
        for outlet in self._outlets:
            outlet.put(chunk)

    def _close(self) -> None:
        # From the last to the first, and all of them whichever fails: an encoder may refuse at its end too.
        with ExitStack() as ends:
            for outlet in self._outlets:
                ends.callback(outlet.close)
            for outlet in self._outlets:
                ends.callback(outlet.finish, CLOSE_SECONDS)
            if self._broadcast:
                ends.callback(self._broadcast.close)


class _Timed:
    """An outlet that books how old each frame is when it has been written."""

    def __init__(self, outlet: Outlet, latency: LatencyMeter, written: Callable[[float], None]) -> None:
        self._outlet, self._latency, self._written = outlet, latency, written

    def write(self, chunk: Chunk) -> None:
        self._outlet.write(chunk)
        if chunk.arrived is not None:
            self._latency.add(time.monotonic() - chunk.arrived, chunk.seconds)
            self._written(chunk.arrived)

    def close(self) -> None:
        self._outlet.close()
