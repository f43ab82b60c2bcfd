"""What the page for files asks for: itself, the clips, their pictures and films, and work on them."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from streamderain.page.clip import Clip
from streamderain.page.upload import receive, room, safe_name
from streamderain.page.work import Work
from streamderain.preview.assets import asset_routes
from streamderain.preview.handlers import body_of
from streamderain.preview.recordings import film
from streamderain.preview.watchable import checked

UPLOADS = "/api/clips"
"""The path whose bodies may be of any size."""

FILES = ("files.css", "files.js", "clips.js", "sending.js", "looks.js", "films.js")
ASSETS = {"/": "files.html"} | {f"/{name}": name for name in FILES}


class Api:
    """The routes; belongs to the page's loop. It `is_ending` once somebody wants that, and takes nothing more."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.is_ending, self._since = False, time.time()

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            *asset_routes(Path(__file__).parent, ASSETS),
            web.get("/api/clips", self._list),
            web.post(UPLOADS, self._upload),
            web.post("/api/clips/{number}/strength", self._adjust),
            web.post("/api/clips/{number}/derain", self._derain),
            web.post("/api/clips/{number}/stop", self._stop),
            web.delete("/api/clips/{number}", self._remove),
            web.get("/clips/{number}/thumb.jpg", self._thumb),
            web.get("/clips/{number}/{moment}.jpg", self._sample),
            web.get("/clips/{number}/rainy", self._rainy),
            web.get("/clips/{number}/derained", self._derained),
            web.post("/api/quit", self._end),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._told))

    def _told(self) -> dict[str, Any]:
        clips = list(self._work.clips.values())
        return {
            "clips": [clip.told() for clip in clips], "line": self._work.line(), "folder": str(self._work.folder),
            "room": room(self._work.uploads), "since": self._since, "busy": self._work.is_busy,
            "loading": not self._work.network.done(), "ending": self.is_ending,
        }  # fmt: skip

    async def _upload(self, request: web.Request) -> web.Response:
        folder = self._work.place()
        try:
            path = folder / safe_name(request.query.get("name", ""))
            await receive(request, path)
            clip = await asyncio.to_thread(self._work.look, path)
            self._check_going_on()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._work.add(clip)
        return web.json_response(clip.told(), status=201)

    async def _adjust(self, request: web.Request) -> web.Response:
        clip = self._clip(request)
        clip.strength = checked(await body_of(request), {"strength": clip.strength})["strength"]
        return web.json_response(clip.told())

    async def _derain(self, request: web.Request) -> web.Response:
        clip = self._clip(request)
        self._check_going_on()
        self._work.derain(clip)
        return web.json_response(clip.told(), status=202)

    async def _stop(self, request: web.Request) -> web.Response:
        clip = self._clip(request)
        self._work.stop(clip)
        return web.json_response(clip.told())

    async def _remove(self, request: web.Request) -> web.Response:
        self._work.remove(self._clip(request))
        return web.Response(status=204)

    async def _thumb(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._clip(request).thumb)

    async def _sample(self, request: web.Request) -> web.StreamResponse:
        clip, moment = self._clip(request), request.match_info["moment"]
        if moment not in map(str, clip.shown):
            raise web.HTTPNotFound(text="this frame is not derained yet")
        return web.FileResponse(clip.sample(int(moment)))

    async def _rainy(self, request: web.Request) -> web.StreamResponse:
        return film(self._clip(request).path)

    async def _derained(self, request: web.Request) -> web.StreamResponse:
        made = self._clip(request).made
        if made is None or not made.exists():
            raise web.HTTPNotFound(text="it is not derained yet, or what it became was moved away")
        answer = film(made)
        if request.query.get("save"):
            # RFC 6266, section 4.3
            answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(made.name, safe='')}"
        return answer

    async def _end(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        if self._work.is_busy and not (isinstance(body, dict) and body.get("even_if_busy") is True):
            raise web.HTTPConflict(text="clips are being derained; stop them, or say that you do not mind")
        self.is_ending = True
        return web.json_response({"ending": True})

    def _check_going_on(self) -> None:
        if self.is_ending:
            raise web.HTTPConflict(text="the page is ending; start it again")

    def _clip(self, request: web.Request) -> Clip:
        number = request.match_info["number"]
        clip = self._work.clips.get(int(number)) if number.isascii() and number.isdecimal() else None
        if clip is None:
            raise web.HTTPNotFound(text="there is no such clip; it may have been removed")
        return clip
