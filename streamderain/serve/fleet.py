"""The streams that are served: each runs in a thread of its own, and all through one network."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from streamderain.config import LiveConfig
from streamderain.engine.shared import SharedNetwork
from streamderain.errors import UnknownStream
from streamderain.live.outputs import CLOSE_SECONDS
from streamderain.live.publisher import DRAIN_SECONDS
from streamderain.live.run import LEAVE_SECONDS
from streamderain.media.url import public
from streamderain.serve.config import StreamConfig
from streamderain.serve.served import Served, Show, in_words

logger = logging.getLogger(__name__)

STOP_SECONDS = DRAIN_SECONDS + CLOSE_SECONDS + LEAVE_SECONDS + 0.5
"""How long a stream may take to send out what is on its way and to end."""


class Fleet:
    """Streams by name, all through `network`; `defaults` lie below what each asks for. What changes it may be called by
    any one thread at a time, and what reads it by any; one stream's failure is logged and is no other's.

    `shown` gives what to call with each pair of frames of a new stream, `hidden` is called when one has gone. `failed`
    says of streams that should run and do not why that is.
    """

    def __init__(
        self,
        network: SharedNetwork,
        defaults: LiveConfig,
        shown: Callable[[Served], Show] = lambda stream: lambda pair: None,
        hidden: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.network, self.defaults = network, defaults
        self._shown, self._hidden = shown, hidden
        self._streams: dict[str, Served] = {}
        self._leaving: list[Served] = []
        self.failed: dict[str, str] = {}

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._streams.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._streams

    def __getitem__(self, name: str) -> Served:
        """The stream called `name`. Raises UnknownStream."""
        if stream := self._streams.get(name):
            return stream
        raise UnknownStream(name, list(self._streams))

    @property
    def asked(self) -> dict[str, StreamConfig]:
        """What was asked for, by name."""
        return {stream.name: stream.asked for stream in self}

    def put(self, name: str, asked: StreamConfig) -> bool:
        """Have a stream run as `asked`; one that runs so already is left alone. Whether the name is new.

        Raises what LiveRun raises; a stream of that name then goes on as it was.
        """
        config, before = replace(self.defaults, **asked.settings), self._streams.get(name)
        if before and (before.asked.source, before.asked.outputs, before.config) == (
            asked.source, asked.outputs, config,
        ):  # fmt: skip
            before.asked = asked
            return False
        known = before.run.info if before and before.asked.source == asked.source else None
        self._replace(Served(name, asked, config, self.network, known))
        return before is None

    def remove(self, name: str, patience: float = STOP_SECONDS) -> None:
        """Stop a stream, whose frames that are on their way still go out. Raises UnknownStream."""
        stream = self[name]
        stream.stop()
        if not stream.join(patience):
            logger.warning("%s: did not end within %.1f s and is left behind", name, patience)
            self._leaving.append(stream)
        del self._streams[name]
        self._hidden(name)
        logger.info("%s: stopped", name)

    def restart(self, name: str) -> None:
        """Stop a stream and start it again as it was asked for. Raises UnknownStream."""
        stream = self[name]
        self._replace(Served(name, stream.asked, stream.config, self.network, stream.run.info))

    def become(self, wanted: Mapping[str, StreamConfig], defaults: LiveConfig | None = None) -> None:
        """Start, stop and restart until the streams are those `wanted`; what has not changed is not touched.

        What cannot be started is logged, and stands in `failed`.
        """
        self.defaults = defaults or self.defaults
        self.failed = {name: "it has not been started yet" for name in wanted if name not in self}
        for stream in self:
            if stream.name not in wanted:
                self.remove(stream.name)
        for name, asked in wanted.items():
            try:
                self.put(name, asked)
            except Exception as error:
                self.failed[name] = in_words(error)
                logger.error("%s: cannot be started: %s", name, self.failed[name])
                logger.debug("%s", name, exc_info=True)

    def stop(self) -> None:
        """Ask all streams to end; returns at once. May be called by any thread."""
        for stream in self:
            stream.stop()

    def close(self, patience: float = STOP_SECONDS) -> None:
        """Stop all streams at once, within `patience` seconds."""
        deadline = time.monotonic() + patience
        self.stop()
        for stream in self:
            self.remove(stream.name, max(0.0, deadline - time.monotonic()))

    def _replace(self, stream: Served) -> None:
        """Put a stream, which was made and so can be, in the place of one of its name, if there is one."""
        if stream.name in self:
            self.remove(stream.name)
        self._leaving = [each for each in self._leaving if not each.lets_go(0)]
        stream.start(self._shown(stream), self._leaving)
        self._streams[stream.name] = stream
        self.failed.pop(stream.name, None)
        logger.info("%s: started, %s -> %s", stream.name, public(stream.asked.source),
                    ", ".join(map(public, stream.asked.outputs)) or "the page alone")  # fmt: skip
