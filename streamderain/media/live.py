"""A live source that is opened again whenever it is lost; its frames are on one clock for as long as the run lasts."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import av

from streamderain.errors import ConfigError, SourceError
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.address import Address
from streamderain.media.connection import AudioPacket, Away, Connected, EventKind, Picture
from streamderain.media.opening import Opening, usable_hwaccel
from streamderain.media.pixels import layout_of, to_planes
from streamderain.media.published import Intake
from streamderain.media.sound import Sound
from streamderain.media.wall import TIME_BASE, RunClock

logger = logging.getLogger(__name__)

_NAP_SECONDS = 0.05
"""How often a wait looks whether it was closed."""


@dataclass(frozen=True)
class Backoff:
    """How long to wait between attempts: `first` seconds, each time `factor` longer up to `most`, and by up to a share
    of `jitter` more or less, so that many who lost the same server don't come back at once.
    """

    first: float = 0.5
    factor: float = 2.0
    most: float = 10.0
    jitter: float = 0.25

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Seconds before that attempt, which counts from 0."""
        # Beyond this, a power would leave the range of a float.
        plain = min(self.most, self.first * self.factor ** min(attempt, 64))
        return plain * (1 + self.jitter * rng.uniform(-1, 1))


DENIED = Backoff(first=60.0, most=600.0)
"""After a wrong password, as cameras lock accounts that try it often."""

AT_ONCE = Backoff(first=0.0)
"""Where opening itself waits for whoever comes."""


class SourceEvent(NamedTuple):
    """What happened to a source; `detail` is for people, and tells no password."""

    kind: EventKind
    detail: str


class LiveSource:
    """Frames of a camera or stream, reconnected as often as needed; or of a file, at its own pace.

    `info` is of the present connection or the last one, `connected` whether pictures come, `is_away` whether they do
    not though they should. `counts` counts the events by their kind, and packets that could not be decoded as
    "damaged". `passengers` holds the last packets of sound, their times moved onto the run's clock in units of
    `time_base`; whoever writes the output takes them from the left. `audio_stream` is a template for them that outlives
    each connection; it is settled when the first frame is there, None meaning that the run has no sound.
    """

    time_base = TIME_BASE

    def __init__(
        self,
        address: Address,
        *,
        transport: str = "tcp",
        frozen_after: float = 5.0,
        retries: int | None = None,
        hwaccel: str | None = None,
        backoff: Backoff = Backoff(),
        realtime: bool = False,
        prepare: Callable[[Frame], None] = lambda frame: None,
        report: Callable[[SourceEvent], None] = lambda event: None,
        name: str = "",
        intake: Intake | None = None,
    ) -> None:
        """`name` is what the log calls it, before its address. What is published to us begins at `intake`, which ends
        with the source. `frozen_after` is how many seconds without a packet or a picture are borne, and how long each
        of two steps of opening may take. After `retries` attempts in a row to reach it again, it is given up; None
        tries for ever.
        A file needs `realtime`; it can wait, so `prepare` is called with its first frame of each layout before it is
        handed out, and its pace goes on when that returns. `report` is called with each event, by the thread that
        reads. Raises ConfigError.
        """
        if not address.is_live and not realtime:
            raise ConfigError(f"{address.shown} is a file, not live; --realtime reads it at the pace of its times")
        if transport not in ("tcp", "udp"):
            raise ConfigError(f"transport is {transport}; allowed: tcp, udp")
        self.address, self.report, self._prepare = address, report, prepare
        self.info: VideoInfo | None = None
        self.connected = self.is_away = False
        self.counts: Counter[str] = Counter()
        self._retries, self._backoff, self._rng = retries, backoff, random.Random()
        if intake:
            self._backoff = AT_ONCE
        self._intake, decoder = intake, usable_hwaccel(hwaccel)
        self._opening = Opening(address, transport, frozen_after, self._sleep, self._damaged, decoder, intake)
        self._label = address.shown if name in ("", address.shown) else f"{name}: {address.shown}"
        self._clock, self._sound = RunClock(), Sound(self._label)
        self._layout: PixelLayout | None = None
        self._tries, self._pause, self._was_damaged, self._closed = 0, 0.0, False, False

    @property
    def audio_stream(self) -> av.AudioStream | None:
        """What the sound is like."""
        return self._sound.template

    @property
    def passengers(self) -> deque[AudioPacket]:
        """The sound that nobody has taken yet."""
        return self._sound.packets

    def close(self) -> None:
        """End `frames` from any thread, as soon as the packet or the attempt that it waits for is there or given up."""
        self._closed = True
        if self._intake:
            self._intake.close()

    def frames(self) -> Iterator[Frame]:
        """Frames with times that always increase, in units of `time_base` since the first call, until `close` or the
        end of a file. Raises SourceError when all attempts are used up, and at once for what can never be opened.
        """
        self._clock.begin()
        has_begun = False
        while not self._closed:
            try:
                yield from self._connection()
                return
            except Away as away:
                # Its traceback would keep the connection, with its decoder and threads, for as long as the next lasts.
                reason = away.with_traceback(None)
            has_begun = has_begun or self.info is not None
            if self._closed:
                return
            self.is_away = True
            self._tell(SourceEvent(reason.kind, reason.detail + self._next_attempt(reason)))
            if reason.hopeless and not has_begun:
                raise SourceError(f"{self.address.shown} cannot be opened: {reason.detail}")
            if not self.address.is_live:
                raise SourceError(f"{self.address.shown} cannot be read to its end: {reason.detail}")
            self._try_again(reason)

    def _try_again(self, reason: Away) -> None:
        """Wait for the next attempt. Raises SourceError if there is none."""
        if self._is_last:
            tried = f"after {self._tries} attempts to reach it again"
            self._tell(SourceEvent("gave up", tried))
            raise SourceError(f"{self.address.shown} is away: {reason.detail}; given up {tried}")
        self._sleep(self._pause)
        self._tries += 1

    def _next_attempt(self, reason: Away) -> str:
        """Settle when it is, and say so where that is later than anybody would think."""
        backoff = DENIED if reason.denied else self._backoff
        self._pause = backoff.delay(self._tries, self._rng)
        if not reason.denied or self._is_last:
            return ""
        return f"; the next attempt is in {self._pause:.0f} s, lest the account be locked"

    @property
    def _is_last(self) -> bool:
        """Whether no attempt is left."""
        return self._retries is not None and self._tries >= self._retries

    def _connection(self) -> Iterator[Frame]:
        """The frames of one connection; ends where a file does, or when closed. Raises Away."""
        connection = self._opening.open()
        self._clock.anew()
        self._sound.begin(connection.audio)
        self._layout, self._was_damaged = None, False
        try:
            for item in connection.items():
                if self._closed:
                    return
                if isinstance(item, Picture):
                    yield self._frame(item, connection)
                else:
                    self._sound.take(item, self._clock)
            if self.address.is_live:
                raise Away("lost", "the stream ended")
        finally:
            self.connected = False
            connection.close()

    def _frame(self, picture: Picture, connection: Connected) -> Frame:
        shape = (picture.frame.height, picture.frame.width, picture.frame.format.name)
        known = self.info and (self.info.height, self.info.width, self.info.pixel_format)
        is_new = self._layout is None or self.info is None or shape != known
        if is_new:
            self._look(connection.info(picture.frame))
        assert self.info
        assert self._layout
        self._tries, arrived = 0, picture.arrived
        planes = to_planes(picture.frame, self.info, self._layout)
        if is_new and not self.address.is_live:
            self._prepare(Frame(planes, self._layout, 0, TIME_BASE))
            connection.go_on()
            arrived = time.monotonic()
        return Frame(planes, self._layout, self._clock.place(picture.time, arrived), TIME_BASE, arrived=arrived)

    def _look(self, info: VideoInfo) -> None:
        """Take in what the pictures are from now on."""
        before, self.info, self._layout = self.info, info, layout_of(info)
        if not self.connected:
            self.connected, self.is_away = True, False
            self._sound.settle()
            self._tell(SourceEvent("connected", _described(info)))
        if before and _described(before) != _described(info):
            self._tell(SourceEvent("changed", f"from {_described(before)} to {_described(info)}"))

    def _damaged(self, detail: str) -> None:
        self.counts["damaged"] += 1
        if not self._was_damaged:
            self._was_damaged = True
            logger.warning("%s: damaged packets are left out (%s)", self._label, detail)

    def _tell(self, event: SourceEvent) -> None:
        self.counts[event.kind] += 1
        level = logging.INFO if event.kind == "connected" else logging.WARNING
        logger.log(level, "%s: %s, %s", self._label, event.kind, event.detail)
        self.report(event)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._closed and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))


def _described(info: VideoInfo) -> str:
    rate = f" at {float(info.frame_rate):.4g} fps" if info.frame_rate else ""
    return f"{info.codec} {info.width}x{info.height}{rate}"
