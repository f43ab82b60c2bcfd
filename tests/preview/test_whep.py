"""The derained picture by WHEP, with aiortc as the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from yarl import URL

from streamderain.preview.server import MOST_VIEWERS, PreviewServer
from streamderain.preview.sink import Preview
from tests.preview.conftest import Camera, Feeder, make_frame, red_and_blue
from tests.waiting import wait_until

NAME = "front%2Fdoor%201"
SDP = {"Content-Type": "application/sdp"}


def whep(server: PreviewServer, name: str = NAME) -> URL:
    return URL(f"{server.url}streams/{name}/whep", encoded=True)


async def offered(peer: RTCPeerConnection, *kinds: str, only: str | None = None) -> str:
    """The offer of a player that wants these."""
    for kind in kinds:
        transceiver = peer.addTransceiver(kind, direction="recvonly")
        if only and kind == "video":
            codecs = RTCRtpReceiver.getCapabilities("video").codecs
            transceiver.setCodecPreferences([each for each in codecs if each.mimeType == only])
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


async def played(url: URL, ends: bool, headers: dict[str, str], **offer: Any) -> np.ndarray:
    """One picture, of a viewer that then says that it ends, or just goes."""
    peer = RTCPeerConnection()
    try:
        sdp = await offered(peer, *offer.pop("kinds", ("video",)), **offer)
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(url, data=sdp, headers=SDP) as reply:
                assert (reply.status, reply.content_type) == (201, "application/sdp")
                place = url.join(URL(reply.headers["Location"], encoded=True))
                await peer.setRemoteDescription(RTCSessionDescription(await reply.text(), "answer"))
            (receiver,) = (each for each in peer.getReceivers() if each.track and each.track.kind == "video")
            frame: Any = await asyncio.wait_for(receiver.track.recv(), 60)
            if ends:
                closed = asyncio.Event()
                peer.on("connectionstatechange", lambda: peer.connectionState == "closed" and closed.set())
                async with session.delete(place) as reply:
                    assert reply.status == 200
                await asyncio.wait_for(closed.wait(), 60)
                async with session.delete(place) as reply:
                    assert reply.status == 404
        return np.asarray(frame.to_ndarray(format="rgb24"))
    finally:
        await peer.close()


@pytest.mark.parametrize(
    "offer",
    [{}, {"kinds": ("audio", "video")}, {"kinds": ("video", "audio")}, {"only": "video/H264"}],
    ids=["video", "sound first", "sound last", "h264"],
)
def test_a_player_gets_the_clean_picture_alone(
    server: PreviewServer, preview: Preview, feed: Callable[..., None], offer: dict[str, Any]
) -> None:
    feed(red_and_blue)
    pixels = asyncio.run(played(whep(server), True, {}, **offer))
    assert pixels.shape == (64, 96, 3)
    assert pixels[30, 20].argmax() == pixels[30, 80].argmax() == 2
    wait_until(lambda: not preview.watched)


def test_a_player_that_just_goes_is_forgotten(
    server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)
    asyncio.run(played(whep(server), False, {}))
    wait_until(lambda: not preview.watched)


def test_the_token_comes_as_bearer() -> None:
    with PreviewServer("0.0.0.0", 0, "only for us", make_frame) as server:
        feeder = Feeder(server.add("cam", Camera()), red_and_blue)
        try:
            for token, status in ((None, 401), ("only for them", 401)):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                assert asked(whep(server, "cam"), "v=0", SDP | headers)[0] == status
            pixels = asyncio.run(played(whep(server, "cam"), True, {"Authorization": "Bearer only for us"}))
            assert pixels[30, 20].argmax() == 2
        finally:
            feeder.stop()


def asked(url: URL, data: str | bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, str]:
    async def run() -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=data, headers=headers) as reply,
        ):
            return reply.status, (await reply.json())["error"]

    return asyncio.run(run())


async def _two_videos() -> str:
    peer = RTCPeerConnection()
    try:
        return await offered(peer, "video", "video")
    finally:
        await peer.close()


async def _sound_alone() -> str:
    peer = RTCPeerConnection()
    try:
        return await offered(peer, "audio")
    finally:
        await peer.close()


@pytest.mark.parametrize("offer", [_two_videos, _sound_alone])
def test_one_picture_can_be_had_and_no_more(server: PreviewServer, preview: Preview, offer: Callable[..., Any]) -> None:
    status, why = asked(whep(server), asyncio.run(offer()), SDP)
    assert (status, why) == (400, "the offer must have one section of video; it has others or none")
    wait_until(lambda: not preview.watched)


def test_what_is_no_offer_is_refused(server: PreviewServer, preview: Preview) -> None:
    assert asked(whep(server), "{}", {"Content-Type": "application/json"})[0] == 415
    assert asked(whep(server), b"\xff\xfe", SDP)[0] == 400
    assert asked(whep(server), "", SDP)[0] == 400
    assert asked(whep(server), "garbage\r\nm=video\r\na=\x00", SDP)[0] == 400
    assert asked(whep(server, "nobody"), "v=0", SDP)[0] == 404
    assert asked(whep(server) / "x", "", {}, "DELETE")[0] == 404
    assert not preview.watched


def test_viewers_are_bounded_and_need_webrtc(server: PreviewServer, preview: Preview) -> None:
    for _ in range(MOST_VIEWERS):
        preview.viewers += 1
    assert asked(whep(server), "v=0", SDP)[0] == 503
    preview.viewers = 0
    with PreviewServer(port=0) as plain:
        plain.add("cam", Camera())
        assert asked(whep(plain, "cam"), "v=0", SDP)[0] == 501
