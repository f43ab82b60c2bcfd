"""Streams that go into an output packet by packet, as they are, wherever its format holds them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.format import Flags
from av.stream import Stream

from streamderain.media import fragments
from streamderain.media.nowhere import apart, nowhere
from streamderain.media.options import QUIET, TRIAL_SIZE
from streamderain.media.track import Packet

logger = logging.getLogger(__name__)

KEEPERS = {"mp4": ".mp4", "matroska": ".mkv", "mov": ".mov", "webm": ".webm", "gif": ".gif", "mpegts": ".ts"}
"""Formats that are named where another does not hold something, and their endings."""

_UNFRAMED = fragments.KINDS | {"matroska", "flv"}
"""Formats whose AAC has no header before each packet."""

_NONSTRICT = cast(int, Flags.ts_nonstrict.value)
"""The flag of formats that take packets of one time."""

_RATE = 25

_PICTURES = 3
"""How many are tried."""

FAULTS = (av.FFmpegError, ValueError, OSError)
"""What libav, PyAV and the system raise; not all of libav's errors are of the system's kinds."""


def add_copy(container: OutputContainer, stream: Stream, keeps_code: bool = False) -> Stream:
    """Add a stream to `container` for the packets of `stream`, whose code may be an encoder's and not a container's.

    Raises ValueError or FFmpegError where PyAV refuses; what only the format refuses shows with its header.
    """
    try:
        return container.add_stream_from_template(stream)
    except ValueError:
        # PyAV asks a list that leaves out what Matroska, say, writes by its codes for Windows. So a stream that is on
        # the list is made, and what it holds is told afterwards.
        usual = (container.default_video_codec, container.default_audio_codec)
        copy = container.add_mux_stream(usual[0] if usual[0] != "none" else usual[1])
        BitStreamFilterContext("null", stream if keeps_code else _untagged(stream), copy)
        copy.time_base = stream.time_base
        return copy


def _untagged(stream: Stream) -> Stream:
    """`stream` without the code of its own container, which would not be that of another."""
    if stream.codec_context is None:
        return stream
    return apart(stream)


class Copy:
    """The `track` of an output for the packets of `stream`, as they are, of the source that the log calls `shown`."""

    def __init__(self, container: OutputContainer, stream: Stream, shown: str) -> None:
        self.track = add_copy(container, stream)
        self._takes_equal = stream.type == "subtitle" or bool(container.format.flags & _NONSTRICT)
        self._unframed = _unframed_by(stream, self.track) if container.format.name in _UNFRAMED else None
        self._shown, self._was_damaged = shown, False
        self._last: int | None = None

    def packets(self, packet: Packet) -> Iterator[Packet]:
        """The packet as the output takes it; nothing where it is too damaged for that."""
        base = packet.time_base
        for each in self._bare(packet):
            each.stream, each.time_base = self.track, base
            self._line_up(each)
            yield each

    def _bare(self, packet: Packet) -> Sequence[Packet]:
        if self._unframed is None:
            return [packet]
        try:
            return self._unframed.filter(packet)
        except av.FFmpegError:  # whatever it calls it
            level = logging.DEBUG if self._was_damaged else logging.WARNING
            logger.log(level, "%s: damaged packets of audio track %d are left out", self._shown, self.track.index)
            self._was_damaged = True
            return []

    def _line_up(self, packet: Packet) -> None:
        """Let no two packets have one time where the container's clock is rougher than theirs, as it would refuse."""
        base = self.track.time_base
        assert base is not None
        assert packet.dts is not None
        assert packet.pts is not None
        at = round(packet.dts * packet.time_base / base)
        if self._last is not None and at <= self._last and not self._takes_equal:
            at = self._last + 1
            packet.pts, packet.dts = max(at, round(packet.pts * packet.time_base / base)), at
            packet.duration = round((packet.duration or 0) * packet.time_base / base)
            packet.time_base = base
        self._last = at


def _unframed_by(stream: Stream, copy: Stream) -> BitStreamFilterContext | None:
    """What makes packets that an MP4 takes out of AAC that comes with a header in each (ADTS); None for others. libav
    does so by itself, but not into fragments.
    """
    context = stream.codec_context
    if context is None or context.name != "aac" or context.extradata:
        return None
    return BitStreamFilterContext("aac_adtstoasc", _untagged(stream), copy)


def holds(kind: str, stream: Stream, packets: Sequence[Packet] = ()) -> bool:
    """Whether a format, by libav's name, holds `stream`: it is written with the first of its `packets`, and read."""
    # Some take no sound without a picture.
    return any(_holds(kind, stream, packets, beside) for beside in (False, True)[: 1 + (stream.type == "audio")])


def _holds(kind: str, stream: Stream, packets: Sequence[Packet], beside_picture: bool) -> bool:
    memory = io.BytesIO()
    container = av.open(memory, "w", format=kind)
    try:
        picture = _small_stream(container, container.default_video_codec) if beside_picture else None
        copy = add_copy(container, stream)
        container.start_encoding()
        for packet in _pictures(picture) if picture and packets else ():
            container.mux(packet)
        for packet in packets:
            container.mux(twin(packet, copy))
        if packets:
            container.close()
    except FAULTS:
        return False
    finally:
        with suppress(*FAULTS):
            container.close()
    return not packets or _comes_back(memory, kind, stream)


def _pictures(stream: av.VideoStream) -> Iterator[Packet]:
    """The packets of a few pictures."""
    picture = av.VideoFrame(*TRIAL_SIZE, stream.pix_fmt or "yuv420p")
    for number in range(_PICTURES + 1):
        picture.pts, picture.time_base = number, Fraction(1, _RATE)
        for packet in stream.encode(picture if number < _PICTURES else None):
            packet.duration = 1
            yield packet


def twin(packet: Packet, stream: Stream) -> Packet:
    """A copy of `packet`, of `stream`, for who is not the only one to mux it, as that changes a packet."""
    copy: Packet = av.Packet(bytes(packet))
    copy.stream, copy.time_base = stream, packet.time_base
    copy.pts, copy.dts, copy.duration, copy.is_keyframe = packet.pts, packet.dts, packet.duration, packet.is_keyframe
    return copy


def _comes_back(memory: io.BytesIO, kind: str, stream: Stream) -> bool:
    """Whether what was written is still known for what it is: some muxers take anything."""
    memory.seek(0)
    try:
        with av.open(memory, format=kind) as container:
            back = next((each for each in container.streams if each.type == stream.type), None)
            if back is None:
                return False
            ours, theirs = name_of(stream), name_of(back)
            # A few packets may not tell MP2 from MP3; samples without a header are what the container says.
            return ours == theirs or (theirs != "" and not ours.startswith("pcm_"))
    except FAULTS:
        return True


def name_of(stream: Stream) -> str:
    """The stream's codec in a word, or an attachment's name; nothing where that is not known."""
    if stream.codec_context:
        return stream.codec_context.codec.canonical_name
    return (stream.metadata.get("filename") if stream.type == "attachment" else getattr(stream, "name", None)) or ""


def keepers(stream: Stream, packets: Sequence[Packet], but: str) -> list[str]:
    """The formats worth naming that hold `stream`, `but` not that one."""
    return [kind for kind in KEEPERS if kind != but and holds(kind, stream, packets)]


@lru_cache(maxsize=256)
def takes(kind: str, encoder: str) -> bool:
    """Whether a format, by libav's name, takes what an encoder makes; by trying."""
    return _tried(kind, encoder, True) or takes_unlisted(kind, encoder)


@lru_cache(maxsize=256)
def takes_unlisted(kind: str, encoder: str) -> bool:
    """The same for an encoder of which PyAV says that it does not."""
    return _tried(kind, encoder, False)


def _tried(kind: str, encoder: str, is_listed: bool) -> bool:
    """A few pictures are written, and known again: some muxers take anything."""
    memory = io.BytesIO()
    try:
        with nowhere() as aside, av.open(memory, "w", format=kind) as container:
            stream = _small_stream(container if is_listed else aside, encoder)
            if not is_listed:
                aside.start_encoding()
            track = stream if is_listed else add_copy(container, stream, keeps_code=True)
            container.start_encoding()
            for packet in _pictures(stream):
                packet.stream = track
                container.mux(packet)
        memory.seek(0)
        with av.open(memory, "r", format=kind) as back:
            videos = back.streams.video
            return bool(videos) and name_of(videos[0]) == name_of(stream) and any(back.decode(videos[0]))
    except FAULTS:
        return False


def _small_stream(container: OutputContainer, encoder: str) -> av.VideoStream:
    stream = container.add_stream(encoder, rate=_RATE, options=QUIET if encoder == "libx265" else {})
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height = TRIAL_SIZE
    formats = av.Codec(encoder, "w").video_formats
    stream.pix_fmt = formats[0].name if formats else "yuv420p"
    return stream


def listed(words: Sequence[Any]) -> str:
    """The words with commas, and "or" before the last."""
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
