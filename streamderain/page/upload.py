"""A file that a browser sends -> a file in a folder, bit by bit; what it is called there."""

from __future__ import annotations

import asyncio
import errno
import shutil
import unicodedata
from pathlib import Path, PurePosixPath

from aiohttp import web

STALLED_SECONDS = 30.0
"""A browser that sends nothing for this long is given up."""

PIECE_BYTES = 1 << 20

SPARE_BYTES = 1 << 28
"""What an upload leaves free on the disk."""

_PLAIN = " ._-+,'()&="
LONGEST_NAME = 180
"""Bytes; what is made of it, and stands beside it, has a longer one."""


def safe_name(asked: str) -> str:
    """What a file is called that came as `asked`: its last part, letters and digits of any language and harmless signs,
    with the ending, and not hidden.
    """
    last = unicodedata.normalize("NFC", asked).replace("\\", "/").rpartition("/")[2]
    known = (sign if sign in _PLAIN or unicodedata.category(sign)[0] in "LMN" else "_" for sign in last)
    name = PurePosixPath("".join(known).strip(" .-") or "clip")
    ending = name.suffix if len(name.suffix.encode()) <= 10 else ""
    stem = name.name.removesuffix(ending).encode()[: LONGEST_NAME - len(ending.encode())].decode(errors="ignore")
    return stem + ending


async def receive(request: web.Request, path: Path) -> None:
    """Write the body of `request` to `path`, as it comes. Raises an answer where it stalls, is empty, or is larger than
    the disk has room for.
    """
    _check_room(path.parent, request.content_length or 0)
    with path.open("wb") as file:
        try:
            while piece := await asyncio.wait_for(request.content.read(PIECE_BYTES), STALLED_SECONDS):
                _check_room(path.parent, len(piece))
                await asyncio.to_thread(file.write, piece)
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"nothing came for {STALLED_SECONDS:g} s; send it again") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _full(path.parent) from None
        if not file.tell():
            raise web.HTTPBadRequest(text=f"{path.name} is empty; expected a video")


def room(folder: Path) -> int:
    """Bytes that uploads to `folder` may still take."""
    return max(0, shutil.disk_usage(folder).free - SPARE_BYTES)


def _check_room(folder: Path, wanted: int) -> None:
    if wanted > room(folder):
        raise _full(folder)


def _full(folder: Path) -> web.HTTPException:
    left = f"there is room for {room(folder) / 1e6:.0f} MB more on this disk"
    return web.HTTPInsufficientStorage(text=f"{left}; remove clips, or name a --folder on another")
