"""Frames -> packets, encoded once for any number of outlets, with nothing held back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import av
from av.bitstream import BitStreamFilterContext

from streamderain.frames import Frame, VideoInfo
from streamderain.media.choice import AUTO, USUAL
from streamderain.media.encoder import Encoder, Encoding
from streamderain.media.fitting import fitted
from streamderain.media.nowhere import nowhere
from streamderain.media.pixels import layout_of
from streamderain.media.track import exact
from streamderain.media.wall import TIME_BASE

logger = logging.getLogger(__name__)

KEYFRAME_SECONDS = 2
"""How long a new viewer waits for a picture at most, and about how long the pieces of a live playlist are."""

CATCH_UP = 0.8
"""The share of the distance between two frames that is kept while they are behind their times."""

_QUICK_NVENC = {"preset": "p1", "tune": "ull", "zerolatency": "1", "delay": "0", "forced-idr": "1"}
_QUICK_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
_QUICK: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1"},
    "libx265": {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"},
    "h264_nvenc": _QUICK_NVENC,
    "hevc_nvenc": _QUICK_NVENC,
    "av1_nvenc": _QUICK_NVENC,
    "h264_qsv": {"preset": "veryfast", "async_depth": "1", "forced_idr": "1"},
    "hevc_qsv": {"preset": "veryfast", "async_depth": "1", "forced_idr": "1"},
    "libvpx": _QUICK_VPX,
    "libvpx-vp9": _QUICK_VPX,
    "libsvtav1": {"preset": "10", "svtav1-params": "pred-struct=1"},
}
"""What makes an encoder give each frame back at once."""


@dataclass(frozen=True)
class Chunk:
    """A packet for every outlet; none may change it. `arrived` is that of the frame it came from, `seconds` its
    presentation time on the run's clock.
    """

    packet: av.Packet[Any]
    kind: Literal["video", "audio"]
    is_key: bool
    arrived: float | None
    seconds: float


@dataclass(frozen=True)
class Streams:
    """What a container has to know of the packets that it will get; `audio` is None without sound."""

    video: av.VideoStream
    audio: av.AudioStream | None
    display_matrix: tuple[int, ...] | None = None


class Broadcast:
    """Encodes frames and hands each packet, with those of the sound, to `send`.

    `layout`, that of the first frames, is the output's for good; frames of other ones are made to fit. `audio` is
    what the source's sound is like; it is not needed afterwards. Raises SinkError for what the encoder does not know.
    """

    def __init__(self, info: VideoInfo, encoding: Encoding, audio: av.AudioStream | None,
                 send: Callable[[Chunk], None]) -> None:  # fmt: skip
        self.layout = layout_of(info)
        self._send = send
        rate = info.frame_rate or Fraction(25)
        self._duration = round(1 / (rate * TIME_BASE))
        # Only a container makes the streams that others are made after.
        self._container = nowhere()
        live = quick(replace(encoding, encoder=USUAL) if encoding.encoder == AUTO else encoding, rate)
        self._encoder = Encoder(self._container, replace(info, time_base=TIME_BASE), self.layout, live)
        for note in self._encoder.notes:
            logger.warning("%s", note)
        template = self._container.add_stream_from_template(audio) if audio else None
        self._container.start_encoding()
        self.streams = Streams(self._encoder.stream, template, info.display_matrix)
        self._headers = _headers_at_keyframes(self._encoder.stream)
        self._arrived: dict[int | None, float | None] = {}
        self._last, self._last_asked = -1, 0
        self._next_key, self._key_asked = 0, False
        self._last_sound: Fraction | None = None

    def write(self, frame: Frame) -> None:
        """Encode one frame and send what comes of it. One whose time has passed when it comes, such as the first after
        a picture that was shown in its place, is shown later, and those behind it keep most of their distances until
        they have caught up.
        """
        pts = self._placed(round(frame.pts * frame.time_base / TIME_BASE))
        # By the clock, since a frame rate falls when the machine or the source is slow.
        due = pts >= self._next_key
        if due:
            self._next_key = pts + int(KEYFRAME_SECONDS / TIME_BASE)
        key, self._key_asked = due or self._key_asked, False
        self._arrived[pts] = frame.arrived
        fit = replace(fitted(frame, self.layout), pts=pts, time_base=TIME_BASE)
        self._hand_on(self._encoder.encode_now(fit, self._duration, key))

    def _placed(self, asked: int) -> int:
        distance = asked - self._last_asked
        if distance <= 0:
            distance = self._duration
        self._last = max(asked, self._last + max(1, round(CATCH_UP * distance))) if self._last >= 0 else max(0, asked)
        self._last_asked = asked
        return self._last

    def sound(self, packet: av.Packet[Any]) -> None:
        """Send one packet of sound as it is; one that is not later than the one before is left out."""
        if packet.pts is None or self.streams.audio is None:
            return
        seconds = packet.pts * exact(packet.time_base)
        if self._last_sound is not None and seconds <= self._last_sound:
            return
        self._last_sound = seconds
        self._send(Chunk(packet, "audio", False, None, float(seconds)))

    def ask_keyframe(self) -> None:
        """Make the next frame one that can be decoded by itself; for any thread."""
        self._key_asked = True

    def close(self) -> None:
        """Send what the encoder still holds; nothing can be written afterwards."""
        try:
            self._hand_on(self._encoder.flush(self._duration))
        finally:
            self._container.close()

    def _hand_on(self, packets: list[av.Packet[av.stream.Stream]]) -> None:
        for encoded in packets:
            for packet in self._headers.filter(encoded) if self._headers else [encoded]:
                assert packet.pts is not None
                seconds, arrived = float(packet.pts * TIME_BASE), self._arrived.pop(packet.pts, None)
                self._send(Chunk(packet, "video", packet.is_keyframe, arrived, seconds))


def quick(encoding: Encoding, rate: Fraction) -> Encoding:
    """`encoding` with what keeps nothing back, as far as it does not say otherwise itself. Keyframes come at least
    every four seconds at `rate` frames a second.
    """
    most = max(1, round(2 * KEYFRAME_SECONDS * rate))
    usual = {"bf": "0", "g": str(most), "flags": "+global_header", **_QUICK.get(encoding.encoder, {})}
    if encoding.preset is not None:
        usual.pop("preset", None)
    return replace(encoding, options={**usual, **encoding.options}, even=True)


def _headers_at_keyframes(stream: av.VideoStream) -> BitStreamFilterContext | None:
    """Repeats at keyframes what is said once at the head of a file, for viewers who come later; None where the codec
    does so itself.
    """
    context = stream.codec_context
    if context.extradata and context.codec.canonical_name in ("h264", "hevc"):
        return BitStreamFilterContext("dump_extra", stream)
    return None
