"""Locks on open files, by flock: held by processes and gone with them, however they end; what is left of the file holds
nothing up. Where the system has none, as on Windows, everybody has every lock.
"""

from __future__ import annotations

from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ARE_THERE = fcntl is not None


def lock(file: int | IO[str] | IO[bytes], shared: bool = False, waits: bool = True) -> None:
    """Lock an open file or descriptor, in the place of the lock that it has: for itself alone, or `shared` with others
    that share it.

    Raises BlockingIOError where another has it and this one does not wait, OSError where the file system has no locks.
    """
    if fcntl:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if waits else fcntl.LOCK_NB))


def unlock(file: int | IO[str] | IO[bytes]) -> None:
    """Let others have it; closing the file does too."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_UN)
