"""SRT, which this libav cannot read or write: the system's ffmpeg as a way in, and as a way out."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from streamderain.errors import SinkError
from streamderain.media.connection import Away
from streamderain.media.ffmpeg_process import FfmpegProcess
from streamderain.media.url import public

_PLAIN = {"mode", "latency", "connect_timeout", "timeout", "pkt_size", "payload_size", "maxbw", "pbkeylen"}
"""What of an SRT URL anybody may read."""

_QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin")

_LEAVE_SECONDS = 0.5
"""What the way in is given to end by itself: it has nothing to finish."""

_SEND_SECONDS = 5.0
"""What the way out is given to send what it has."""

_LAST_WORDS_SECONDS = 1.0
"""What one that has failed is given to say why."""


class Incoming(FfmpegProcess):
    """Reads `url` and passes its packets on, as a transport stream, to whoever listens at `target` with `options`, a
    socket that only this user reaches. Raises Away where there is no ffmpeg.
    """

    def __init__(self, url: str) -> None:
        program = shutil.which("ffmpeg")
        if program is None:
            raise Away("refused", "SRT needs a program called ffmpeg on PATH; install it", hopeless=True)
        self._folder = tempfile.TemporaryDirectory(prefix="streamderain-")
        self.target = f"unix:{Path(self._folder.name) / 'stream'}"
        self.options = {"listen": "1"}
        super().__init__([
            program, *_QUIET, "-fflags", "nobuffer", "-probesize", "100000", "-analyzeduration", "500000",
            "-f", "concat", "-safe", "0", "-protocol_whitelist", "pipe,srt", "-i", "pipe:0",
            "-map", "0", "-c", "copy", "-copyts", "-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1",
            "-f", "mpegts", self.target,
        ])  # fmt: skip
        # By a list of one, as everybody could read a command, its passphrase included.
        quoted = url.replace("'", r"'\''")
        with suppress(OSError), self.pipe as pipe:
            pipe.write(f"ffconcat version 1.0\nfile '{quoted}'\n".encode())

    def end(self, within: float | None = _LEAVE_SECONDS) -> None:
        """End it, whatever it is at."""
        self.terminate()
        super().end(within)
        self._folder.cleanup()

    def said(self) -> str:
        """Why it failed, if it did; without the address of its part that says so, another one each time."""
        return re.sub(r"^\[[^]]*\] ?", "", super().said())


class Outgoing(FfmpegProcess):
    """Sends the transport stream that it reads from its pipe to `url`. Raises SinkError where there is no ffmpeg."""

    def __init__(self, url: str) -> None:
        program = program_for(url)
        self._secrets = tempfile.NamedTemporaryFile("w", suffix=".ffpreset")
        super().__init__([
            program, *_QUIET,
            "-fpsprobesize", "0", "-probesize", "100000", "-analyzeduration", "200000", "-f", "mpegts", "-i", "pipe:0",
            "-map", "0", "-c", "copy", "-fpre", self._secrets.name, "-muxdelay", "0", "-muxpreload", "0",
            "-max_interleave_delta", "1", "-flush_packets", "1", "-f", "mpegts", self._without_secrets(url),
        ])  # fmt: skip

    def _without_secrets(self, url: str) -> str:
        """The URL without what everybody could read in the list of processes; that goes by a file."""
        # No fragment: the ids of streams begin with #.
        place, _, query = url.partition("?")
        pairs = parse_qsl(query)
        secret = [(key, value) for key, value in pairs if key not in _PLAIN]
        for key, value in secret:
            print(f"{key}={value}", file=self._secrets, flush=True)
        plain = urlencode([pair for pair in pairs if pair not in secret])
        return f"{place}?{plain}" if plain else place

    def end(self, within: float | None = _SEND_SECONDS) -> None:
        """Let it send what it has, or end it."""
        super().end(within)
        self._secrets.close()

    def said(self) -> str:
        """Its last words, or nothing; when it has failed it has a moment to say them."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(_LAST_WORDS_SECONDS)
        return super().said()


def program_for(url: str) -> str:
    """The ffmpeg that sends to this URL. Raises SinkError where there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise SinkError(f"{public(url)} needs a program called ffmpeg on PATH; install it, or publish by rtsp://")
    return program
