"""Pictures and sound that are published by WHIP, with aiortc as the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from yarl import URL

from streamderain.preview.server import PreviewServer
from tests.preview.conftest import Camera, make_frame
from tests.preview.test_whep import SDP, asked, offered
from tests.waiting import wait_until


class Publication:
    def __init__(self, has_sound: bool) -> None:
        self.has_sound, self.is_wanted, self.ended = has_sound, True, False
        self.frames: list[Any] = []

    def put(self, frame: Any) -> None:
        self.frames.append(frame)

    def end(self) -> None:
        self.is_wanted, self.ended = False, True

    def has(self, *kinds: str) -> bool:
        return {type(each).__name__ for each in list(self.frames)} == set(kinds)


class Taker(Camera):
    """A stream that is published to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Publication] = []

    def intake(self) -> Any:
        return self

    def begin(self, has_sound: bool) -> Publication:
        self.begun.append(Publication(has_sound))
        return self.begun[-1]


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def whip(taker: Taker) -> Iterator[URL]:
    with PreviewServer("0.0.0.0", 0, "only for us", make_frame, view_token="just looking") as server:
        server.add("front door", taker)
        server.add("other", Camera())
        yield URL(f"{server.url}streams/front%20door/whip", encoded=True)


OURS = {"Authorization": "Bearer only for us"}


@asynccontextmanager
async def publishing(url: URL, *tracks: Any, bare: bool = False) -> Any:
    """A publisher that is connected, and where it is ended; `bare` as OBS does it, without candidates."""
    peer = RTCPeerConnection()
    for track in tracks:
        peer.addTrack(track)
    await peer.setLocalDescription(await peer.createOffer())
    lines = peer.localDescription.sdp.splitlines()
    if bare:
        lines = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    try:
        async with (
            aiohttp.ClientSession(headers=OURS) as session,
            session.post(url, data="\r\n".join([*lines, ""]), headers=SDP) as reply,
        ):
            assert (reply.status, reply.content_type) == (201, "application/sdp")
            place = url.join(URL(reply.headers["Location"], encoded=True))
            answer = await reply.text()
        assert "a=setup:passive" in answer
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield peer, place
    finally:
        await peer.close()


async def until(condition: Any) -> None:
    await asyncio.to_thread(wait_until, condition)


@pytest.mark.parametrize("bare", [False, True], ids=["candidates", "none, as OBS"])
def test_pictures_and_sound_come_in_until_it_is_ended(whip: URL, taker: Taker, bare: bool) -> None:
    async def run() -> None:
        async with publishing(whip, VideoStreamTrack(), AudioStreamTrack(), bare=bare) as (peer, place):
            await until(lambda: taker.begun and taker.begun[0].has("VideoFrame", "AudioFrame"))
            assert taker.begun[0].has_sound
            async with aiohttp.ClientSession(headers=OURS) as session:
                async with session.delete(place) as reply:
                    assert reply.status == 200
                await until(lambda: taker.begun[0].ended and peer.connectionState == "closed")
                async with session.delete(place) as reply:
                    assert reply.status == 404

    asyncio.run(run())


def test_one_that_just_goes_is_forgotten(whip: URL, taker: Taker) -> None:
    async def run() -> None:
        async with publishing(whip, VideoStreamTrack()):
            await until(lambda: taker.begun and taker.begun[0].has("VideoFrame"))

    asyncio.run(run())
    wait_until(lambda: taker.begun[0].ended)
    assert not taker.begun[0].has_sound


def test_one_that_is_not_wanted_any_more_is_told_so(whip: URL, taker: Taker) -> None:
    async def run() -> None:
        async with publishing(whip, VideoStreamTrack()) as (peer, _):
            await until(lambda: bool(taker.begun))
            taker.begun[0].is_wanted = False
            await until(lambda: peer.connectionState == "closed")

    asyncio.run(run())


def test_who_may_look_may_not_publish(whip: URL, taker: Taker) -> None:
    for headers, status in (({}, 401), ({"Authorization": "Bearer just looking"}, 403)):
        assert asked(whip, "v=0", SDP | headers)[0] == status
        assert asked(whip / "x", "", headers, "DELETE")[0] == status
    assert not taker.begun


async def _offer(*kinds: str) -> str:
    peer = RTCPeerConnection()
    try:
        return await offered(peer, *kinds)
    finally:
        await peer.close()


def test_what_cannot_be_published_is_refused(whip: URL, taker: Taker) -> None:
    offer = asyncio.run(_offer("video"))
    for sent, why in (
        (offer, "the offer sends nothing; allowed: one video, and one audio beside it"),
        (offer.replace("recvonly", "sendonly").replace("m=video", "m=audio"), ""),
        (asyncio.run(_offer("audio")).replace("recvonly", "sendonly"), "the offer sends audio; allowed: one video, "),
        ("garbage\r\nm=video\r\na=\x00", ""),
        ("", ""),
        ("v=0" + 5 * "\r\nm=video", "the offer is too large"),
    ):
        status, reason = asked(whip, sent, SDP | OURS)
        assert status == 400
        assert reason.startswith(why)
    assert asked(whip, "{}", {"Content-Type": "application/json"} | OURS)[0] == 415
    assert asked(whip, b"\xff\xfe", SDP | OURS)[0] == 400
    status, why = asked(whip.parent.parent / "other" / "whip", offer, SDP | OURS)
    assert (status, why) == (
        409, "other has its pictures from elsewhere; who publishes needs a stream of source `whip`",
    )  # fmt: skip
    assert asked(whip.parent.parent / "nobody" / "whip", offer, SDP | OURS)[0] == 404
    assert not taker.begun
