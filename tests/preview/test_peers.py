"""Viewers by WebRTC that go away before they have come."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest
from aiortc import RTCPeerConnection

from streamderain.preview.peers import Peers
from streamderain.preview.sink import Preview
from tests.preview.conftest import make_frame


def leave_after(turns: int, closing: bool) -> None:
    """A viewer makes an offer and is gone so many turns of the loop later; or the page closes then."""

    async def run() -> None:
        browser = RTCPeerConnection()
        browser.addTransceiver("video", direction="recvonly")
        await browser.setLocalDescription(await browser.createOffer())
        offer = browser.localDescription.sdp
        await browser.close()
        peers, preview = Peers(make_frame), Preview(asyncio.get_running_loop())
        answering = asyncio.create_task(peers.answer(preview, offer))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not closing:
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering
        await peers.close()
        assert not preview.watched
        answering.cancel()

    # What the end of its loop cuts off has no other chance to close.
    asyncio.run(run())


@pytest.mark.parametrize("closing", [False, True], ids=["gone", "closed"])
def test_a_viewer_that_ends_in_the_middle_of_its_offer_leaves_nothing_open(closing: bool) -> None:
    for turns in range(40):
        leave_after(turns, closing)
    # A socket that nobody has closed complains when it is collected.
    gc.collect()
