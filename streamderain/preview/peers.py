"""Viewers by WebRTC: each a peer connection that is sent one stream's newest pictures."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender
from aiortc.codecs import vpx
from aiortc.mediastreams import MediaStreamError

from streamderain.errors import ConfigError
from streamderain.preview.jpeg import Pixels
from streamderain.preview.negotiation import (
    CLOSE_SECONDS,
    CONNECT_SECONDS,
    answer_to,
    check_size,
    fresh,
    glance,
    settled,
)
from streamderain.preview.sink import Gone, Preview

MakeFrame = Callable[[Pixels], Any]

SILENT_SECONDS = 6
START_BITRATE, MOST_BITRATE = 2_000_000, 4_000_000
CLOCK_RATE = 90000


class PreviewTrack(MediaStreamTrack):
    """A stream's newest picture whenever the encoder asks, both beside each other, or the clean one `alone`; what came
    in between is not sent.
    """

    kind = "video"

    def __init__(self, preview: Preview, make_frame: MakeFrame, alone: bool) -> None:
        super().__init__()
        self._alone = alone
        self._preview = preview
        self._make_frame = make_frame
        self._number = 0
        self._began = time.monotonic()

    def shows(self, preview: Preview) -> bool:
        """Whether it is of that stream."""
        return self._preview is preview

    async def recv(self) -> Any:
        """The next av.VideoFrame, its time that of sending."""
        try:
            picture = await self._preview.after(self._number)
        except Gone as error:
            raise MediaStreamError from error
        self._number = picture.number
        frame = self._make_frame(await (picture.clean() if self._alone else picture.pixels()))
        frame.pts = round((time.monotonic() - self._began) * CLOCK_RATE)
        frame.time_base = Fraction(1, CLOCK_RATE)
        return frame


class Peers:
    """All viewers by WebRTC; belongs to the loop's thread."""

    def __init__(self, make_frame: MakeFrame, connect_seconds: float = CONNECT_SECONDS) -> None:
        # aiortc has no other place to say so. It begins with a third of what rain, all fine detail, needs at twice the
        # width, and takes 15 s to get there; the browser's reports lower the rate where the way is too narrow.
        vpx.DEFAULT_BITRATE, vpx.MAX_BITRATE = START_BITRATE, MOST_BITRATE
        self._make_frame = make_frame
        self._connect_seconds = connect_seconds
        self._named: dict[str, PreviewTrack] = {}
        self._viewers: dict[asyncio.Task[None], PreviewTrack] = {}

    async def answer(self, preview: Preview, sdp: str) -> dict[str, str]:
        """The answer to the page's offer, {"sdp", "type"}: both pictures. Raises ConfigError for one that makes no
        sense.
        """
        answered, _ = await self._begin(preview, sdp, alone=False)
        return answered

    async def open(self, preview: Preview, sdp: str) -> tuple[str, str]:
        """The answer to a WHEP client's offer, the clean picture, and a name to `end` it by. Raises ConfigError."""
        answered, track = await self._begin(preview, sdp, alone=True)
        self._named[name := secrets.token_urlsafe(16)] = track
        track.on("ended", lambda: self._named.pop(name, None))
        return answered["sdp"], name

    def end(self, preview: Preview, name: str) -> bool:
        """End a viewer of that stream; whether there was one of that name."""
        track = self._named.get(name)
        if track is None or not track.shows(preview):
            return False
        track.stop()
        return True

    async def _begin(self, preview: Preview, sdp: str, alone: bool) -> tuple[dict[str, str], PreviewTrack]:
        check_size(sdp)
        track = PreviewTrack(preview, self._make_frame, alone)
        answered: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        viewer = asyncio.create_task(self._serve(preview, track, sdp, answered))
        self._viewers[viewer] = track
        viewer.add_done_callback(self._viewers.pop)
        return await answered, track

    async def close(self) -> None:
        """End all of them."""
        for track in self._viewers.values():
            track.stop()
        if self._viewers:
            await asyncio.wait(self._viewers, timeout=CLOSE_SECONDS)

    async def _serve(
        self, preview: Preview, track: PreviewTrack, sdp: str, answered: asyncio.Future[dict[str, str]]
    ) -> None:
        """A viewer's whole life. It is never cut off, which would leave sockets open: `track` is stopped instead."""
        connection = fresh()
        try:
            answer = await _negotiate(connection, track, sdp)
            # Cancelled where whoever asked has gone meanwhile.
            if not answered.cancelled():
                answered.set_result(answer)
                await self._watch(connection, preview, track)
        except ConfigError as error:
            if not answered.cancelled():
                answered.set_exception(error)
        finally:
            track.stop()
            await connection.close()

    async def _watch(self, connection: RTCPeerConnection, preview: Preview, track: PreviewTrack) -> None:
        """Count as a viewer until connection or track ends, or the first has not come about in time."""
        changed = asyncio.Event()
        track.on("ended", changed.set)
        (sender,) = (each for each in connection.getSenders() if each.track is track)
        silence, before = 0, (0, 0)
        with preview.viewer():
            await settled(connection, changed, self._connect_seconds, lambda: track.readyState == "live")
            while connection.connectionState == "connected" and track.readyState == "live":
                # A closed tab says nothing, and ICE would take half a minute to notice. While pictures go out, a
                # browser reports on them every second.
                now = await _traffic(sender)
                silence = silence + 1 if now[0] != before[0] and now[1] == before[1] else 0
                if silence >= SILENT_SECONDS:
                    break
                before = now
                await glance(changed)


async def _negotiate(connection: RTCPeerConnection, track: PreviewTrack, sdp: str) -> dict[str, str]:
    """The answer to an offer. Raises ConfigError for one that makes no sense."""
    sending = connection.addTransceiver(track, "sendonly")
    # aiortc's H.264 looks better, and takes three times the work of its VP8, for each viewer.
    codecs = RTCRtpSender.getCapabilities("video").codecs
    sending.setCodecPreferences(sorted(codecs, key=lambda codec: codec.mimeType != "video/VP8"))

    def check() -> None:
        # Players ask for sound too; there is none, and the answer says so.
        if sending.mid is None or [each.kind for each in connection.getTransceivers()].count("video") > 1:
            raise ConfigError("the offer must have one section of video; it has others or none")

    return await answer_to(connection, sdp, check)


async def _traffic(sender: RTCRtpSender) -> tuple[int, int]:
    """Packets of pictures sent so far, and bytes of anything received."""
    stats = (await sender.getStats()).values()
    sent = sum(each.packetsSent for each in stats if each.type == "outbound-rtp")
    return sent, sum(each.bytesReceived for each in stats if each.type == "transport")
