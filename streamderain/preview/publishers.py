"""Publishers by WHIP: each a peer connection whose pictures and sound go to a stream."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

from streamderain.errors import ConfigError
from streamderain.preview.negotiation import (
    CLOSE_SECONDS,
    CONNECT_SECONDS,
    answer_to,
    check_size,
    fresh,
    glance,
    settled,
)
from streamderain.preview.watchable import Intake, Publication


class Publisher:
    """One of them: its connection from the offer to the end."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._tracks: list[MediaStreamTrack] = []
        self._changed, self._is_ending = asyncio.Event(), False

    def end(self) -> None:
        """Have it end. It is never cut off, which would leave sockets open."""
        self._is_ending = True
        self._changed.set()

    async def serve(self, sdp: str, answer: asyncio.Future[dict[str, str]], connect_seconds: float) -> None:
        """Its whole life; `answer` is set as soon as there is one, or why there is none."""
        connection = fresh()
        connection.on("track", self._tracks.append)
        try:
            told = await answer_to(connection, sdp, self._check)
            # Cancelled where whoever asked has gone meanwhile.
            if not answer.cancelled():
                answer.set_result(told)
                await settled(connection, self._changed, connect_seconds, lambda: not self._is_ending)
                if connection.connectionState == "connected":
                    await self._carry(connection)
        except ConfigError as error:
            if not answer.cancelled():
                answer.set_exception(error)
        finally:
            await connection.close()

    def _check(self) -> None:
        kinds = sorted(track.kind for track in self._tracks)
        if kinds not in (["video"], ["audio", "video"]):
            raise ConfigError(
                f"the offer sends {' and '.join(kinds) or 'nothing'}; allowed: one video, and one audio beside it"
            )

    async def _carry(self, connection: RTCPeerConnection) -> None:
        publication = self._intake.begin(any(track.kind == "audio" for track in self._tracks))
        pouring = [asyncio.create_task(_pour(track, publication)) for track in self._tracks]
        try:
            while connection.connectionState == "connected" and publication.is_wanted and not self._is_ending:
                await glance(self._changed)
        finally:
            publication.end()
            for each in pouring:
                each.cancel()
            await asyncio.wait(pouring)


class Publishers:
    """All publishers by WHIP; belongs to the loop's thread."""

    def __init__(self, connect_seconds: float = CONNECT_SECONDS) -> None:
        self._connect_seconds = connect_seconds
        self._named: dict[tuple[str, str], Publisher] = {}
        self._lives: set[asyncio.Task[None]] = set()

    async def open(self, stream: str, intake: Intake, sdp: str) -> tuple[str, str]:
        """The answer to the offer of who publishes to that stream, and a name to `end` it by. Raises ConfigError."""
        check_size(sdp)
        publisher, key = Publisher(intake), (stream, secrets.token_urlsafe(16))
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        life = asyncio.create_task(publisher.serve(sdp, answer, self._connect_seconds))
        self._named[key] = publisher
        self._lives.add(life)
        life.add_done_callback(lambda _: self._named.pop(key))
        life.add_done_callback(self._lives.discard)
        return (await answer)["sdp"], key[1]

    def end(self, stream: str, name: str) -> bool:
        """End a publisher of that stream; whether there was one of that name."""
        if publisher := self._named.get((stream, name)):
            publisher.end()
        return publisher is not None

    async def close(self) -> None:
        """End all of them."""
        for publisher in self._named.values():
            publisher.end()
        if self._lives:
            await asyncio.wait(self._lives, timeout=CLOSE_SECONDS)


async def _pour(track: MediaStreamTrack, publication: Publication) -> None:
    with contextlib.suppress(MediaStreamError):
        while publication.is_wanted:
            publication.put(await track.recv())
