"""What somebody publishes to us, decoded already, as a connection to read from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import av

from streamderain.frames import VideoInfo
from streamderain.media.connection import MOST_HELD_SECONDS, AudioPacket, Away, Picture, decoded_info
from streamderain.media.nowhere import nowhere
from streamderain.media.wall import TIME_BASE, units

AnyFrame: TypeAlias = "av.VideoFrame | av.AudioFrame"

SAMPLE_RATE = 48000
IDLE_SECONDS = 60.0
"""How often it is told that nobody publishes."""


class Publication(Protocol):
    """What one publisher sends."""

    @property
    def has_sound(self) -> bool:
        """Whether some of it is sound."""

    def items(self, patience: float) -> Iterator[tuple[AnyFrame, float]]:
        """Frames and time.monotonic() of their coming. Raises TimeoutError if there is none for `patience` seconds."""

    def end(self) -> None:
        """No more is wanted."""


class Intake(Protocol):
    """Where publishers begin."""

    def publication(self, seconds: float) -> Publication | None:
        """What the newest of them sends, waited for so long."""

    def close(self) -> None:
        """No more of them is wanted."""


class Published:
    """A publication as a connection: pictures as they are, sound as Opus.

    Times are those that the publisher gives, each kind's counted from when its first frame came, as WebRTC gives each
    kind a clock of its own.
    """

    def __init__(self, publication: Publication, patience: float) -> None:
        self._publication, self._patience = publication, patience
        self._began = time.monotonic()
        self._origins: dict[type[AnyFrame], int] = {}
        self._before: float | None = None
        self.audio = _opus() if publication.has_sound else None

    def items(self) -> Iterator[Picture | AudioPacket]:
        """See Connected."""
        try:
            for frame, came in self._publication.items(self._patience):
                at = self._placed(frame, came)
                if isinstance(frame, av.VideoFrame):
                    yield Picture(frame, at, self._arrival(came))
                elif self.audio:
                    frame.pts = None if at is None else round(at * TIME_BASE * SAMPLE_RATE)
                    yield from self.audio.codec_context.encode(frame)
        except TimeoutError:
            raise Away("frozen", f"nothing for {self._patience:g} s") from None

    def info(self, first: av.VideoFrame) -> VideoInfo:
        """What the video is."""
        return decoded_info(first)

    def go_on(self) -> None:
        """A publisher waits for nobody."""

    def close(self) -> None:
        """Who publishes is told to come again."""
        self._publication.end()

    def _placed(self, frame: AnyFrame, came: float) -> int | None:
        """Its time in units of TIME_BASE since the connection."""
        source = units(frame.pts, frame.time_base)
        if source is None:
            return None
        origin = self._origins.setdefault(type(frame), round((came - self._began) / TIME_BASE) - source)
        return source + origin

    def _arrival(self, came: float) -> float:
        """When its first packet came: aiortc knows that a picture is complete only when the next one begins."""
        before, self._before = self._before, came
        return came if before is None else max(before, came - MOST_HELD_SECONDS)


def _opus() -> av.AudioStream:
    """A stream that encodes."""
    stream = nowhere().add_stream("libopus", rate=SAMPLE_RATE)
    stream.codec_context.layout, stream.codec_context.format = "stereo", "s16"
    stream.codec_context.open()
    return stream
