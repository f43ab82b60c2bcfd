"""What was done, a line of JSON each, as it happens: whoever starts the same command again goes on from there.

It may end in the middle of a line, as a run may. What it says is checked where the files are; it saves looking again.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any, Self

from streamderain.errors import ConfigError, writing
from streamderain.locks import lock

logger = logging.getLogger(__name__)


class Journal:
    """The journal at `path`, which one run at a time may write. Raises ConfigError where another does, SinkError where
    it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._is_lost, self._is_torn = path, False, False
        with writing(path, "; --journal names another"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        try:
            lock(self._file, waits=False)
        except BlockingIOError:
            self._file.close()
            raise ConfigError(f"{path} is written by another run; wait for it, or name another folder") from None
        except OSError:
            logger.debug("%s is where there are no locks", path)

    def read(self) -> list[dict[str, Any]]:
        """All that it says so far, in order."""
        self._file.seek(0)
        data = self._file.read()
        self._is_torn = not data.endswith(b"\n") and bool(data)
        return [record for line in data.split(b"\n") if (record := _record(line))]

    def note(self, file: str, what: str, **facts: Any) -> None:
        """Add that `what` happened to `file`. Where there is no room for it, that is told once, and the run goes on."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._append(json.dumps({"at": at, "file": file, "what": what, **facts}).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        # Behind half a line it would be lost with that.
        line = b"\n" + line if self._is_torn else line
        try:
            self._is_torn = self._file.write(line) != len(line)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._is_torn = True
            if not self._is_lost:
                logger.warning("%s cannot be written: %s; the run goes on", self.path, error.strerror)
            self._is_lost = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
