"""What the page asks for: itself, the streams and their numbers, settings, and pictures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from streamderain.errors import ConfigError, UnknownStream
from streamderain.preview import mjpeg, recordings
from streamderain.preview.assets import HERE, asset_routes
from streamderain.preview.guard import Handler, refused
from streamderain.preview.sink import Gone, Preview
from streamderain.preview.watchable import Watchable, checked

if TYPE_CHECKING:
    from streamderain.preview.peers import MakeFrame, Peers
    from streamderain.preview.publishers import Publishers

FILES = ("grid.js", "page.css", "page.js", "stage.js", "ways.js", "words.js", "icon.svg")
ASSETS = {"/": "page.html", "/grid": "grid.html"} | {f"/{name}": name for name in FILES}

SNAPSHOT_SECONDS = 10.0
"""How long a snapshot waits for its picture."""


class Refusal(Exception):
    """An answer other than 200, and its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Watched:
    """A stream on the page."""

    watchable: Watchable
    preview: Preview


class Streams(dict[str, Watched]):
    """All streams on the page by name. One thread may change it while another reads."""

    def __init__(self, most_viewers: int) -> None:
        super().__init__()
        self._most_viewers = most_viewers

    def named(self, name: object) -> Watched:
        """The stream of that name. Raises UnknownStream."""
        if isinstance(name, str) and (watched := self.get(name)):
            return watched
        raise UnknownStream(str(name), list(self))

    def check_room(self) -> None:
        """Raise an answer that says so when no more viewers are taken."""
        if sum(watched.preview.viewers for watched in list(self.values())) >= self._most_viewers:
            raise Refusal(503, f"{self._most_viewers} viewers are watching already; try again when one has left")


class Handlers:
    """The routes of the page; belongs to the loop's thread."""

    def __init__(
        self,
        streams: Streams,
        make_frame: MakeFrame | None,
        stalled_seconds: float,
        may_change: Callable[[web.Request], bool] = lambda request: True,
        patience_seconds: float = SNAPSHOT_SECONDS,
    ) -> None:
        self._streams, self._may_change = streams, may_change
        self._patience_seconds = patience_seconds
        self._stalled_seconds = stalled_seconds
        self._peers: Peers | None = None
        self._publishers: Publishers | None = None
        if make_frame:
            from streamderain.preview.peers import Peers
            from streamderain.preview.publishers import Publishers

            self._peers, self._publishers = Peers(make_frame), Publishers()

    def routes(self) -> Iterable[web.RouteDef]:
        """All of them."""
        return [
            *asset_routes(HERE, ASSETS),
            web.get("/api/streams", _told(self._list)),
            web.get("/api/streams/{name}", _told(self._one)),
            web.get("/api/streams/{name}/events", _told(self._events)),
            web.get("/api/streams/{name}/recordings", _told(self._recordings)),
            web.get("/streams/{name}/recordings/{number}/{file}", _told(self._play)),
            web.post("/api/streams/{name}/settings", _told(self._adjust)),
            web.post("/offer", _told(self._offer)),
            web.post("/streams/{name}/whep", _told(self._whep)),
            web.delete("/streams/{name}/whep/{viewer}", _told(self._end_whep)),
            web.post("/streams/{name}/whip", _told(self._whip)),
            web.delete("/streams/{name}/whip/{publisher}", _told(self._end_whip)),
            web.get("/streams/{name}.mjpg", _told(self._mjpeg)),
            web.get("/streams/{name}/snapshot.jpg", _told(self._snapshot)),
        ]

    async def close(self) -> None:
        """End the viewers."""
        for watched in list(self._streams.values()):
            watched.preview.close()
        if self._peers and self._publishers:
            await asyncio.gather(self._peers.close(), self._publishers.close())

    async def _list(self, request: web.Request) -> web.Response:
        streams = [(name, watched.watchable.numbers()) for name, watched in list(self._streams.items())]
        return web.json_response(
            [{"name": name, "connected": bool(numbers.get("connected"))} for name, numbers in streams]
        )

    async def _one(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        watchable = self._streams.named(name).watchable
        told = {"name": name, "numbers": watchable.numbers(), "settings": watchable.settings()}
        return web.json_response(told | {"may_change": self._may_change(request)})

    async def _events(self, request: web.Request) -> web.Response:
        return web.json_response(self._streams.named(request.match_info["name"]).watchable.history())

    async def _recordings(self, request: web.Request) -> web.Response:
        return web.json_response(await recordings.listed(self._streams.named(request.match_info["name"]).watchable))

    async def _play(self, request: web.Request) -> web.StreamResponse:
        asked = request.match_info
        return await recordings.played(
            self._streams.named(asked["name"]).watchable, f"{asked['number']}/{asked['file']}"
        )

    async def _adjust(self, request: web.Request) -> web.Response:
        watchable = self._streams.named(request.match_info["name"]).watchable
        watchable.adjust(**checked(await body_of(request), watchable.settings()))
        return web.json_response(watchable.settings())

    async def _offer(self, request: web.Request) -> web.Response:
        offer = await body_of(request)
        if not isinstance(offer, dict) or offer.get("type") != "offer" or not isinstance(offer.get("sdp"), str):
            raise ConfigError('the body is no offer; send {"type": "offer", "sdp": "...", "stream": "..."}')
        preview = self._streams.named(offer.get("stream")).preview
        self._streams.check_room()
        if self._peers is None:
            raise Refusal(501, "there is no WebRTC here; GET /streams/NAME.mjpg shows the same")
        return web.json_response(await self._peers.answer(preview, offer["sdp"]))

    async def _whep(self, request: web.Request) -> web.Response:
        """WHEP, draft-ietf-wish-whep: an offer that has all its candidates is answered in full."""
        preview = self._streams.named(name := request.match_info["name"]).preview
        offer = await _sdp_of(request)
        if self._peers is None:
            raise Refusal(501, "there is no WebRTC here; GET /streams/NAME.mjpg shows the same")
        self._streams.check_room()
        answer, viewer = await self._peers.open(preview, offer)
        return _created(answer, f"/streams/{quote(name, safe='')}/whep/{viewer}")

    async def _end_whep(self, request: web.Request) -> web.Response:
        preview = self._streams.named(request.match_info["name"]).preview
        if self._peers is None or not self._peers.end(preview, request.match_info["viewer"]):
            raise Refusal(404, "there is no such viewer; it may have ended")
        return web.Response(status=200)

    async def _whip(self, request: web.Request) -> web.Response:
        """WHIP, RFC 9725, without trickling: more candidates are learnt from the publisher's own checks."""
        intake = self._streams.named(name := request.match_info["name"]).watchable.intake()
        offer = await _sdp_of(request)
        if intake is None:
            raise Refusal(409, f"{name} has its pictures from elsewhere; who publishes needs a stream of source `whip`")
        if self._publishers is None:
            raise Refusal(501, "there is no WebRTC here")
        answer, publisher = await self._publishers.open(name, intake, offer)
        return _created(answer, f"/streams/{quote(name, safe='')}/whip/{publisher}")

    async def _end_whip(self, request: web.Request) -> web.Response:
        name, publisher = request.match_info["name"], request.match_info["publisher"]
        if self._publishers is None or not self._publishers.end(name, publisher):
            raise Refusal(404, "there is no such publisher; it may have ended")
        return web.Response(status=200)

    async def _mjpeg(self, request: web.Request) -> web.StreamResponse:
        preview = self._streams.named(request.match_info["name"]).preview
        self._streams.check_room()
        return await mjpeg.stream(request, preview, self._stalled_seconds)

    async def _snapshot(self, request: web.Request) -> web.Response:
        watched = self._streams.named(request.match_info["name"])
        width = _width(request.query.get("width"))
        numbers = watched.watchable.numbers()
        if numbers.get("connected") is False:
            raise Refusal(503, f"the source is away ({numbers.get('reason') or 'it is waited for'}); try again later")
        self._streams.check_room()
        try:
            with watched.preview.viewer():
                picture = await asyncio.wait_for(watched.preview.after(0), self._patience_seconds)
                data = await picture.alone(request.query.get("rainy") in ("1", "true"), width)
        except TimeoutError:
            raise Refusal(503, f"no picture came within {self._patience_seconds:g} s; try again later") from None
        except Gone:
            raise Refusal(404, "the stream has ended") from None
        return web.Response(body=data, content_type="image/jpeg")


def _width(asked: str | None) -> int | None:
    """How wide a picture may be at most; None for as it is."""
    if asked is None:
        return None
    if not asked.isascii() or not asked.isdecimal() or len(asked) > 5 or not 16 <= int(asked) <= 8192:
        raise ConfigError(f"width is {asked[:40]!r}; allowed: 16 to 8192")
    return int(asked)


async def _sdp_of(request: web.Request) -> str:
    """The offer that was sent. Raises Refusal and ConfigError."""
    if request.content_type != "application/sdp":
        raise Refusal(415, f"the body is {request.content_type}; expected an offer as application/sdp")
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError:
        raise ConfigError("the offer makes no sense (it is no text in UTF-8)") from None


def _created(answer: str, place: str) -> web.Response:
    return web.Response(status=201, text=answer, content_type="application/sdp", headers={"Location": place})


def _told(handler: Handler) -> Handler:
    """`handler`, whose refusals are answers."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refused(refusal.status, str(refusal))
        except UnknownStream as error:
            return refused(404, str(error))
        except ConfigError as error:
            return refused(400, str(error))

    return answered


async def body_of(request: web.Request) -> Any:
    """What was sent as JSON. Raises ConfigError for anything else."""
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise ConfigError("the body is no JSON") from error
