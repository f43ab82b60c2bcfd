"""The HTTP API beside the live page: streams put, deleted and restarted, the file read again, health, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from streamderain.serve import schemas
from streamderain.serve.fleet import Fleet
from streamderain.serve.health import health, readiness
from streamderain.serve.metrics import exposition, registry
from streamderain.serve.openapi import Operation, document
from streamderain.serve.reading import check_apart, check_name, stream_config, try_streams
from streamderain.serve.served import Served

if TYPE_CHECKING:
    from streamderain.serve.server import Server

T = TypeVar("T")

PUBLIC = ("/healthz",)
"""Paths that are answered without the token."""


class Api:
    """The routes, and what describes them; belongs to the page's loop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._metrics = registry(lambda: server.fleet)

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.put("/api/streams/{name}", self._put),
            web.delete("/api/streams/{name}", self._delete),
            web.post("/api/streams/{name}/restart", self._restart),
            web.post("/api/reload", self._reload),
            web.get("/openapi.json", self._openapi),
            web.get("/healthz", self._health),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._scrape),
        ]

    async def _put(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        check_name(name)
        values = schemas.checked(schemas.AskedStream, await request.read())
        fleet = self._fleet()
        asked = stream_config(name, values, fleet.defaults)

        def put() -> web.Response:
            check_apart({**fleet.asked, name: asked})
            try_streams({name: asked}, fleet.defaults)
            status = 201 if fleet.put(name, asked) else 200
            return web.json_response(_told(fleet[name]), status=status)

        return await self._done(put)

    async def _delete(self, request: web.Request) -> web.Response:
        fleet, name = self._fleet(), request.match_info["name"]

        def delete() -> web.Response:
            fleet.remove(name)
            return web.Response(status=204)

        return await self._done(delete)

    async def _restart(self, request: web.Request) -> web.Response:
        fleet, name = self._fleet(), request.match_info["name"]

        def restart() -> web.Response:
            fleet.restart(name)
            return web.json_response(_told(fleet[name]), status=202)

        return await self._done(restart)

    async def _reload(self, request: web.Request) -> web.Response:
        return web.json_response(await self._done(self._server.reload))

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.json_response(document(OPERATIONS, PUBLIC, self._server.config.token is not None))

    async def _health(self, request: web.Request) -> web.Response:
        state = health(self._server.fleet)
        return web.json_response(state, status=200 if state["healthy"] else 503)

    async def _ready(self, request: web.Request) -> web.Response:
        state = readiness(self._server.fleet, strict=request.query.get("strict") in ("1", "true"))
        return web.json_response(state, status=200 if state["ready"] else 503)

    async def _scrape(self, request: web.Request) -> web.Response:
        body, kind = exposition(self._metrics, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    def _fleet(self) -> Fleet:
        if (fleet := self._server.fleet) is None:
            raise web.HTTPServiceUnavailable(text="the network is being loaded; try again when /readyz says ready")
        return fleet

    async def _done(self, job: Callable[[], T]) -> T:
        try:
            future = self._server.do(job)
        except RuntimeError:
            raise web.HTTPServiceUnavailable(text="the server is stopping") from None
        # A client that goes away leaves no job half done.
        return await asyncio.shield(asyncio.wrap_future(future))


def _told(stream: Served) -> dict[str, Any]:
    """A stream as GET tells it."""
    told = stream.watch()
    return {"name": stream.name, "numbers": told.numbers(), "settings": told.settings(), "may_change": True}


_NOT_THERE = ("There is no such stream.", schemas.Fault)
_HEALTHY, _READY = ("Yes.", schemas.Health), ("Yes.", schemas.Readiness)

OPERATIONS = (
    Operation("GET", "/api/streams", "All streams.", {200: ("All.", schemas.Summaries)}),
    Operation("GET", "/api/streams/{name}", "One stream.", {200: ("It.", schemas.Stream), 404: _NOT_THERE}),
    Operation("GET", "/api/streams/{name}/events", "What happened to a stream, and why.",
              {200: ("The latest, oldest first.", schemas.History), 404: _NOT_THERE}),
    Operation("GET", "/api/streams/{name}/recordings", "What a stream has recorded, as far as it is there.",
              {200: ("The latest.", schemas.Recordings), 404: _NOT_THERE}),
    Operation("GET", "/streams/{name}/recordings/{number}/{file}", "A recording, or the part that Range asks for.",
              {200: ("All.", "video/x-matroska"), 206: ("A part.", "video/x-matroska"), 404: _NOT_THERE}),
    Operation("PUT", "/api/streams/{name}", "Add a stream, or replace the one of that name. One that runs so already "
              "is left alone.", {200: ("Replaced.", schemas.Stream), 201: ("Added.", schemas.Stream),
                                 400: ("It cannot be.", schemas.Fault)}, schemas.AskedStream),
    Operation("DELETE", "/api/streams/{name}", "Stop a stream; what is on its way still goes out.",
              {204: ("Stopped.", None), 404: _NOT_THERE}),
    Operation("POST", "/api/streams/{name}/restart", "Stop a stream and start it again.",
              {202: ("Started.", schemas.Stream), 404: _NOT_THERE}),
    Operation("POST", "/api/streams/{name}/settings", "Turn strength or blend while the stream runs.",
              {200: ("As they are now.", schemas.Dials), 404: _NOT_THERE}, schemas.Dials),
    Operation("POST", "/api/reload", "Read the file again, as SIGHUP does. Streams become those in the file.",
              {200: ("Done.", schemas.Reloaded), 400: ("The file is bad; nothing has changed.", schemas.Fault)}),
    Operation("GET", "/streams/{name}.mjpg", "Rainy and derained side by side, without end.",
              {200: ("Pictures.", "multipart/x-mixed-replace"), 404: _NOT_THERE}),
    Operation("GET", "/streams/{name}/snapshot.jpg", "The newest derained picture, with ?rainy=1 the rainy one; with "
              "?width=640 at most so wide.", {200: ("A picture.", "image/jpeg"), 404: _NOT_THERE,
                                              503: ("There is none.", schemas.Fault)}),
    Operation("POST", "/streams/{name}/whep", "WHEP: the derained picture, for an SDP offer with all its candidates.",
              {201: ("The answer; Location ends it.", "application/sdp"), 404: _NOT_THERE,
               415: ("It is no offer.", schemas.Fault)}),
    Operation("DELETE", "/streams/{name}/whep/{viewer}", "End what WHEP began.",
              {200: ("Ended.", None), 404: _NOT_THERE}),
    Operation("POST", "/streams/{name}/whip", "WHIP: an SDP offer of who publishes to a stream whose source is `whip`.",
              {201: ("The answer; Location ends it.", "application/sdp"), 404: _NOT_THERE,
               409: ("Its source is another.", schemas.Fault), 415: ("It is no offer.", schemas.Fault)}),
    Operation("DELETE", "/streams/{name}/whip/{publisher}", "End what WHIP began.",
              {200: ("Ended.", None), 404: _NOT_THERE}),
    Operation("POST", "/offer", "A WebRTC offer, {type, sdp, stream}.", {200: ("The answer.", "application/json")}),
    Operation("GET", "/healthz", "Whether the process works.",
              {200: _HEALTHY, 503: ("No.", schemas.Health)}),
    Operation("GET", "/readyz", "Whether the network is loaded and all streams are started; with "
              "?strict=1, also whether all sources are there and all outputs open.",
              {200: _READY, 503: ("No.", schemas.Readiness)}),
    Operation("GET", "/metrics", "For Prometheus.", {200: ("Metrics.", "text/plain")}),
    Operation("GET", "/openapi.json", "This document.", {200: ("It.", "application/json")}),
)  # fmt: skip
