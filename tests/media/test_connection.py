"""Sources that come over HTTP and UDP, and packets without a picture."""

from __future__ import annotations

import functools
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import pytest

from streamderain.errors import SourceError
from streamderain.media import connection
from streamderain.media.address import parse
from streamderain.media.connection import Away, LibavConnection
from streamderain.media.live import Backoff, LiveSource
from tests.media.conftest import Studio


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Where the test's folder is served."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(QuietHandler, directory=tmp_path)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def remuxed(clip: Path, target: str, format: str, pace: float = 0, **options: str) -> None:
    """Copy every packet of `clip`, with `pace` seconds between two."""
    with av.open(clip) as source, av.open(target, "w", format=format, options=options) as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                sink.mux(packet)
                time.sleep(pace)


def test_hls_comes_at_its_own_pace_although_its_segments_come_at_once(web: str, studio: Studio) -> None:
    clip = studio.clip(pts=range(30), options={"preset": "ultrafast", "g": "10"})
    remuxed(clip, str(studio.folder / "live.m3u8"), "hls", hls_time="0.4", hls_list_size="0")
    source = LiveSource(parse(f"{web}/live.m3u8"), retries=0, backoff=Backoff(0.01))
    frames = list(islice(source.frames(), 25))
    assert frames[-1].arrived is not None
    assert frames[0].arrived is not None
    assert frames[-1].arrived - frames[0].arrived > 0.7


def test_a_missing_playlist_may_come_yet(web: str) -> None:
    source = LiveSource(parse(f"{web}/missing.m3u8"), retries=2, backoff=Backoff(0.01))
    with pytest.raises(SourceError, match="404 Not Found; given up after 2 attempts"):
        next(source.frames())
    assert source.counts["refused"] == 3


def test_a_file_over_http_is_a_file(web: str, studio: Studio) -> None:
    studio.clip("clip.mp4", pts=range(5))
    source = LiveSource(parse(f"{web}/clip.mp4"), realtime=True)
    assert len(list(source.frames())) == 5


def test_a_transport_stream_over_udp(clip: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = LiveSource(parse(f"udp://127.0.0.1:{port}"), frozen_after=3)
    done = threading.Event()

    def send() -> None:
        while not done.is_set():
            remuxed(clip, f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts", pace=0.01)

    sender = threading.Thread(target=send)
    sender.start()
    alarm = threading.Timer(30, source.close)
    alarm.start()
    frames = source.frames()
    try:
        assert len(list(islice(frames, 20))) == 20
    finally:
        frames.close()  # type: ignore[attr-defined]
        done.set()
        alarm.cancel()
        sender.join()
        alarm.join()
    assert source.audio_stream is not None
    assert source.audio_stream.codec_context.sample_rate == 48000


def test_packets_without_a_picture_are_a_frozen_source(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_FIRST_SECONDS", 0.0)
    opened = LibavConnection(av.open(clip), True, 0.0, time.sleep, lambda detail: None)
    with pytest.raises(Away, match="packets come, but no picture") as raised:
        list(opened.items())
    assert raised.value.kind == "frozen"
    opened.close()


def test_a_source_without_video_is_refused(studio: Studio, clip: Path) -> None:
    with av.open(clip) as source, av.open(studio.folder / "sound.mkv", "w") as sink:
        track = sink.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = track
                sink.mux(packet)
    with pytest.raises(SourceError, match="it sends no video that this libav can decode"):
        next(LiveSource(parse(str(studio.folder / "sound.mkv")), realtime=True).frames())
