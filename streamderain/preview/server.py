"""The page's server: an aiohttp application in a thread and loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Middleware

from streamderain.errors import ConfigError, SinkError
from streamderain.preview.certificate import Certificate
from streamderain.preview.door import Door, whole
from streamderain.preview.door import logger as seldom
from streamderain.preview.guard import HEADERS, Guard
from streamderain.preview.handlers import Handlers, Streams, Watched
from streamderain.preview.mjpeg import STALLED_SECONDS
from streamderain.preview.sink import Preview
from streamderain.preview.watchable import Watchable

if TYPE_CHECKING:
    from streamderain.preview.peers import MakeFrame

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
MOST_VIEWERS = 16
MOST_BODY_BYTES = 1 << 16


class PreviewServer:
    """Serves the page on `host`:`port` (0: any free port) from the moment it is made, until `close`.

    A `host` that other machines reach needs a `token`; paths in `public` are answered without it; who has only the
    `view_token` may look. With a `certificate` it speaks HTTPS and nothing else. `make_frame` turns a
    (H, W, 3) uint8 RGB array into an av.VideoFrame, which aiortc sends; it is handed in because PyAV is the business of
    another room. Without it there is MJPEG only, and aiortc is not needed. `routes` and `middlewares` are served beside
    the page's, behind the same guard, and come first where both know a path; of paths in `streamed` they read the
    bodies themselves. A viewer that reads nothing for `stalled_seconds` is dropped. Raises ConfigError, and SinkError
    where it cannot listen.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8090,
        token: str | None = None,
        make_frame: MakeFrame | None = None,
        routes: Iterable[web.AbstractRouteDef] = (),
        middlewares: Iterable[Middleware] = (),
        public: Collection[str] = (),
        streamed: Collection[str] = (),
        stalled_seconds: float = STALLED_SECONDS,
        view_token: str | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        guard = self._guard = Guard(host, token, public, view_token)
        self._certificate = certificate
        self._host, self._port = host, port
        self._streams = Streams(MOST_VIEWERS)
        self._make_frame = make_frame
        self._routes, self._middlewares = list(routes), [guard.middleware, whole(streamed), *middlewares]
        self._stalled_seconds = stalled_seconds
        self._listening: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        # A daemon, so that a handler which hangs cannot keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="streamderain-preview", daemon=True)
        self._thread.start()
        try:
            self._loop, self._ended, self._port = self._listening.result()
        except OSError as error:
            self._thread.join(CLOSE_SECONDS)
            why = (error.strerror or str(error)).split(": ")[-1]
            raise SinkError(f"the page cannot listen on {host}:{port}: {why}; try another port, 0 for any") from error

    @property
    def url(self) -> str:
        """Where the page is, with the real port, without the token."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}/"

    def add(self, name: str, watchable: Watchable) -> Preview:
        """Put a stream on the page; its pictures go into what is returned. Raises ConfigError for a name twice."""
        if name in self._streams:
            raise ConfigError(f"a stream called {name} is on the page already; give each another name")
        preview = Preview(self._loop)
        self._streams[name] = Watched(watchable, preview)
        return preview

    def remove(self, name: str) -> None:
        """Take a stream from the page; who watches it is told so. A name that is not there is no error."""
        if watched := self._streams.pop(name, None):
            watched.preview.close()

    def close(self) -> None:
        """End all viewers and the thread, within 3 seconds."""
        for name in list(self._streams):
            self.remove(name)
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            logger.warning("the live page did not end within %g s", CLOSE_SECONDS)

    def __enter__(self) -> PreviewServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._listening.done():
                logger.exception("the live page has failed; the streams go on")
            else:
                self._listening.set_exception(error)

    async def _serve(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(4, "streamderain-preview"))
        # asyncio and aiohttp write whole tracebacks of whatever a client does.
        loop.set_exception_handler(lambda loop, told: seldom.error(told["message"], exc_info=told.get("exception")))
        door = Door(self._certificate)
        handlers = Handlers(self._streams, self._make_frame, self._stalled_seconds, self._guard.may_change)
        # A handler learns by cancellation that its client has gone, even while it waits for a picture.
        runner = web.AppRunner(
            self._application(handlers, door), access_log=None, logger=seldom, handler_cancellation=True,
            shutdown_timeout=0.5,
        )  # fmt: skip
        try:
            await runner.setup()
            assert runner.server
            self._listening.set_result((loop, ended, door.open(self._host, self._port, runner.server)))
            await ended.wait()
        finally:
            door.close()
            await handlers.close()
            await runner.cleanup()

    def _application(self, handlers: Handlers, door: Door) -> web.Application:
        middlewares = [door.middleware, *self._middlewares]
        application = web.Application(middlewares=middlewares, client_max_size=MOST_BODY_BYTES)
        application.add_routes(self._routes)
        application.add_routes(handlers.routes())
        application.on_response_prepare.append(_add_headers)
        return application


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
