"""What is done of a run: a hidden folder beside the output, with the parts that are whole and a journal of them.

The journal has a line of JSON for what the run was begun with, one for each part, and one for the end. It is written
anew for each, and takes the old one's place when the disk has it; so whatever ends the run finds a whole journal.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from streamderain.errors import SinkError, writing
from streamderain.media.partial import LONGEST_NAME, put
from streamderain.media.parts import Part, times_in

logger = logging.getLogger(__name__)

_LOOKED_AT = 1 << 20
"""Bytes at the beginning, in the middle and at the end of an input by which it is known again."""


class Journal:
    """That of the output `path`, in a `folder` that is there from `claim` on: the `parts` that are whole, whether the
    source `is_over` behind them, and by what `error` it was ended there, if by one.
    """

    def __init__(self, path: Path) -> None:
        name = f".{path.name}.parts"
        if len(os.fsencode(name)) > LONGEST_NAME:
            name = f".{zlib.crc32(os.fsencode(path.name)):08x}.parts"
        self.output, self.folder = path, path.with_name(name)
        self.parts: list[Part] = []
        self.is_over = False
        self.error: str | None = None
        self._began: dict[str, str] = {}
        self._file = self.folder / "journal.jsonl"

    @property
    def exists(self) -> bool:
        """Whether a run was begun."""
        return self._file.exists()

    def claim(self) -> None:
        """Make the folder. Raises SinkError."""
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)

    def leave(self) -> None:
        """Remove the folder where nothing is in it."""
        with suppress(OSError):
            self.folder.rmdir()

    def begin(self, settings: Mapping[str, str], anew: bool = False) -> None:
        """Go on with what was begun with the same `settings`, by what they are called, or begin; `anew` in any case.

        Raises SinkError, which says what is not the same, and where nothing can be written.
        """
        if self.exists and not anew:
            self._read()
            self._check(settings)
            self._look()
            return
        # The folder stays, as it tells that this run has begun.
        self._empty()
        self._began = dict(settings)
        self.claim()
        self._write()

    def _read(self) -> None:
        try:
            began, *lines = [json.loads(line) for line in self._file.read_text().splitlines()]
            self._began = began["began"]
            self.is_over = any("over" in line for line in lines)
            self.error = next((line["over"] for line in lines if "over" in line), None)
            named = [{**line, "path": self.folder / line["path"]} for line in lines if "path" in line]
            self.parts = [Part(**fields) for fields in named]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SinkError(f"{self._file} cannot be read; --overwrite begins anew, or remove its folder") from error

    def _look(self) -> None:
        """Keep the parts before the first that does not hold what it did."""
        for number, part in enumerate(self.parts):
            if not is_whole(part):
                what = "%s is not whole any more; what is from frame %d on is made again"
                logger.warning(what, part.path, part.first)
                self.parts, self.is_over = self.parts[:number], False
                return

    def _check(self, settings: Mapping[str, str]) -> None:
        for name in sorted({*settings, *self._began}):
            was, now = self._began.get(name, "nothing"), settings.get(name, "nothing")
            if was != now:
                change = f"{name} is another" if len(was) > _LONG else f"{name} was {was}, and is {now}"
                self.parts = []
                raise SinkError(
                    f"{self.output} was begun otherwise: {change}; go on with what it was, or --overwrite begins anew"
                )

    def add(self, part: Part) -> None:
        """Book a part that is whole."""
        self.parts.append(part)
        self._write()

    def end(self, error: str | None) -> None:
        """Book that all parts are there, and the `error` in the source behind them, if there is one."""
        self.is_over, self.error = True, error
        self._write()

    @property
    def is_joined(self) -> bool:
        """Whether the output is what became of the parts, and only they are left."""
        if not (self.exists and self.output.exists()):
            return False
        self._read()
        return self.is_over and self.output.stat().st_mtime_ns > self._file.stat().st_mtime_ns

    def remove(self) -> None:
        """Remove the parts, then the journal, and then the folder."""
        self._empty()
        self.leave()

    def _empty(self) -> None:
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path != self._file:
                path.unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)
        self.parts, self.is_over = [], False

    def _write(self) -> None:
        lines: list[Mapping[str, Any]] = [{"began": self._began}]
        lines += [{**asdict(part), "path": part.path.name} for part in self.parts]
        lines += [{"over": self.error}] if self.is_over else []
        new = self._file.with_suffix(".new")
        with writing(self.folder, "; make room, and run again"):
            new.write_text("".join(json.dumps(line) + "\n" for line in lines))
            put(new, self._file)


_LONG = 60
"""Characters from which on a value is a hash, or as telling."""


def is_whole(part: Part) -> bool:
    """Whether its file holds all of its frames, by reading it."""
    try:
        return len(times_in(part.path)) == part.frames > 0
    except SinkError:
        logger.debug("%s", part.path, exc_info=True)
        return False


def known_again_by(path: Path) -> str:
    """What tells a file from another, and from itself before it was changed: size, time, and a hash of some of it."""
    status = path.stat()
    found = blake2b(digest_size=32)
    with path.open("rb") as file:
        for place in (0, status.st_size // 2, max(0, status.st_size - _LOOKED_AT)):
            file.seek(place)
            found.update(file.read(_LOOKED_AT))
    return f"{status.st_size} {status.st_mtime_ns} {found.hexdigest()}"
