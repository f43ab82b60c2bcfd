"""All outputs of a run: what is encoded once for them, and each in a life of its own."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from streamderain.config import LiveConfig
from streamderain.errors import ConfigError
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.live.keeping import Keeper
from streamderain.live.numbers import OutputNumbers
from streamderain.media.broadcast import Broadcast, Chunk
from streamderain.media.connection import AudioPacket
from streamderain.media.encoder import encoding_of
from streamderain.media.live import Backoff
from streamderain.media.outlet import Outlet, is_recording
from streamderain.media.pulse import Pulse, connections
from streamderain.media.url import port_of, public, redacted
from streamderain.quantities import seconds
from streamderain.stream.latency import LatencyMeter
from streamderain.stream.watched import Watched

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 1.5
"""What all outputs together are given to end."""


class Outputs:
    """The outputs called `names`. Into `latency` goes how old each frame was when it had been written by the first of
    those that publish, or of those that record where none does, and `written` is told its arrival. `label` is what the
    log calls the run, and `happened` is told the kind, the output as it may be shown, and why.
    """

    def __init__(
        self,
        names: Sequence[str],
        config: LiveConfig,
        latency: LatencyMeter,
        written: Callable[[float], None],
        label: str,
        happened: Callable[[str, str, str], None] = lambda kind, name, reason: None,
    ) -> None:
        self.names = list(names)
        self._timed = self.published or self.names
        self._config, self._latency, self._written, self._label = config, latency, written, label
        self._happened = happened
        self._segment = seconds(config.segment) if config.segment else None
        if self._segment and len(self.published) == len(self.names):
            raise ConfigError(f"segment is {config.segment}, but no output is a file; name one, such as rain.mkv")
        self._broadcast: Broadcast | None = None
        self._outlets: dict[str, Watched[Chunk]] = {}
        self._reasons: dict[str, str] = {}

    @property
    def published(self) -> list[str]:
        """The names of those that do not record."""
        return [name for name in self.names if not is_recording(name)]

    @property
    def is_open(self) -> bool:
        """Whether anything can be written."""
        return self._broadcast is not None

    def fits(self, layout: PixelLayout, audio: Any) -> bool:
        """Whether frames of that layout and sound like `audio`, a source's, can be written as they are."""
        assert self._broadcast
        return self._broadcast.layout == layout and self.fits_sound(audio)

    def fits_sound(self, audio: Any) -> bool:
        """Whether sound like `audio` can be written."""
        assert self._broadcast
        return audio is None or self._broadcast.streams.audio is not None

    def begin(self, info: VideoInfo, audio: Any) -> None:
        """Get ready to write pictures and sound like these. Raises SinkError for what the encoder does not know."""
        self._broadcast = Broadcast(info, encoding_of(self._config), audio, self._hand_out)

    def open(self, names: Sequence[str]) -> None:
        """Open those of these outputs that are not; they begin with the next frame."""
        assert self._broadcast
        self._broadcast.ask_keyframe()
        for name in names:
            if name in self._outlets:
                continue
            if is_recording(name) and self._config.overwrite and not self._segment:
                Path(name).unlink(missing_ok=True)
            self._outlets[name] = self._watched(name)

    def write(self, frame: Frame) -> None:
        """Write a frame to those that are open."""
        assert self._broadcast
        self._broadcast.write(frame)

    def sound(self, packet: AudioPacket) -> None:
        """Write sound to those that are open."""
        assert self._broadcast
        self._broadcast.sound(packet)

    def close(self) -> None:
        """End them; they may begin again."""
        # From the last to the first, and all of them whichever fails: an encoder may refuse at its end too.
        outlets, broadcast = list(self._outlets.values()), self._broadcast
        try:
            with ExitStack() as ends:
                for outlet in outlets:
                    ends.callback(outlet.close)
                for outlet in outlets:
                    ends.callback(outlet.finish, CLOSE_SECONDS)
                if broadcast:
                    ends.callback(broadcast.close)
        finally:
            self._broadcast = None

    def begin_again(self, info: VideoInfo, audio: Any) -> None:
        """End those that are open and get ready for other pictures; raises what `begin` does."""
        self.close()
        self._outlets = {}
        self.begin(info, audio)

    @property
    def numbers(self) -> tuple[OutputNumbers, ...]:
        """How each of them does."""
        return tuple(self._numbers(name) for name in self.names)

    def _numbers(self, name: str) -> OutputNumbers:
        shown, outlet = public(name), self._outlets.get(name)
        if outlet is None:
            return OutputNumbers(shown, False, 0, 0, 0, 0, "waiting", None)
        state = "open" if outlet.connected else "gave up" if outlet.ended else "away"
        reason = None if outlet.connected else self._reasons.get(name)
        return OutputNumbers(
            shown, outlet.connected, outlet.queued, outlet.written, outlet.dropped, outlet.reopened, state, reason
        )

    def _watched(self, name: str) -> Watched[Chunk]:
        assert self._broadcast
        shown, random_source, backoff = public(name), random.Random(), Backoff()
        segment = self._segment if is_recording(name) else None
        label = f"{self._label}: {shown}" if self._label else shown
        booked = self._booked if name in self._timed else _nobody
        keeper = Keeper(name, self._config.keep) if segment and self._config.keep else None
        opened = partial(
            Outlet, name, self._broadcast.streams, segment_seconds=segment, label=label,
            transport=self._config.publish_transport,
        )  # fmt: skip
        return Watched(
            f"output-{self.names.index(name) + 1}",
            lambda: _Followed(name, opened, self._config.frozen_after, booked, keeper),
            starts_at=lambda chunk: chunk.is_key,
            # A viewer wants the newest, a recording all of it.
            latest=not is_recording(name),
            frozen_after=self._config.frozen_after,
            delays=lambda attempt: backoff.delay(attempt, random_source),
            report=lambda kind, detail: self._report(name, label, kind, detail.removeprefix(shown).strip()),
        )

    def _report(self, name: str, label: str, kind: str, detail: str) -> None:
        level = logging.INFO if kind == "opened" else logging.WARNING
        logger.log(level, "%s: %s%s", label, kind, f", {detail}" if detail else "")
        self._reasons[name] = detail
        self._happened(kind, public(name), redacted(detail))
        if kind == "opened" and self._broadcast:
            # Else whoever watches would wait for the next one.
            self._broadcast.ask_keyframe()

    def _booked(self, chunk: Chunk) -> None:
        if chunk.arrived is not None:
            self._latency.add(time.monotonic() - chunk.arrived, chunk.seconds)
            self._written(chunk.arrived)

    def _hand_out(self, chunk: Chunk) -> None:
        for outlet in self._outlets.values():
            outlet.put(chunk)


class _Followed:
    """An outlet whose server is watched, and of which `booked` gets each chunk when it has been written; `keeper` looks
    after what was recorded before.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[], Outlet],
        frozen_after: float,
        booked: Callable[[Chunk], None],
        keeper: Keeper | None,
    ) -> None:
        if keeper:
            # Before it is opened: where the disk is full, that makes room.
            keeper.tidy(None)
        self._keeper = keeper
        port = port_of(name)
        before = connections(port) if port else frozenset()
        self._outlet, self._booked = opened(), booked
        self._pulse = Pulse(port, frozen_after, before) if port else None

    def write(self, chunk: Chunk) -> None:
        self._outlet.write(chunk)
        self._booked(chunk)
        if self._pulse:
            self._pulse.check()
        if self._keeper:
            self._keeper.tidy(self._outlet.path)

    def close(self) -> None:
        self._outlet.close()


def _nobody(chunk: Chunk) -> None:
    """Another output is timed."""
