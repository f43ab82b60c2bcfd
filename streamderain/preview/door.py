"""Who gets in: connections are taken up to a number, and those that ask for nothing make room."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from streamderain.preview.certificate import Certificate
from streamderain.preview.guard import Handler, refused
from streamderain.preview.seldom import Seldom

logger = logging.getLogger(__name__)
logger.addFilter(Seldom())

ASK_SECONDS = 10.0
"""What a connection is given to ask for something, for the first time or again, and a request to bring its body."""

MOST_CONNECTIONS = 256

RESERVE = 4
"""Connections take one of so many of the files that the process may open: cameras and recordings need theirs."""

PAUSES = (0.1, 1.0)
"""Seconds before the next attempt where the system can take no connection: the first, doubled up to the last."""

LOOK_SECONDS = 1.0


class Door:
    """Accepts connections and hands them to `serve`'s protocols, from `open` to `close`; belongs to one loop.

    At most `most` are open. When one more comes, the one closes that has asked for nothing for longest; while all of
    them are busy, it waits with the system. `middleware`, the outermost of the application, tells who is busy. With a
    `certificate` it speaks TLS; who does not within ASK_SECONDS is as one who asks for nothing.
    """

    def __init__(
        self,
        certificate: Certificate | None = None,
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._certificate, self._most = certificate, most or most_connections()
        self._clock, self._sleep = clock, sleep
        # When each began to be idle; None while it is busy.
        self._idle: dict[asyncio.BaseTransport, float | None] = {}
        self._sockets: dict[asyncio.BaseTransport, socket.socket] = {}
        # In the order they came; each greets one connection.
        self._greetings: dict[asyncio.Task[None], None] = {}
        self._listening: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, host: str, port: int, serve: Callable[[], asyncio.Protocol]) -> int:
        """Listen on `host`, empty for all addresses; the port, which is any free one for 0. Raises OSError."""
        try:
            for family, address in _addresses(host, port):
                self._listening.append(_listening(family, address, port))
                port = self._listening[0].getsockname()[1]
        except OSError:
            self.close()
            raise
        self._tasks = [asyncio.ensure_future(self._accept(each, serve)) for each in self._listening]
        self._tasks.append(asyncio.ensure_future(self._look()))
        return port

    def close(self) -> None:
        """Take no more; those that are open are the server's to end."""
        for task in [*self._tasks, *self._greetings]:
            task.cancel()
        for listening in self._listening:
            listening.close()

    @property
    def connections(self) -> int:
        """How many are open."""
        for transport in [each for each, taken in self._sockets.items() if taken.fileno() < 0]:
            del self._sockets[transport], self._idle[transport]
        return len(self._sockets) + len(self._greetings)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """For aiohttp; notes that a connection is busy."""
        if (transport := request.transport) is None:
            return await handler(request)
        # It may be here before it is known to have been accepted.
        self._idle[transport] = None
        try:
            return await handler(request)
        finally:
            if transport in self._idle:
                self._idle[transport] = self._clock()

    def sweep(self) -> None:
        """Close what has asked for nothing for too long."""
        for transport, since in list(self._idle.items()):
            if since is not None and self._clock() - since > ASK_SECONDS:
                _abort(transport)

    def make_room(self) -> bool:
        """Whether one more may come; one that is idle is closed for it if that is needed."""
        if self.connections < self._most:
            return True
        idle = {each: since for each, since in self._idle.items() if since is not None and not each.is_closing()}
        if idle:
            logger.warning("%d connections are open; those that ask for nothing are closed", self._most)
            _abort(min(idle, key=lambda each: idle[each]))
        elif self._greetings:
            next(iter(self._greetings)).cancel()
        return False

    async def _accept(self, listening: socket.socket, serve: Callable[[], asyncio.Protocol]) -> None:
        loop, pause = asyncio.get_running_loop(), PAUSES[0]
        while True:
            try:
                taken, _ = await loop.sock_accept(listening)
                pause = PAUSES[0]
            except OSError as error:
                logger.warning("no connection can be taken: %s; tried again within a second", error.strerror)
                await self._sleep(pause)
                pause = min(2 * pause, PAUSES[1])
                continue
            while not self.make_room():
                # What is aborted is closed in the loop's next round.
                await self._sleep(0 if any(each.is_closing() for each in self._idle) else PAUSES[0])
            if not self._certificate:
                await self._greet(taken, serve)
                continue
            # Nobody waits for a greeting that does not come.
            greeting = asyncio.ensure_future(self._greet(taken, serve))
            self._greetings[greeting] = None
            greeting.add_done_callback(self._greetings.pop)

    async def _greet(self, taken: socket.socket, serve: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        context, patience = (self._certificate.context, ASK_SECONDS) if self._certificate else (None, None)
        try:
            transport, _ = await loop.connect_accepted_socket(serve, taken, ssl=context, ssl_handshake_timeout=patience)
        except OSError:
            taken.close()
            return
        self._sockets[transport] = taken
        self._idle.setdefault(transport, self._clock())

    async def _look(self) -> None:
        while True:
            await self._sleep(LOOK_SECONDS)
            self.sweep()


def whole(but: Collection[str] = ()) -> Middleware:
    """For aiohttp: the body is there before it is asked for, or is refused; `but` for paths whose handlers take in what
    comes bit by bit, and see to its size and haste.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in but:
            return await handler(request)
        try:
            await asyncio.wait_for(request.read(), ASK_SECONDS)
        except TimeoutError:
            return refused(408, f"the body did not come within {ASK_SECONDS:g} s")
        except web.HTTPRequestEntityTooLarge:
            return refused(413, f"the body is too large; allowed: {request.client_max_size} bytes")
        return await handler(request)

    return middleware


def most_connections() -> int:
    """How many may be open at once, by what the process may open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, soft // RESERVE))


def _abort(transport: asyncio.BaseTransport) -> None:
    assert isinstance(transport, asyncio.Transport)
    transport.abort()


def _addresses(host: str, port: int) -> Sequence[tuple[int, str]]:
    """Family and address of each that `host` has."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _listening(family: int, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if socket.has_ipv6 and family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((address, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made
