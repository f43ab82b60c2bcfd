"""The system's ffmpeg as a way in, for what this libav cannot read: SRT."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from streamderain.media.connection import Away
from streamderain.media.url import redacted

LEAVE_SECONDS = 0.5
"""What ffmpeg is given to end by itself: it has nothing to finish."""


class Incoming:
    """ffmpeg, which reads `url` and passes its packets on, as a transport stream, to whoever listens at `target` with
    `options`, a socket that only this user reaches. Raises Away where there is no ffmpeg.
    """

    def __init__(self, url: str) -> None:
        self.reason = ""
        program = shutil.which("ffmpeg")
        if program is None:
            raise Away("refused", "SRT needs a program called ffmpeg on PATH; install it", hopeless=True)
        self._folder = tempfile.TemporaryDirectory(prefix="streamderain-")
        self.target = f"unix:{Path(self._folder.name) / 'stream'}"
        self.options = {"listen": "1"}
        # Not a pipe, which ffmpeg would block on when nobody reads it.
        self._errors = tempfile.TemporaryFile()
        command = [
            program, "-hide_banner", "-loglevel", "error", "-nostdin",
            "-fflags", "nobuffer", "-probesize", "100000", "-analyzeduration", "500000",
            "-f", "concat", "-safe", "0", "-protocol_whitelist", "pipe,srt", "-i", "pipe:0",
            "-map", "0", "-c", "copy", "-copyts", "-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1",
            "-f", "mpegts", self.target,
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors, start_new_session=True
        )
        # By a list of one, as everybody could read a command, its passphrase included.
        quoted = url.replace("'", r"'\''")
        assert self._process.stdin
        with suppress(OSError), self._process.stdin as pipe:
            pipe.write(f"ffconcat version 1.0\nfile '{quoted}'\n".encode())

    def end(self) -> None:
        """End it, whatever it is at; `reason` is then why it failed, if it did."""
        self._process.terminate()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        # Without the address of its part that says so, another one each time.
        self.reason = redacted(re.sub(r"^\[[^]]*\] ?", "", lines[0]).strip()) if lines else ""
        self._errors.close()
        self._folder.cleanup()
