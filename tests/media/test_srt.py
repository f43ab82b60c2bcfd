"""SRT through the system's ffmpeg, from a real sender that dies and comes back."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest

from streamderain.errors import SourceError
from streamderain.media.address import parse
from streamderain.media.live import Backoff, LiveSource, SourceEvent
from tests.media.receivers import free_port

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg")
SECRET = "a-long-se'cret"


@contextmanager
def sender(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A camera that waits for whoever calls and knows the secret."""
    url = f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}"
    command = [
        "ffmpeg", "-loglevel", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=128x72:rate=25",
        "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-f", "mpegts", url,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ours() -> list[str]:
    """The commands of those who pass SRT on."""
    said = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if "protocol_whitelist" in line and "ffmpeg" in line]


@needs_ffmpeg
def test_srt_is_read_lost_and_read_again_and_its_secret_is_in_no_command() -> None:
    port = free_port(socket.SOCK_DGRAM)
    events: list[SourceEvent] = []
    before = len(ours())
    source = LiveSource(
        parse(f"srt://127.0.0.1:{port}?passphrase={SECRET}&latency=50000"), frozen_after=5.0,
        backoff=Backoff(0.05, most=0.05), report=events.append,
    )  # fmt: skip
    frames = source.frames()
    try:
        with sender(port):
            seen = list(islice(frames, 20))
            running = ours()
            assert len(running) == before + 1
            assert "se'cret" not in "".join(running)
            assert (seen[0].layout.width, seen[0].layout.height) == (128, 72)
        with sender(port):
            while sum(event.kind == "connected" for event in events) < 2:
                seen.append(next(frames))
            seen += islice(frames, 5)
    finally:
        source.close()
        frames.close()  # type: ignore[attr-defined]
    times = [frame.seconds for frame in seen]
    assert times == sorted(set(times))
    assert any(event.kind in ("lost", "frozen") for event in events)
    assert not any("cret" in event.detail for event in events)
    assert len(ours()) == before


@needs_ffmpeg
def test_who_is_not_there_and_who_wants_another_secret_refuses() -> None:
    port = free_port(socket.SOCK_DGRAM)

    def refusal(url: str) -> str:
        events: list[SourceEvent] = []
        source = LiveSource(
            parse(url), frozen_after=6.0, retries=0, backoff=Backoff(0.01, most=0.01), report=events.append
        )
        with pytest.raises(SourceError, match="is away"):
            list(source.frames())
        assert events[0].kind == "refused"
        return events[0].detail

    detail = refusal(f"srt://127.0.0.1:{port}?passphrase={SECRET}&connect_timeout=300")
    assert detail.startswith("Connection to srt://127.0.0.1")
    with sender(port):
        assert "cret" not in refusal(f"srt://127.0.0.1:{port}?passphrase=another-secret&connect_timeout=500")


def test_without_ffmpeg_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    source = LiveSource(parse("srt://127.0.0.1:9"))
    with pytest.raises(SourceError, match="needs a program called ffmpeg"):
        list(source.frames())
