"""The page's server, asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiortc import RTCPeerConnection, RTCSessionDescription
from yarl import URL

from streamderain.errors import ConfigError, SinkError
from streamderain.preview.handlers import Handlers, Refusal, Streams, Watched
from streamderain.preview.server import MOST_VIEWERS, PreviewServer
from streamderain.preview.sink import Preview
from tests.preview.conftest import BLUE, RED, Camera, noise, red_and_blue
from tests.waiting import wait_until

NAME = "front%2Fdoor%201"


def ask(url: str, data: object = None) -> tuple[int, Any]:
    """GET, or POST `data`: bytes as they are, anything else as JSON."""

    async def run() -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session:
            body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
            async with session.request("GET" if data is None else "POST", url, data=body) as reply:
                return reply.status, await reply.json()

    url = URL(url, encoded=True)  # type: ignore[assignment]
    return asyncio.run(run())


def refusal(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    assert set(body) == {"error"}
    assert "\n" not in body["error"]
    return status, body["error"]


def mjpeg(url: str) -> socket.socket:
    """A raw client that has asked for the pictures, and reads nothing by itself."""
    address = urlsplit(url)
    assert address.hostname
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connection.settimeout(20)
    connection.connect((address.hostname, address.port))
    connection.sendall(f"GET /streams/{NAME}.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def test_importing_the_room_loads_neither_aiohttp_nor_aiortc() -> None:
    code = (
        "import sys, streamderain.preview, streamderain.preview.sink; print({'aiohttp', 'aiortc'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_streams_and_their_numbers(server: PreviewServer, preview: Preview, camera: Camera) -> None:
    server.add("back", Camera(connected=False))
    streams = [{"name": "front/door 1", "connected": True}, {"name": "back", "connected": False}]
    assert ask(server.url + "api/streams") == (200, streams)
    status, told = ask(server.url + f"api/streams/{NAME}")
    assert status == 200
    assert told == {
        "name": "front/door 1", "numbers": camera.numbers(), "settings": camera.settings(), "may_change": True
    }  # fmt: skip
    assert refusal(ask(server.url + "api/streams/nobody"))[0] == 404
    server.remove("back")
    assert ask(server.url + "api/streams")[1] == streams[:1]
    with pytest.raises(ConfigError, match="on the page already"):
        server.add("front/door 1", camera)


def test_settings_reach_the_stream(server: PreviewServer, preview: Preview, camera: Camera) -> None:
    assert ask(server.url + f"api/streams/{NAME}/settings", {"strength": 0.25}) == (
        200,
        {"strength": 0.25, "blend": 0.5},
    )
    assert camera.adjusted == [{"strength": 0.25}]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[" * 60000, {"strength": 2}, {"speed": 1}, {"blend": 0.13}, [1], {"strength": "1"}]
)
def test_bad_settings_are_refused(server: PreviewServer, preview: Preview, camera: Camera, data: object) -> None:
    assert refusal(ask(server.url + f"api/streams/{NAME}/settings", data))[0] == 400
    assert camera.adjusted == []


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        (b"garbage", 400),
        ({}, 400),
        ({"type": "answer", "sdp": "v=0"}, 400),
        ({"type": "offer", "sdp": 5}, 400),
        ({"type": "offer", "sdp": "v=0", "stream": "nobody"}, 404),
        ({"type": "offer", "sdp": "v=0", "stream": ["front/door 1"]}, 404),
        ({"type": "offer", "sdp": "", "stream": "front/door 1"}, 400),
        ({"type": "offer", "sdp": "garbage\r\nm=video\r\na=\x00", "stream": "front/door 1"}, 400),
        ({"type": "offer", "sdp": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "stream": "front/door 1"}, 400),
        ({"type": "offer", "sdp": "v=0" + "\r\nm=video 9 UDP/TLS/RTP/SAVPF 96" * 50, "stream": "front/door 1"}, 400),
    ],
)
def test_bad_offers_are_refused(server: PreviewServer, preview: Preview, offer: object, status: int) -> None:
    assert refusal(ask(server.url + "offer", offer))[0] == status
    assert not preview.watched


def test_too_large_a_body_is_refused(server: PreviewServer, preview: Preview) -> None:
    assert refusal(ask(server.url + "offer", b"x" * 100_000))[0] == 413


def test_without_frames_there_is_no_webrtc_and_no_need_of_aiortc() -> None:
    code = """
import sys
from streamderain.preview.server import PreviewServer
PreviewServer(port=0).close()
print('aiortc' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    with PreviewServer(port=0) as server:
        server.add("cam", Camera())
        offer = {"type": "offer", "sdp": "v=0", "stream": "cam"}
        assert refusal(ask(server.url + "offer", offer))[0] == 501


def test_mjpeg_is_multipart_and_shows_both_pictures(
    server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)

    async def run() -> list[bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(URL(server.url + f"streams/{NAME}.mjpg", encoded=True)) as reply,
        ):
            assert reply.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
            reader = aiohttp.MultipartReader.from_response(reply)
            pictures = []
            for _ in range(3):
                part = await reader.next()
                assert isinstance(part, aiohttp.BodyPartReader)
                assert part.headers["Content-Type"] == "image/jpeg"
                pictures.append(bytes(await part.read()))
            return pictures

    pictures = asyncio.run(run())
    assert len(set(pictures)) == 3
    pixels = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (64, 192, 3)
    # In BGR.
    assert abs(int(pixels[30, 40, 2]) - RED[0]) < 8
    assert abs(int(pixels[30, 150, 0]) - BLUE[2]) < 8
    wait_until(lambda: not preview.watched)


def raw(server: PreviewServer, path: str, headers: str = "") -> tuple[int, bytes]:
    """A request whose path is sent as it stands there, and the body of the answer."""
    address = urlsplit(server.url)
    assert address.hostname
    with socket.create_connection((address.hostname, address.port), 20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode())
        received = b""
        while more := connection.recv(1 << 16):
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_recordings_are_listed_and_played_in_parts(
    server: PreviewServer, preview: Preview, camera: Camera, tmp_path: Path
) -> None:
    for number, name in enumerate(["rain-1.mkv", "rain 2.mp4"]):
        (tmp_path / name).write_bytes(bytes(range(100)))
        os.utime(tmp_path / name, (1000.0 + number, 1000.0 + number))
        camera.files[f"1/{name}"] = tmp_path / name
    camera.files["1/gone.mkv"] = tmp_path / "gone.mkv"
    status, told = ask(server.url + f"api/streams/{NAME}/recordings")
    assert (status, told[0]) == (200, {"name": "1/rain 2.mp4", "bytes": 100, "at": 1001.0})
    assert [each["name"] for each in told] == ["1/rain 2.mp4", "1/rain-1.mkv"]
    path = f"/streams/{NAME}/recordings/1"
    assert raw(server, f"{path}/rain%202.mp4") == (200, bytes(range(100)))
    assert raw(server, f"{path}/rain-1.mkv", "Range: bytes=10-19\r\n") == (206, bytes(range(10, 20)))
    assert raw(server, f"{path}/gone.mkv")[0] == 404


@pytest.mark.parametrize(
    "end",
    [
        "1/secret", "1/../secret", "../secret", "1/..%2Fsecret", "1/%2e%2e%2fsecret", "..%2F/secret",
        "/etc/passwd", "1/%2Fetc%2Fpasswd", "1/rain.mkv%00", "1/..%5Csecret", "1/rain.mkv/../secret", "2/rain.mkv",
        "1%2Frain.mkv", "1/", "%2e/.",
    ],
)  # fmt: skip
def test_nothing_but_recordings_can_be_had(
    server: PreviewServer, preview: Preview, camera: Camera, tmp_path: Path, end: str
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (tmp_path / "secret").write_text("s3cr3t")
    (folder / "secret").write_text("s3cr3t")
    (folder / "rain.mkv").write_text("rain")
    camera.files["1/rain.mkv"] = folder / "rain.mkv"
    status, body = raw(server, f"/streams/{NAME}/recordings/{end}")
    assert status in (400, 404)
    assert b"s3cr3t" not in body
    assert b"root:" not in body
    assert raw(server, f"/streams/{NAME}/recordings/1/rain.mkv") == (200, b"rain")


def snapshot(server: PreviewServer, query: str = "") -> tuple[int, Any]:
    async def run() -> tuple[int, Any]:
        url = URL(server.url + f"streams/{NAME}/snapshot.jpg{query}", encoded=True)
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            if reply.content_type == "application/json":
                return reply.status, (await reply.json())["error"]
            assert reply.content_type == "image/jpeg"
            return reply.status, cv2.imdecode(np.frombuffer(await reply.read(), np.uint8), cv2.IMREAD_COLOR)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("query", "channel", "shape"),
    [("", 0, (64, 96, 3)), ("?rainy=1", 2, (64, 96, 3)), ("?width=48", 0, (32, 48, 3)), ("?width=400", 0, (64, 96, 3))],
)
def test_a_snapshot_is_one_whole_picture(
    server: PreviewServer, preview: Preview, feed: Callable[..., None], query: str, channel: int, shape: tuple[int, ...]
) -> None:
    feed(red_and_blue)
    status, pixels = snapshot(server, query)
    assert (status, pixels.shape, int(pixels[20, 20].argmax())) == (200, shape, channel)
    wait_until(lambda: not preview.watched)


def test_a_snapshot_that_cannot_be_says_why(server: PreviewServer, preview: Preview, camera: Camera) -> None:
    for width in ("0", "1e3", "99999", "-5", "%D9%A3%D9%A3"):
        status, why = snapshot(server, f"?width={width}")
        assert (status, why.endswith("allowed: 16 to 8192")) == (400, True)
    camera._numbers |= {"connected": False, "reason": "refused, 401"}
    assert snapshot(server) == (503, "the source is away (refused, 401); try again later")
    assert refusal(ask(server.url + "streams/nobody/snapshot.jpg"))[0] == 404


def test_a_snapshot_waits_for_a_picture_and_not_for_ever(preview: Preview, camera: Camera) -> None:
    async def run() -> int:
        streams = Streams(1)
        streams["cam"] = Watched(camera, Preview(asyncio.get_running_loop()))
        handlers, request = Handlers(streams, None, 1.0, patience_seconds=0.01), make_mocked_request("GET", "/")
        request._match_info = {"name": "cam"}  # type: ignore[assignment]
        with pytest.raises(Refusal, match=r"no picture came within 0\.01 s") as caught:
            await handlers._snapshot(request)
        assert not streams["cam"].preview.watched
        return caught.value.status

    assert asyncio.run(run()) == 503


@pytest.mark.parametrize("server", [1.0], indirect=True)
def test_a_client_that_never_reads_is_dropped_and_disturbs_nobody(
    server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(noise)
    with mjpeg(server.url), mjpeg(server.url) as reader:
        wait_until(lambda: preview.viewers == 2)
        taken = 0
        while preview.viewers == 2:
            taken += len(reader.recv(1 << 16))
        assert preview.viewers == 1
        assert taken > 1 << 20
        assert reader.recv(1 << 16)
        assert ask(server.url + "api/streams")[0] == 200
    wait_until(lambda: not preview.watched)


def test_a_client_that_leaves_before_a_picture_comes_is_forgotten(server: PreviewServer, preview: Preview) -> None:
    with mjpeg(server.url):
        wait_until(lambda: preview.watched)
    wait_until(lambda: not preview.watched)


def test_viewers_are_bounded(server: PreviewServer, preview: Preview) -> None:
    viewers = [mjpeg(server.url) for _ in range(MOST_VIEWERS)]
    try:
        wait_until(lambda: preview.viewers == MOST_VIEWERS)
        assert refusal(ask(server.url + f"streams/{NAME}.mjpg"))[0] == 503
        assert refusal(ask(server.url + "offer", {"type": "offer", "sdp": "v=0", "stream": "front/door 1"}))[0] == 503
    finally:
        for viewer in viewers:
            viewer.close()
    wait_until(lambda: not preview.watched)


def test_a_stream_that_is_removed_ends_its_viewers(server: PreviewServer, preview: Preview) -> None:
    with mjpeg(server.url) as viewer:
        wait_until(lambda: preview.watched)
        server.remove("front/door 1")
        received = b""
        while not received.endswith(b"\r\n0\r\n\r\n"):
            more = viewer.recv(1 << 16)
            assert more
            received += more
    wait_until(lambda: not preview.watched)


def test_webrtc_brings_both_pictures_and_ends_with_the_stream(
    server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)

    async def run() -> np.ndarray:
        peer = RTCPeerConnection()
        ended = asyncio.Event()
        try:
            transceiver = peer.addTransceiver("video", direction="recvonly")
            peer.on("connectionstatechange", lambda: peer.connectionState == "closed" and ended.set())
            await peer.setLocalDescription(await peer.createOffer())
            offer = {"type": "offer", "sdp": peer.localDescription.sdp, "stream": "front/door 1"}
            async with aiohttp.ClientSession() as session, session.post(server.url + "offer", json=offer) as reply:
                await peer.setRemoteDescription(RTCSessionDescription(**await reply.json()))
            frame = await asyncio.wait_for(transceiver.receiver.track.recv(), 20)
            assert preview.viewers == 1
            server.remove("front/door 1")
            await asyncio.wait_for(ended.wait(), 20)
            return frame.to_ndarray(format="rgb24")
        finally:
            await peer.close()

    pixels = asyncio.run(run())
    assert pixels.shape == (64, 192, 3)
    assert pixels[30, 40].argmax() == 0
    assert pixels[30, 150].argmax() == 2
    wait_until(lambda: not preview.watched)


def test_other_routes_stand_beside_the_page_and_come_first() -> None:
    async def own(request: web.Request) -> web.Response:
        return web.json_response(["own"])

    @web.middleware
    async def marks(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        response.headers["X-Marked"] = "yes"
        return response

    routes = [web.post("/api/streams", own), web.get("/api/streams", own), web.get("/metrics", own)]
    with PreviewServer(port=0, routes=routes, middlewares=[marks]) as server:
        assert ask(server.url + "api/streams") == (200, ["own"])
        assert ask(server.url + "api/streams", {}) == (200, ["own"])
        assert ask(server.url + "metrics") == (200, ["own"])


def test_a_port_that_is_taken_is_an_error_with_advice(server: PreviewServer) -> None:
    port = urlsplit(server.url).port
    assert port
    with pytest.raises(SinkError, match=rf"cannot listen on 127.0.0.1:{port}: .*in use; try another port"):
        PreviewServer(port=port)


def test_closing_ends_viewers_and_thread_and_may_be_done_twice(
    server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)
    with mjpeg(server.url) as viewer:
        wait_until(lambda: preview.watched)
        server.close()
        assert not [each for each in threading.enumerate() if each.name.startswith("streamderain-preview")]
        while viewer.recv(1 << 16):
            pass
    server.close()
    with pytest.raises(aiohttp.ClientConnectionError):
        ask(server.url)
