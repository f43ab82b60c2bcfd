"""Viewers by WebRTC that go away before they have come."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

from aiortc import RTCPeerConnection

from streamderain.preview.peers import Peers
from streamderain.preview.sink import Preview
from tests.preview.conftest import make_frame


def test_a_viewer_that_leaves_in_the_middle_of_its_offer_leaves_nothing_open() -> None:
    async def run() -> None:
        browser = RTCPeerConnection()
        browser.addTransceiver("video", direction="recvonly")
        await browser.setLocalDescription(await browser.createOffer())
        peers, preview = Peers(make_frame), Preview(asyncio.get_running_loop())
        for turns in range(40):
            answering = asyncio.create_task(peers.answer(preview, browser.localDescription.sdp))
            for _ in range(turns):
                await asyncio.sleep(0)
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering
        await peers.close()
        await browser.close()
        assert not preview.watched

    asyncio.run(run())
    # A socket that nobody has closed complains when it is collected.
    gc.collect()
