"""Many live streams in one process: the network, the fleet, and the page with its API on one port."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from streamderain.config import LiveConfig
from streamderain.engine.engine import load_network
from streamderain.engine.shared import SharedNetwork
from streamderain.errors import ConfigError
from streamderain.frames import Network
from streamderain.live.page import check_extra, shown_on
from streamderain.media.pixels import rgb_frame
from streamderain.serve.config import ServeConfig
from streamderain.serve.fleet import Fleet
from streamderain.serve.mqtt import Mqtt, Now
from streamderain.serve.reading import SHARED, read, read_again, try_streams
from streamderain.serve.served import Served, Show
from streamderain.serve.webhooks import Webhooks

if TYPE_CHECKING:
    from streamderain.preview.server import PreviewServer

logger = logging.getLogger(__name__)

T = TypeVar("T")

END_SECONDS = 3.5
"""How long the streams may take to send out what is on their way when all ends."""

GPU_BATCH = 8

_FIXED = ("host", "port", "token", "view_token", "tls_cert", "tls_key", "max_batch", "mqtt", "webhooks")


class Server:
    """Serves `config` from the moment it is made until `close`: listens, loads the network, starts the streams.

    `network` stands in for the one that the config names. `reread` gives the config anew, told how many streams run,
    for `reload`. What changes the fleet, which is None until the network is loaded, is done by one thread, one after
    the other. Raises ConfigError, SinkError where it cannot listen, and what loading a network raises; a stream that
    cannot be started is logged, and the others run.
    """

    def __init__(
        self, config: ServeConfig, network: Network | None = None, reread: Callable[[int], ServeConfig] | None = None
    ) -> None:
        self.config, self._reread = config, reread
        self.fleet: Fleet | None = None
        self._worker = ThreadPoolExecutor(1, "streamderain-fleet")
        self._mqtt: Mqtt | None = None
        self._page = self._opened_page()
        self._webhooks = Webhooks(config.webhooks) if config.webhooks else None
        try:
            self.fleet = Fleet(self._shared(network), config.defaults, self._shown, self._page.remove)
            self._mqtt = Mqtt(config.mqtt, self._standing) if config.mqtt else None
            self.do(partial(self.fleet.become, config.streams)).result()
        except BaseException:
            self.close()
            raise
        logger.info("page and API at %s; streams: %d", self.url, len(self.fleet.asked))

    @property
    def url(self) -> str:
        """Where page and API are."""
        return self._page.url

    def do(self, job: Callable[[], T]) -> Future[T]:
        """Have `job` done after those that were handed in before. Raises RuntimeError once the end has begun."""
        return self._worker.submit(job)

    def reload(self) -> dict[str, Any]:
        """Read the config again and become what it says; for `do`. Raises ConfigError, and then nothing has changed.

        What the whole process shares, such as the port, stays as it is, and a line says so.
        """
        if self._reread is None or self.fleet is None:
            raise ConfigError("there is no file to read again; put and delete streams one by one")
        fresh = self._reread(len(self.fleet.asked))
        defaults = self._kept(fresh)
        try_streams(fresh.streams, defaults)
        self.fleet.become(fresh.streams, defaults)
        names = list(self.fleet.asked)
        logger.info("the file was read again; streams: %d", len(names))
        return {"streams": names, "failed": dict(self.fleet.failed)}

    def run(self, hangups: SimpleQueue[int]) -> None:
        """Reload for each of `hangups`, until KeyboardInterrupt."""
        while True:
            with suppress(Empty):
                hangups.get(timeout=1.0)
                self.do(self._reload_and_log)
            # Looked at each second, it is known since when a stream is stuck, however seldom anybody asks.
            for stream in self.fleet or ():
                stream.stuck_seconds()

    def close(self) -> None:
        """Send out what is on its way and end all, in less than 5 seconds."""
        is_idle, deadline = True, time.monotonic() + END_SECONDS
        ended: Future[None] | None = None
        if fleet := self.fleet:
            # At once, whatever the worker is at.
            fleet.stop()
            ended = self.do(lambda: fleet.close(max(0.0, deadline - time.monotonic())))
        if self._mqtt:
            self._mqtt.close()
        if self._webhooks:
            self._webhooks.close()
        if fleet and ended:
            with suppress(NotYet):
                ended.result(max(0.0, deadline + 0.5 - time.monotonic()))
            is_idle = ended.done()
            fleet.network.close(0.5)
        self._worker.shutdown(wait=is_idle, cancel_futures=True)
        self._page.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _opened_page(self) -> PreviewServer:
        check_extra()
        from streamderain.preview.certificate import Certificate
        from streamderain.preview.refusals import one_line
        from streamderain.preview.server import PreviewServer
        from streamderain.serve.api import PUBLIC, Api

        ours = self.config
        certificate = Certificate(ours.tls_cert, ours.tls_key) if ours.tls_cert else None
        return PreviewServer(
            ours.host, ours.port, ours.token, rgb_frame, Api(self).routes(), [one_line], PUBLIC,
            view_token=ours.view_token, certificate=certificate,
        )  # fmt: skip

    def _shared(self, network: Network | None) -> SharedNetwork:
        alone = network or load_network(self.config.defaults)
        on_cpu = alone.device.type == "cpu"
        # On a GPU a new size takes a moment, and graphs are recorded while nothing else runs.
        return SharedNetwork(alone, self.config.max_batch or (1 if on_cpu else GPU_BATCH), aside=on_cpu)

    def _standing(self) -> list[Now]:
        return [(stream.name, stream.state, stream.numbers()) for stream in self.fleet or ()]

    def _shown(self, stream: Served) -> Show:
        if self._webhooks:
            stream.events.told = partial(self._webhooks.tell, stream.name)
        preview = self._page.add(stream.name, stream.watch())
        stream.watched = lambda: preview.watched
        return shown_on(preview)

    def _kept(self, fresh: ServeConfig) -> LiveConfig:
        """The new defaults, but for what the one network is; says what waits for the next start."""
        ours, theirs = self.config.defaults, fresh.defaults
        changed = [name for name in _FIXED if getattr(fresh, name) != getattr(self.config, name)]
        changed += [name for name in SHARED if getattr(theirs, name) != getattr(ours, name)]
        if changed:
            logger.warning("%s will change at the next start, not before", ", ".join(changed))
        return replace(theirs, **{name: getattr(ours, name) for name in SHARED})

    def _reload_and_log(self) -> None:
        try:
            self.reload()
        except ConfigError as error:
            logger.error("%s; all goes on as before", error)
        except Exception:
            logger.exception("the file could not be read again")


def serve(path: Path) -> None:
    """Serve what a YAML file says until SIGTERM or Ctrl-C; SIGHUP reads it again. In the main thread only. Raises what
    Server raises, and ConfigError for the file.
    """
    hangups: SimpleQueue[int] = SimpleQueue()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        # Before all else, as it would end the process while the network is loaded.
        signal.signal(signal.SIGHUP, lambda number, frame: hangups.put(number))
    with suppress(KeyboardInterrupt), Server(read(path), reread=partial(read_again, path)) as server:
        server.run(hangups)
