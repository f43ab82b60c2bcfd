"""What viewers and publishers by WebRTC have in common: an offer answered, a connection awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from streamderain.errors import ConfigError

CONNECT_SECONDS = 10.0
"""A peer that is not connected by then is given up."""

NEGOTIATE_SECONDS = 5.0
CLOSE_SECONDS = 1.5
MOST_SECTIONS, MOST_CANDIDATES = 4, 64


def check_size(sdp: str) -> None:
    """Raise ConfigError for an offer that would take much work."""
    if sdp.count("\nm=") > MOST_SECTIONS or sdp.count("\na=candidate") > MOST_CANDIDATES:
        raise ConfigError(f"the offer is too large; allowed: {MOST_SECTIONS} sections, {MOST_CANDIDATES} candidates")


def fresh() -> RTCPeerConnection:
    """A connection without any server to ask: the peer is on this network, and nobody else need know."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def answer_to(connection: RTCPeerConnection, sdp: str, check: Callable[[], None]) -> dict[str, str]:
    """The answer to an offer, {"sdp", "type"}. Raises ConfigError for one that makes no sense, and what `check` does,
    which is called when the offer is known.
    """
    # RFC 9725 has the server be passive; aiortc, where it is not, knows no cipher for the keys of GStreamer.
    sdp = sdp.replace("a=setup:actpass", "a=setup:active")
    try:
        # Only this waits, for names on the network; what follows opens sockets, and must not be cut off.
        async with asyncio.timeout(NEGOTIATE_SECONDS):
            await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        check()
        await connection.setLocalDescription(await connection.createAnswer())
    except ConfigError:
        raise
    except Exception as error:
        # Whatever a parser meets in words that it does not know.
        raise ConfigError(f"the offer makes no sense ({type(error).__name__}); send a browser's own") from error
    return {"sdp": connection.localDescription.sdp, "type": connection.localDescription.type}


async def settled(
    connection: RTCPeerConnection, changed: asyncio.Event, seconds: float, is_wanted: Callable[[], bool]
) -> None:
    """Wait until it is connected or never will be; `changed` is set when there is something new to look at."""
    connection.on("connectionstatechange", changed.set)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while connection.connectionState in ("new", "connecting") and is_wanted():
                await changed.wait()
                changed.clear()


async def glance(changed: asyncio.Event) -> None:
    """Wait for something new, a second at most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), 1.0)
    changed.clear()
