"""One connection to a live source, from opening it until it is lost; it knows nothing of the one before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import av
from av.codec.context import Flags
from av.container import InputContainer

from streamderain.frames import VideoInfo
from streamderain.media.nal import PieceDecoder
from streamderain.media.source import video_info
from streamderain.media.wall import TIME_BASE, Pace, units

_FIRST_SECONDS = 10.0
"""How long the first picture may take at least: streams are joined between two key frames."""

_BURSTS = ("hls", "dash")
"""Formats whose packets come by the segment, seconds of them at once."""

_HOLDING = ("rtsp", "mpegts")
"""Formats of which libav knows that a picture is complete only when the next one begins."""

MOST_HELD_SECONDS = 0.1
"""How much of that is counted: where pictures are further apart, none would ever be in time."""

_REMEMBERED = 8

EventKind = Literal["connected", "lost", "frozen", "changed", "refused", "gave up"]


class Away(Exception):
    """The source can't be read for now: `kind` says how it came about; `hopeless` says that waiting will not help,
    `denied` that name and password are wrong.
    """

    def __init__(self, kind: EventKind, detail: str, hopeless: bool = False, denied: bool = False) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.hopeless, self.denied = kind, detail, hopeless, denied


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded frame: its time as its source counts it, in units of TIME_BASE, and time.monotonic() of its packet."""

    frame: av.VideoFrame
    time: int | None
    arrived: float


def decoded_info(first: av.VideoFrame) -> VideoInfo:
    """What a video is that comes decoded already, as its first frame tells."""
    return VideoInfo(
        codec="rawvideo",
        pixel_format=first.format.name,
        height=first.height,
        width=first.width,
        time_base=TIME_BASE,
        color_range=int(first.color_range),
        color_space=int(first.colorspace),
    )


AudioPacket: TypeAlias = "av.Packet[av.stream.Stream]"


class Connected(Protocol):
    """What LiveSource needs of a connection."""

    audio: av.AudioStream | None

    def items(self) -> Iterator[Picture | AudioPacket]:
        """Pictures and packets of sound as they come. Raises Away; ends where the source does."""

    def info(self, first: av.VideoFrame) -> VideoInfo:
        """What the video is, of which `first` is a frame."""

    def go_on(self) -> None:
        """After a pause in reading: what can wait, as a file can, goes on at its pace from here."""

    def close(self) -> None:
        """Let go of the source."""


class LibavConnection:
    """A container of libav's that is open; of many tracks the first picture and the first sound."""

    def __init__(
        self,
        container: InputContainer,
        is_live: bool,
        patience: float,
        wait: Callable[[float], None],
        damaged: Callable[[str], None],
        closed: Callable[[], None] = lambda: None,
        in_pieces: bool = False,
    ) -> None:
        """`patience` and what `wait` is called with are seconds; `damaged` is called for each packet that can't be
        decoded, with libav's words, and `closed` at the end. `in_pieces` says that it is H.264 which libav does not
        parse.
        """
        self._closed = closed
        self._container, self._is_live, self._patience = container, is_live, patience
        self._wait, self._damaged = wait, damaged
        videos = [stream for stream in container.streams.video if stream.codec_context is not None]
        if not videos:
            container.close()
            raise Away("refused", "it sends no video that this libav can decode", hopeless=not is_live)
        self._video = videos[0]
        # Threads that each take a frame would hold as many back.
        self._video.thread_type = "SLICE"
        if self._video.codec_context.name == "h264":
            self._video.codec_context.flags |= Flags.low_delay
        self._pieces = PieceDecoder(self._video.codec_context) if in_pieces else None
        sounds = [stream for stream in container.streams.audio if stream.codec_context and stream.codec_context.rate]
        self.audio: av.AudioStream | None = sounds[0] if sounds else None
        kind = container.format.name.split(",")[0]
        self._pace = Pace() if not is_live or kind in _BURSTS else None
        self._holds = self._pace is None and kind in _HOLDING
        self._video_at: float | None = None
        # Of pieces: when the first of each time came.
        self._came: dict[int | None, float] = {}

    def items(self) -> Iterator[Picture | AudioPacket]:
        """Pictures and packets of sound as they come, those of a file in its own time."""
        seen, patience = time.monotonic(), max(self._patience, _FIRST_SECONDS)
        for packet in self._packets():
            if packet.stream is self._video:
                for frame, arrived in self._pictures(packet):
                    yield Picture(frame, units(frame.pts, frame.time_base), arrived)
                    seen, patience = time.monotonic(), self._patience
            else:
                yield packet
            if time.monotonic() - seen > patience and self._is_live:
                raise Away("frozen", f"packets come, but no picture for {patience:g} s")

    def info(self, first: av.VideoFrame) -> VideoInfo:
        """What the video is, its times on the run's clock."""
        info = replace(video_info(self._container, self._video, first), time_base=TIME_BASE)
        rate = info.frame_rate
        if rate and not 1 <= rate <= 1000:
            # Without a rate in the header, libav takes the clock's.
            info = replace(info, frame_rate=None)
        return replace(info, duration_seconds=None, frames=None) if self._is_live else info

    def go_on(self) -> None:
        """See Connected."""
        if self._pace:
            self._pace.go_on()

    def close(self) -> None:
        """Close the container."""
        self._container.close()
        self._closed()

    def _packets(self) -> Iterator[AudioPacket]:
        """Every packet; a damaged one is counted, but two without a whole one between them are the end."""
        streams = [self._video, *([self.audio] if self.audio else [])]
        is_whole = True
        while True:
            try:
                began, is_first = time.monotonic(), True
                for packet in self._container.demux(streams):
                    is_whole, waited = True, time.monotonic() - began
                    yield packet
                    if waited >= self._patience and self._is_live and not is_first:
                        # libav has handed out what it held back, and would wait as long again.
                        raise Away("frozen", f"nothing for {self._patience:g} s")
                    began, is_first = time.monotonic(), False
                return
            except av.error.InvalidDataError as error:
                detail = said(error)
                self._damaged(detail)
                reason = None if is_whole else Away("lost", detail)
                is_whole = False
            except av.error.ExitError:
                reason = Away("frozen", f"nothing for {self._patience:g} s")
            except av.FFmpegError as error:
                reason = Away("lost", said(error))
            if reason:
                raise reason

    def _pictures(self, packet: AudioPacket) -> Iterator[tuple[av.VideoFrame, float]]:
        """What becomes whole with it, and when that arrived."""
        if self._pieces is None:
            arrived = self._arrival(packet)
            yield from ((frame, arrived) for frame in self._decoded(packet))
            return
        now = time.monotonic()
        self._came.setdefault(packet.pts, now)
        for frame in self._decoded(packet):
            yield frame, max(self._came.get(frame.pts, now), now - MOST_HELD_SECONDS)
        while len(self._came) > _REMEMBERED:
            del self._came[next(iter(self._came))]

    def _arrival(self, packet: AudioPacket) -> float:
        """time.monotonic() of the packet, which is waited for where it came before its time."""
        if self._pace:
            self._wait(self._pace.wait(units(packet.pts if packet.dts is None else packet.dts, packet.time_base)))
        now, before = time.monotonic(), self._video_at
        self._video_at = now
        # It began to come when the one before was complete.
        return max(before, now - MOST_HELD_SECONDS) if self._holds and before is not None else now

    def _decoded(self, packet: AudioPacket) -> list[av.VideoFrame]:
        try:
            return list(self._pieces.decode(packet) if self._pieces else self._video.codec_context.decode(packet))
        except av.FFmpegError as error:
            self._damaged(said(error))
            return []


def said(error: av.FFmpegError) -> str:
    """The words of libav without the name of what was opened, which may hold a password."""
    return error.strerror or type(error).__name__
