"""The system's ffmpeg as a process that reads from a pipe, how it ends, and what it says then."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from streamderain.media.url import redacted


class FfmpegProcess(subprocess.Popen[bytes]):
    """Runs `command`, which is whole, and reads what is written to its `pipe`. Whoever starts one ends it."""

    def __init__(self, command: Sequence[str]) -> None:
        # Not a pipe, which ffmpeg would block on when nobody reads it.
        self._errors = tempfile.TemporaryFile()
        self._said = ""
        super().__init__(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors, start_new_session=True
        )

    @property
    def pipe(self) -> IO[bytes]:
        """Its standard input."""
        assert self.stdin
        return self.stdin

    def end(self, within: float | None = None) -> None:
        """Let it finish what it was given, or kill it where that takes longer than `within` seconds."""
        with suppress(OSError):  # it had closed it already
            self.pipe.close()
        try:
            self.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
        self.said()
        self._errors.close()

    def said(self) -> str:
        """The first line of its errors, without secrets, or nothing: it gives the reason first, and what followed from
        it last.
        """
        if not self._errors.closed:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").splitlines()
            self._said = redacted(next((line.strip() for line in lines if line.strip()), ""))
        return self._said
