"""The recordings of an output: which there are, and which have to go."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from streamderain.media.outlet import is_recording
from streamderain.quantities import kept

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0

_DATED = r"-\d{8}-\d{6}(?:-\d+)?"
"""What a piece has behind its output's name."""


class Keeper:
    """Deletes the oldest pieces of the recording `name` that are older or together larger than `keep` allows, such as
    ("7d", "200GB"); never `now`, the one that is being written, nor a link, nor what is not named like a piece.

    Raises ConfigError for what `keep` cannot be.
    """

    def __init__(
        self,
        name: str,
        keep: Sequence[str],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._seconds, self._bytes = kept(keep)
        self._clock, self._monotonic = clock, monotonic
        self._looked_at: float | None = None

    def tidy(self, now: Path | None) -> None:
        """Look, once a minute."""
        seconds = self._monotonic()
        if self._looked_at is not None and seconds - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = seconds
        gone = 0
        for path in self._too_many(now):
            try:
                path.unlink(missing_ok=True)
                gone += 1
            except OSError as error:
                logger.warning("%s cannot be removed: %s", path, error.strerror)
        if gone:
            logger.info("%s: %d old recordings removed", self._name, gone)

    def _too_many(self, now: Path | None) -> list[Path]:
        """The oldest first."""
        found = [(path, status) for path, status in _found(self._name, _DATED) if path != now]
        found.sort(key=lambda each: (each[1].st_mtime, each[0].name))
        room = self._bytes
        if room is not None and now is not None and now.exists():
            room -= now.stat().st_size
        going = []
        for path, status in reversed(found):
            if room is not None:
                room -= status.st_size
            is_old = self._seconds is not None and self._clock() - status.st_mtime > self._seconds
            if is_old or (room is not None and room < 0):
                going.append(path)
        return going[::-1]


def recordings(outputs: Sequence[str]) -> dict[str, Path]:
    """The files of those outputs that record: `NUMBER/FILE`, the output's number from 1, and where it is."""
    return {
        f"{number}/{path.name}": path
        for number, output in enumerate(outputs, 1)
        if is_recording(output)
        for path, _ in _found(output, rf"(?:{_DATED}|-\d+)?")
    }


def _found(name: str, between: str) -> Iterator[tuple[Path, os.stat_result]]:
    """Files called like the recording with `between`, a regular expression, before their ending. No links: what they
    lead to is not ours.
    """
    path = Path(name)
    pattern = re.compile(re.escape(path.stem) + between + re.escape(path.suffix))
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    yield path.parent / entry.name, entry.stat(follow_symlinks=False)
    except OSError as error:
        logger.debug("%s cannot be looked at: %s", path.parent, error.strerror)
