"""One stream that is kept running: when its run crashes, another one takes its place."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamderain.config import LiveConfig
from streamderain.errors import SourceError, StreamderainError
from streamderain.frames import Network, Restored, VideoInfo
from streamderain.live.events import Events
from streamderain.live.numbers import LiveNumbers
from streamderain.live.page import Watch
from streamderain.live.run import LiveRun
from streamderain.media.live import Backoff
from streamderain.media.outlet import is_recording, unused
from streamderain.media.url import public, redacted
from streamderain.serve.config import StreamConfig
from streamderain.stream.background import Background

logger = logging.getLogger(__name__)

Show = Callable[[Restored], None]

PAUSES = Backoff(first=1.0, most=60.0)
"""Before a run that crashed is followed by the next."""

STEADY_SECONDS = 60.0
"""A run that lasted longer did not fail at once, and its successor waits only the first pause."""

GLANCE_SECONDS = 0.05
"""How often a wait for another stream looks whether this one is to end."""

STUCK_SECONDS = 30.0
"""A connected source of which nothing was published for so long is stuck."""


class Served:
    """A stream that `start` puts into a thread of its own. `run` is the present or last run, `restarts` counts those
    that followed a crash, `failure` is why the last one ended, `events` what happened in all; `watched` may be set.

    `known` is what its source was like before. A file that ended has no successor, nor has a run that gave its source
    up after `retries`. Raises what LiveRun raises.
    """

    def __init__(
        self, name: str, asked: StreamConfig, config: LiveConfig, network: Network, known: VideoInfo | None = None
    ) -> None:
        self.name, self.asked, self.config = name, asked, config
        self.restarts, self.ended = 0, False
        self.failure: str | None = None
        self.watched: Callable[[], bool] = lambda: True
        self._network = network
        self._show: Show = lambda pair: None
        self._stopping: Future[None] = Future()
        self._thread: Background[None] | None = None
        self._after: Sequence[Served] = ()
        self._crashes = 0
        self.events = Events()
        self._seen: object = None
        self._seen_at = 0.0
        self.run = self._made(known)

    def start(self, show: Show, after: Sequence[Served] = ()) -> None:
        """Run, as soon as those `after` which it comes have let go of their outputs; `show` gets each pair that goes
        out.
        """
        self._show, self._after = show, after
        self._thread = Background(f"stream-{self.name}", self._live)

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        with suppress(InvalidStateError):
            self._stopping.set_result(None)
        self.run.stop()

    def join(self, timeout: float) -> bool:
        """Wait until it has ended; whether it has."""
        return self._thread is None or self._thread.join(max(0.0, timeout))

    def lets_go(self, timeout: float) -> bool:
        """Wait until nothing more can come to its outputs; whether that is so."""
        return self.run.has_let_go or self.join(timeout)

    @property
    def state(self) -> str:
        """`live`, `waiting` for its source, `restarting` after a crash, `ended`, or `dead`, which never should be."""
        if self.join(0):
            return "ended" if self.ended else "dead"
        if self.failure is not None:
            return "restarting"
        return "live" if self.run.numbers().connected else "waiting"

    def numbers(self) -> LiveNumbers:
        """How its present run stands, or how its last one ended."""
        return self.run.numbers()

    def watch(self) -> Watch:
        """The stream as the page's Watchable, whichever run it is in; its numbers are those of schemas.Numbers."""

        def more() -> dict[str, Any]:
            source = public(self.asked.source)
            return {"state": self.state, "source": source, "restarts": self.restarts, "failure": self.failure}

        return Watch(lambda: self.run, more)

    def stuck_seconds(self, now: float | None = None) -> float:
        """How long its source is connected and nothing is published, as far as whoever calls this has seen."""
        now, numbers = time.monotonic() if now is None else now, self.numbers()
        seen = (self.restarts, numbers.events.get("connected", 0), numbers.published) if numbers.connected else None
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return now - self._seen_at if seen else 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether that is too long: 30 seconds, or twice what a frozen source is given."""
        return self.stuck_seconds() > max(STUCK_SECONDS, 2 * self.config.frozen_after)

    def _live(self) -> Iterator[None]:
        try:
            self._wait_for_those_before()
            while self._once():
                if self._stopped_within(PAUSES.delay(self._crashes - 1, random.Random())):
                    break
                self.restarts += 1
            self.ended = True
        except BaseException:
            logger.exception("%s: its thread has died", self.name)
            raise
        yield from ()

    def _wait_for_those_before(self) -> None:
        # Two that publish to one name would spoil each other's stream.
        while not self._stopping.done() and not all(each.lets_go(GLANCE_SECONDS) for each in self._after):
            pass
        self._after = ()

    def _once(self) -> bool:
        """Run until it ends; whether that was a crash."""
        began = time.monotonic()
        try:
            if self._crashes:
                self._begin_again()
            if not self._stopping.done():
                self.run.run()
            self.failure = None
            return False
        except Exception as error:
            self._crashes = 1 if time.monotonic() - began > STEADY_SECONDS else self._crashes + 1
            self.failure = in_words(error)
            self.events.add("crashed", "stream", self.failure)
            is_final = isinstance(error, SourceError) and self.config.retries is not None
            logger.error("%s: %s%s", self.name, self.failure, "" if is_final else "; it will be started again")
            logger.debug("%s", self.name, exc_info=True)
            return not is_final

    def _begin_again(self) -> None:
        dials = self.run.settings()
        # Whoever stops it sees either this run or that it must not begin.
        self.run = self._made(self.run.info)
        self.run.adjust(**dials)
        self.failure = None

    def _made(self, known: VideoInfo | None) -> LiveRun:
        outputs = tuple(_unused(output) for output in self.asked.outputs)
        return LiveRun(
            self.asked.source,
            outputs,
            self.config,
            self._network,
            self.name,
            lambda pair: self._show(pair),
            known,
            self.events,
            lambda: self.watched(),
        )

    def _stopped_within(self, seconds: float) -> bool:
        try:
            self._stopping.result(seconds)
        except NotYet:
            return False
        return True


def _unused(output: str) -> str:
    """The output, or where it is a recording that exists, one with a number: no restart costs what was recorded."""
    path = Path(output)
    return str(unused(path)) if is_recording(output) and path.exists() and not path.is_dir() else output


def in_words(error: Exception) -> str:
    """One line, without passwords."""
    text = str(error) if isinstance(error, StreamderainError) else f"{type(error).__name__}: {error}"
    return redacted(" ".join(text.split()))
