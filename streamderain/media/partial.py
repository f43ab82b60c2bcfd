"""What is not whole yet: a file beside the output's name, which one run alone may write.

The lock is on the file itself and goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av

from streamderain import locks
from streamderain.errors import SinkError

logger = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Bytes in the name of a file, on all systems in use."""

_SYNC_SECONDS = 10.0
"""Seconds of work that a loss of power may cost at most, beside what the encoder holds."""


class Partial:
    """The partial file of `path`, claimed: nobody else can until `publish` or `release`.

    Raises SinkError where another run holds it, and where it or `path` holds something, unless `overwrite` gives leave.
    What it holds may go without a word where all of it is made `again`.
    """

    def __init__(self, path: Path, overwrite: bool = False, again: bool = False) -> None:
        self.output, self.path, self._again = path, partial_of(path), again
        self._synced = time.monotonic()
        try:
            self._lock = _locked(self.path)
        except BlockingIOError:
            raise SinkError(f"{path} is being written by another run; wait for it, or name another output") from None
        except OSError as error:
            raise SinkError(f"{path} cannot be written: {error.strerror}") from error
        try:
            _check(self.output, self.path, overwrite, again)
        except SinkError:
            self.release()
            raise

    def begin(self) -> Path:
        """The file's whole name, for who writes it from now on."""
        if self.path.stat().st_size and not self._again:
            logger.warning("%s is replaced, which an earlier run left", self.path)
        return self.path.absolute()

    def sync(self) -> None:
        """Have the disk take what was written, now and then, so that a loss of power leaves it."""
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()
            self._synced = time.monotonic()

    def publish(self, finish: Callable[[Path, Path], None] | None = None) -> None:
        """Give the file its name. `finish` first writes the file, of the path it is given first, as it is to be, to
        the second; where there is no room for that it stays as it is. Raises OSError.
        """
        whole = self.path
        if finish:
            whole = with_mark(self.output, "finishing")
            try:
                finish(self.path, whole)
            except OSError:
                logger.debug("%s stays as it was written", self.output, exc_info=True)
                whole.unlink(missing_ok=True)
                whole = self.path
        put(whole, self.output)
        if whole != self.path:
            self.path.unlink(missing_ok=True)
        self.release()

    def keep(self) -> int:
        """How many frames are in the file, which is not written any more; one without any is removed, and what is torn
        at its end is cut off, as players would show it.
        """
        frames, torn = whole_frames(self.path)
        if not frames:
            self.path.unlink(missing_ok=True)
        elif torn:
            os.truncate(self.path, torn)
        self.release()
        return frames

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let others have it; an empty file goes."""
        if self._lock is None:
            return
        if os.fstat(self._lock).st_size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    def _sync(self) -> None:
        if self._lock is not None:
            with suppress(OSError):  # not every file system can
                os.fsync(self._lock)


def partial_of(path: Path) -> Path:
    """The name beside `path` of what is not whole yet."""
    return with_mark(path, "partial")


def with_mark(path: Path, mark: str) -> Path:
    """`out.mp4` as `out.MARK.mp4`; cut, with what tells it from others, where that is too long."""
    name = f"{path.stem}.{mark}{path.suffix}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        mark = f"-{zlib.crc32(os.fsencode(path.name)):08x}.{mark}{path.suffix}"
        kept = os.fsencode(path.stem)[: LONGEST_NAME - len(os.fsencode(mark))]
        # Not in the middle of a character.
        name = kept.decode(errors="ignore") + mark
    return path.with_name(name)


def put(path: Path, name: Path) -> None:
    """Give a file its name for good, whatever becomes of the machine. Raises OSError."""
    with path.open("rb") as file, suppress(OSError):  # not every file system can
        os.fsync(file.fileno())
    os.replace(path, name)
    with suppress(OSError):
        folder = os.open(name.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def whole_frames(path: Path) -> tuple[int, int | None]:
    """How many frames a file holds, 0 where the first cannot be decoded; what follows damage does not count. And at
    which byte a packet begins that the end of the file tears.
    """
    frames, torn, is_damaged = 0, None, False
    with suppress(av.FFmpegError, ValueError, OSError, IndexError):
        with av.open(path.absolute(), metadata_errors="replace") as container:
            if next(container.decode(video=0), None) is None:
                return 0, None
        end = path.stat().st_size
        with av.open(path.absolute(), metadata_errors="replace") as container:
            video = container.streams.video[0]
            for packet in container.demux():
                if packet.is_corrupt and packet.pos and packet.pos + packet.size >= end:
                    torn = packet.pos
                if packet.stream_index == video.index:
                    is_damaged |= packet.is_corrupt
                    frames += packet.size > 0 and not is_damaged
    return frames, torn


def _check(path: Path, partial: Path, overwrite: bool, again: bool) -> None:
    if overwrite:
        return
    if path.exists():
        raise SinkError(f"{path} exists; --overwrite replaces it, or name another output")
    if partial.exists() and partial.stat().st_size and not again:
        raise SinkError(f"{partial} is what an earlier run left; move it away, or --overwrite replaces it")


def _locked(path: Path) -> int | None:
    """The file, made where it is not there, open and locked; None where the system has no such locks. Raises
    BlockingIOError where another process, or another run in this one, holds it.
    """
    if not locks.ARE_THERE:
        path.open("ab").close()
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locks.lock(descriptor, waits=False)
            # It may have got its name, or have been removed, since it was opened.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:  # a file system without locks
            return descriptor
        os.close(descriptor)
