"""A publisher beside what it is told of its source, with no thread but those of its outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from streamderain.config import LiveConfig
from streamderain.frames import Frame, Restored, VideoInfo
from streamderain.live.publisher import Publisher
from streamderain.stream.latency import LatencyMeter
from tests.media.receivers import CLOCK, INFO
from tests.waiting import wait_until


@dataclass
class StubSource:
    """A source of 25 frames a second without sound, as the publisher sees it."""

    info: VideoInfo | None = INFO
    time_base: Fraction = CLOCK
    connected: bool = True
    is_away: bool = False
    audio_stream: None = None
    passengers: deque[Any] = field(default_factory=deque)


class Pairs:
    """What comes from the stations: a frame, or None for a wait in vain, which a function of its seconds is told."""

    def __init__(self, script: Iterable[Frame | None], waited: Callable[[float], None] = lambda seconds: None) -> None:
        self._script, self._waited = iter(script), waited

    def get(self, timeout: float) -> Restored:
        frame = next(self._script)
        if frame is None:
            self._waited(timeout)
            raise TimeoutError
        return Restored(frame, frame)


def publisher(*outputs: str, source: StubSource | None = None, config: LiveConfig | None = None, **options: Any,
              ) -> Publisher:  # fmt: skip
    """A publisher to `outputs`."""
    fake: Any = source or StubSource()
    return Publisher(fake, outputs, config or LiveConfig(), LatencyMeter(), lambda pair: None, **options)


def published(which: Publisher, script: Iterable[Frame | None], waited: Callable[[float], None] = lambda seconds: None,
              ) -> None:  # fmt: skip
    """Run all of the script through it, no faster than its outputs take it."""
    pairs: Any = Pairs(script, waited)
    for _ in which.publish(pairs):
        wait_until(lambda: not any(outlet.queued for outlet in which._to._outlets.values()))
