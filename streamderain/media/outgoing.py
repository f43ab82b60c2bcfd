"""The system's ffmpeg as a way out, for what this libav cannot write: SRT."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from urllib.parse import parse_qsl, urlencode

from streamderain.errors import SinkError
from streamderain.media.url import public, redacted

ALL_FORMATS = {"max_interleave_delta": "1", "flush_packets": "1"}
"""What every muxer is told: libav's 10 s would hold the picture back for as long when the sound stops."""

_PLAIN = {"mode", "latency", "connect_timeout", "timeout", "pkt_size", "payload_size", "maxbw", "pbkeylen"}
"""What of an SRT URL anybody may read."""


def ffmpeg_for(url: str) -> str:
    """The program that `url` needs. Raises SinkError where there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise SinkError(f"{public(url)} needs a program called ffmpeg on PATH; install it, or publish by rtsp://")
    return program


class Outgoing:
    """ffmpeg, which reads a transport stream from `pipe` and sends it on to `url`, and has `timeout` seconds to end.
    Raises SinkError where there is none.
    """

    def __init__(self, url: str, timeout: float) -> None:
        program = ffmpeg_for(url)
        self._timeout = timeout
        # Not a pipe, which ffmpeg would block on when nobody reads it.
        self._errors = tempfile.TemporaryFile()
        self._secrets = tempfile.NamedTemporaryFile("w", suffix=".ffpreset")
        command = [
            program, "-hide_banner", "-loglevel", "error", "-nostdin",
            "-fpsprobesize", "0", "-probesize", "100000", "-analyzeduration", "200000", "-f", "mpegts", "-i", "pipe:0",
            "-map", "0", "-c", "copy", "-fpre", self._secrets.name, "-muxdelay", "0", "-muxpreload", "0",
            *(word for key, value in ALL_FORMATS.items() for word in (f"-{key}", value)),
            "-f", "mpegts", self._without_secrets(url),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors, start_new_session=True
        )
        self.pipe = self._process.stdin

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

    def said(self) -> str:
        """Its last words, or nothing; when it has failed it has a moment to say them."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        return redacted(lines[0].strip()) if lines else ""

    def end(self) -> None:
        """Let it send what it has, or end it."""
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        self._secrets.close()
