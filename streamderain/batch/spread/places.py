"""Where files are, on this machine or behind a URL that fsspec knows: read by a copy in the cache, written when whole.

What is told of a URL is what `media.url` lets out; what a library says of it goes the same way.
"""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamderain.errors import SinkError, SourceError, StreamderainError, in_one_line
from streamderain.folders import kept_in
from streamderain.locks import lock
from streamderain.media.partial import partial_of
from streamderain.media.url import public, redacted

logger = logging.getLogger(__name__)

HIDDEN = ".streamderain"
"""The folder below an output in which parts wait."""

UNFINISHED, LOCK = "unfinished-", "lock"

SPARE = 2 * 2**30
"""Bytes that the cache leaves free on its disk: parts are written there too."""


def is_url(name: str) -> bool:
    """Whether `name` is a URL, and no path."""
    return "://" in name


@contextmanager
def _told(kind: type[StreamderainError], url: str, what: str) -> Iterator[None]:
    """What a library raises, in one line of ours."""
    try:
        yield
    except StreamderainError:
        raise
    except FileNotFoundError:
        raise kind(f"{public(url)} {what}: it does not exist") from None
    except ImportError as error:
        reason = redacted(in_one_line(error))
        raise kind(
            f"{public(url)} {what}: {reason}; pip install 'streamderain[ray]' for s3://, for others what is named there"
        ) from error
    except Exception as error:  # each has errors of its own: botocore's are no OSError
        raise kind(f"{public(url)} {what}: {redacted(in_one_line(error))}") from None


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there."""
    import fsspec

    system, path = fsspec.core.url_to_fs(url)
    return system, path


def read_text(name: str) -> str:
    """A small file as text. Raises SourceError."""
    with _told(SourceError, name, "cannot be read as text"):
        if not is_url(name):
            return Path(name).read_text()
        system, path = _opened(name)
        data: bytes = system.cat_file(path)
        return data.decode()


def files_below(url: str) -> list[tuple[str, str]]:
    """The URLs of all files in a folder and those in it, by name, or that match a glob, or of the one file that it is;
    with the place of each below the folder, or below the part of the glob without stars. Raises SourceError.
    """
    with _told(SourceError, url, "cannot be listed"):
        system, path = _opened(url)
        if "*" in path:
            top, found = path.partition("*")[0].rpartition("/")[0], list(system.glob(path))
        elif system.isfile(path):
            return [(url, posixpath.basename(path))]
        else:
            top, found = path.rstrip("/"), system.find(path)
        places = sorted(posixpath.relpath(each, top) for each in found if system.isfile(each))
        visible = [each for each in places if not any(part.startswith(".") for part in each.split("/"))]
        return [(system.unstrip_protocol(posixpath.join(top, each)), each) for each in visible]


def version_of(source: str) -> str:
    """What tells this content from another under the same name: 16 hexadecimal digits. Raises SourceError."""
    if not is_url(source):
        try:
            status = os.stat(source)
        except OSError as error:
            raise SourceError(f"{source} cannot be read: {error.strerror}") from error
        facts: tuple[object, ...] = (os.path.abspath(source), status.st_size, status.st_mtime_ns)
    else:
        with _told(SourceError, source, "cannot be read"):
            system, path = _opened(source)
            info = system.info(path)
        facts = (source, info["size"], *(str(info.get(key)) for key in ("ETag", "LastModified", "mtime")))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@contextmanager
def local(source: str) -> Iterator[Path]:
    """A path to `source` on this machine: its own, or that of a copy in the cache, which is made once and stays while
    it is used. Raises SourceError.
    """
    if not is_url(source):
        yield Path(source)
        return
    folder = _cache() / version_of(source)
    path = folder / posixpath.basename(source.partition("?")[0])
    folder.mkdir(exist_ok=True)
    with (folder / LOCK).open("a") as file:
        lock(file, shared=True)
        if not path.exists():
            # Of many processes one fetches; the others wait for it.
            lock(file)
            if not path.exists():
                _fetch(source, path)
            lock(file, shared=True)
        os.utime(folder)
        yield path


def _cache() -> Path:
    return kept_in("batch") or Path(tempfile.gettempdir())


def _fetch(source: str, path: Path) -> None:
    with _told(SourceError, source, "cannot be fetched"):
        system, there = _opened(source)
        _make_room(path.parent.parent, system.info(there)["size"])
        system.get_file(there, str(partial_of(path)))
        partial_of(path).replace(path)


def _make_room(cache: Path, needed: int) -> None:
    """Remove what nobody uses, what was used longest ago first, until there is room."""
    for folder in sorted(cache.iterdir(), key=lambda each: each.stat().st_mtime):
        if shutil.disk_usage(cache).free >= needed + SPARE:
            return
        _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    with suppress(OSError), (folder / LOCK).open("a") as file:
        lock(file, waits=False)
        shutil.rmtree(folder)


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A folder in `parent` that goes; where the process is killed before, whoever finds it may remove it."""
    with _told(SinkError, str(parent), "cannot be written to"):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=parent))
    try:
        with (folder / LOCK).open("a") as file:
            lock(file, shared=True)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Place:
    """A folder to write to, of this machine or behind a URL; what is in it goes by names with / between folders."""

    root: str

    def _whole(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where there is none. Raises SinkError where that cannot be known."""
        if not is_url(self.root):
            path = Path(self._whole(name))
            return path.stat().st_size if path.is_file() else None
        with _told(SinkError, self.root, "cannot be looked at"):
            system, there = _opened(self._whole(name))
            # What another process has put there counts too.
            system.invalidate_cache()
            try:
                return int(system.info(there)["size"])
            except FileNotFoundError:
                return None

    @contextmanager
    def beside(self) -> Iterator[Path]:
        """A folder of this machine for files that are to be published. Raises SinkError."""
        with _scratch(_cache() if is_url(self.root) else Path(self.root) / HIDDEN) as folder:
            yield folder

    def publish(self, path: Path, name: str) -> None:
        """Give the file at `path` that name, in the place of what had it. Raises SinkError."""
        with _told(SinkError, self.root, "cannot be written to"):
            if is_url(self.root):
                system, there = _opened(self._whole(name))
                system.put_file(str(path), there)
            else:
                whole = Path(self._whole(name))
                whole.parent.mkdir(parents=True, exist_ok=True)
                path.replace(whole)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path to write a file to that is published as `name` in the end. Raises SinkError."""
        with self.beside() as folder:
            yield folder / posixpath.basename(name)
            self.publish(folder / posixpath.basename(name), name)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """A path to read the file from. Raises SourceError."""
        if not is_url(self.root):
            yield Path(self._whole(name))
            return
        with _scratch(_cache()) as folder:
            path = folder / posixpath.basename(name)
            with _told(SourceError, self.root, "cannot be read"):
                system, there = _opened(self._whole(name))
                system.get_file(there, str(path))
            yield path

    def remove(self, folder: str) -> None:
        """Remove a folder with all that is in it, if there is one."""
        if not is_url(self.root):
            shutil.rmtree(self._whole(folder), ignore_errors=True)
            return
        with _told(SinkError, self.root, "cannot be cleared"), suppress(FileNotFoundError):
            system, there = _opened(self._whole(folder))
            system.rm(there, recursive=True)

    def sweep(self) -> None:
        """Remove what processes that were killed have left of files that they wrote; and our own folder, if empty."""
        home = Path(self.root) / HIDDEN
        if not is_url(self.root) and home.is_dir():
            for folder in home.glob(f"{UNFINISHED}*"):
                _remove_unused(folder)
            with suppress(OSError):
                home.rmdir()
