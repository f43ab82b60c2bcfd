"""A folder that fills up -> its files, each once it has stopped growing, as an iterator without an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from streamderain.batch.jobs import Job, files_in, job_of

Stamp: TypeAlias = tuple[int, int]
"""Bytes of a file, and when it was last written to, in ns."""

LOOK_SECONDS = 2.0
"""Between two looks at the folder. A file that has not changed from one to the next has stopped growing."""


def watched(top: Path, folder: Path, rest: Callable[[float], None] = time.sleep) -> Iterator[Job]:
    """What becomes of the videos and pictures below `top`, in `folder`; looks again for ever, and lets `rest` pass the
    seconds between.

    A file is taken once it has the same size and time twice. It is never taken again, unless it went on growing and
    nothing came of it.
    """
    top = top.absolute()
    seen: dict[Path, Stamp] = {}
    taken: dict[Path, Stamp] = {}
    while True:
        now = _stamps(top, folder)
        for path, stamp in now.items():
            job = job_of(path, top, folder)
            is_new = path not in taken or (taken[path] != stamp and not job.output.exists())
            # Once more, as it may be long since the folder was looked at.
            if is_new and stamp[0] > 0 and seen.get(path) == stamp == _stamp(path):
                taken[path] = stamp
                yield job
        seen = now
        rest(LOOK_SECONDS)


def _stamps(top: Path, folder: Path) -> dict[Path, Stamp]:
    """Every file's, but for those that are gone again."""
    stamps = ((path, _stamp(path)) for path in files_in(top, folder))
    return {path: stamp for path, stamp in stamps if stamp}


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
