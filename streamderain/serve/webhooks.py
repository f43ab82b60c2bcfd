"""URLs that are told when a source is lost or back, and when a disk is full."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streamderain.live.events import SOURCE, Event, is_disk_full
from streamderain.preview.seldom import Seldom
from streamderain.serve.config import shown
from streamderain.stream.background import Background

if TYPE_CHECKING:
    from aiohttp import ClientSession

logger = logging.getLogger(__name__)
crowd = logging.getLogger(f"{__name__}.crowd")
crowd.addFilter(Seldom())

PAUSES = (1.0, 5.0, 25.0)
"""Seconds before each further attempt; after the last the call is given up."""

ANSWER_SECONDS = 10.0
MOST_WAITING = 100
AGAIN_SECONDS = 3600.0
"""A disk that stays full is told again after this."""

LEAVE_SECONDS = 1.0

LOST = ("lost", "frozen", "refused", "gave up")
"""Events of a source that comes no more."""


class Webhooks:
    """POSTs JSON to each of `urls`: {"event": "lost", "back" or "disk_full", "stream", "subject", "reason", "at",
    "text"}. Nobody waits for them: each URL has a queue of its own, of which the oldest goes when it is full.
    """

    def __init__(self, urls: Sequence[str], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._urls, self._sleep = urls, sleep
        self._away: set[str] = set()
        self._full: dict[tuple[str, str], float] = {}
        self._queues: list[asyncio.Queue[dict[str, str]]] = []
        self._ending = asyncio.Event()
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = Background("webhooks", self._run)

    def tell(self, stream: str, event: Event) -> None:
        """What happened to a stream; from any thread."""
        if word := self._news(stream, event):
            message = _message(word, stream, event)
            with suppress(RuntimeError):  # it has ended
                self._loop.result().call_soon_threadsafe(self._put, message)

    def close(self) -> None:
        """Send what is on its way, as far as it goes within a second."""
        with suppress(RuntimeError):
            loop = self._loop.result()
            loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(2 * LEAVE_SECONDS)

    def _news(self, stream: str, event: Event) -> str | None:
        """What it is called, if it is worth a call: a source that stays away is told once, a disk that stays full
        once an hour.
        """
        if event.subject == SOURCE:
            if event.kind in LOST and stream not in self._away:
                self._away.add(stream)
                return "lost"
            if event.kind == "connected" and stream in self._away:
                self._away.discard(stream)
                return "back"
            return None
        place = stream, event.subject
        if is_disk_full(event.reason) and event.at - self._full.get(place, -math.inf) >= AGAIN_SECONDS:
            self._full[place] = event.at
            return "disk_full"
        return None

    # What follows runs in a loop and thread of its own.

    def _run(self) -> Iterator[None]:
        asyncio.run(self._serve())
        yield from ()

    async def _serve(self) -> None:
        from aiohttp import ClientSession, ClientTimeout

        self._queues = [asyncio.Queue(MOST_WAITING) for _ in self._urls]
        async with ClientSession(timeout=ClientTimeout(ANSWER_SECONDS)) as session:
            senders = [
                asyncio.ensure_future(self._send_all(session, url, queue))
                for url, queue in zip(self._urls, self._queues, strict=True)
            ]
            self._loop.set_result(asyncio.get_running_loop())
            await self._ending.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await asyncio.gather(*(queue.join() for queue in self._queues))
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    def _put(self, message: dict[str, str]) -> None:
        for url, queue in zip(self._urls, self._queues, strict=True):
            if queue.full():
                queue.get_nowait()
                queue.task_done()
                crowd.warning("webhook %s: %d calls wait; the oldest is left out", shown(url), MOST_WAITING)
            queue.put_nowait(message)

    async def _send_all(self, session: ClientSession, url: str, queue: asyncio.Queue[dict[str, str]]) -> None:
        while True:
            message = await queue.get()
            try:
                await self._send(session, url, message)
            except Exception:
                logger.exception("webhook %s failed", shown(url))
            finally:
                queue.task_done()

    async def _send(self, session: ClientSession, url: str, message: dict[str, str]) -> None:
        for pause in (*PAUSES, None):
            why, may_heal = await _posted(session, url, message)
            if why is None:
                return
            if pause is None or not may_heal:
                break
            await self._sleep(pause)
        logger.warning("webhook %s: %s of %s is not told: %s", shown(url), message["event"], message["stream"], why)


async def _posted(session: ClientSession, url: str, message: dict[str, str]) -> tuple[str | None, bool]:
    """Why it was not taken, None if it was, and whether a further attempt may go better."""
    from aiohttp import ClientError

    try:
        # What is sent elsewhere may not be meant for whoever is there.
        async with session.post(url, json=message, allow_redirects=False) as reply:
            status = reply.status
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        # Its text would tell the URL.
        return f"no answer ({type(error).__name__})", not isinstance(error, ValueError)
    if 200 <= status < 300:
        return None, False
    return f"it answers {status}", status >= 500 or status in (408, 429)


def _message(word: str, stream: str, event: Event) -> dict[str, Any]:
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    about = "" if event.subject == SOURCE else f" {event.subject}"
    text = f"{stream}:{about} {word.replace('_', ' ')}, {event.reason}"
    return {"event": word, "stream": stream, "subject": event.subject, "reason": event.reason, "at": at, "text": text}
