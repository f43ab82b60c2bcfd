"""What a file may have opened that names others: those of its own folder alone.

Of what libav reads here only playlists (HLS) name files freely; it follows no references of MP4, keeps its own lists of
files to their folder, and reaches no host from a file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from streamderain.errors import SourceError
from streamderain.media.url import public

_PLAYLIST = b"#EXTM3U"

Open = Callable[[str, int, Mapping[str, str]], BinaryIO]


def beside(name: str | Path) -> Open | None:
    """What opens files for libav that reads the playlist `name`, and raises SourceError for one that lies elsewhere;
    None where it is no playlist on this machine.
    """
    path = _local(str(name))
    if path is None or not _is_playlist(path):
        return None
    folder = path.resolve().parent

    def open_beside(url: str, flags: int, options: Mapping[str, str]) -> BinaryIO:
        wanted = _local(url)
        if wanted is None or not Path(os.path.realpath(wanted)).is_relative_to(folder):
            told = public(url)
            raise SourceError(f"{path.name} names {told}, which is not in its folder; name what is to be read itself")
        try:
            # PyAV closes what it reads from, but not the list itself.
            return io.BytesIO(wanted.read_bytes()) if _is_playlist(wanted) else wanted.open("rb")
        except OSError as error:
            raise SourceError(f"{path.name} names {wanted.name}, which cannot be read: {error.strerror}") from error

    return open_beside


def _local(url: str) -> Path | None:
    """The file that libav means; None where it is none."""
    if url.startswith("file://"):
        return Path(unquote(url.removeprefix("file://")))
    return None if "://" in url else Path(url.removeprefix("file:"))


def _is_playlist(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PLAYLIST)) == _PLAYLIST
    except (OSError, ValueError):
        return False
