"""Films that can be played, and what was recorded, as a list; nothing else can be had, whatever is asked for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from streamderain.preview.guard import refused
from streamderain.preview.watchable import Watchable

MOST = 500

TYPES = {".mkv": "video/x-matroska", ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime",
         ".webm": "video/webm", ".ts": "video/mp2t"}  # fmt: skip


async def listed(watchable: Watchable) -> list[dict[str, Any]]:
    """The latest of them, newest first: [{"name", "bytes", "at"}], the time that of the last writing."""
    return await asyncio.to_thread(_listed, watchable)


def _listed(watchable: Watchable) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for name, path in watchable.recordings().items():
        with suppress(OSError):  # it has just been deleted
            status = path.stat()
            told.append({"name": name, "bytes": status.st_size, "at": status.st_mtime})
    return sorted(told, key=lambda each: each["at"], reverse=True)[:MOST]


async def played(watchable: Watchable, name: str) -> web.StreamResponse:
    """One of them, or the part of it that is asked for."""
    # A name leads nowhere by itself: it is looked up among those that there are.
    path = (await asyncio.to_thread(watchable.recordings)).get(name)
    if path is None:
        return refused(404, "there is no such recording; it may have been removed")
    return film(path)


def film(path: Path) -> web.FileResponse:
    """A video file, or the part of it that is asked for."""
    return web.FileResponse(path, headers={"Content-Type": TYPES.get(path.suffix.lower(), "application/octet-stream")})
