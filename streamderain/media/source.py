"""A file's name -> an open Source: what it is, its frames, and the packets that pass the network by."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
from av.container import InputContainer

from streamderain.errors import SourceError, TruncatedError
from streamderain.frames import VideoInfo
from streamderain.media import sidedata
from streamderain.media.clock import SourceClock
from streamderain.media.extras import is_copied, is_cover
from streamderain.media.fields import deinterlaced
from streamderain.media.matroska import missing_bytes
from streamderain.media.order import DecodingOrder
from streamderain.media.reading import open_file
from streamderain.media.track import exact
from streamderain.media.url import public

logger = logging.getLogger(__name__)

_SAMPLES = 3

_LEEWAY_SECONDS = 1
"""How much earlier than its header says a Matroska file may end that does not tell its size; writers round, and differ
in what they count.
"""

_TOLD = 3
"""Damaged packets that are told one by one; all are counted."""

_FRAME_SECONDS = Fraction(1, 20)
"""How much earlier it may end where bytes are missing: the index at its end alone is no loss."""


@dataclass(eq=False)
class Source:
    """An open video; `close` it, or use it in a `with` block.

    `passengers` holds the packets of the copied streams that were met on the way to the frames decoded so
    far; whoever writes the output takes them from the left. `damaged` counts packets that could not
    be decoded. `last_duration` is how long the frame decoded last is shown, in units of the time base. `first` is the
    first picture, until somebody has looked at it. `chapters` are PyAV's. It `was_moved` to another place than its
    beginning. `fields` is what it was before its frames were made whole.
    """

    name: str
    info: VideoInfo
    container: InputContainer
    video: av.VideoStream
    copied: list[av.stream.Stream]
    clock: SourceClock
    passengers: deque[av.Packet[av.stream.Stream]] = field(default_factory=deque)
    damaged: int = 0
    last_duration: int = 0
    first: av.VideoFrame | None = None
    chapters: list[Any] = field(default_factory=list)
    was_moved: bool = False
    fields: VideoInfo | None = None
    _decoded: Generator[av.VideoFrame, None, None] = field(default_factory=lambda: _nothing())
    _pictures: Iterator[av.Packet[av.stream.Stream]] = iter(())
    _is_over: bool = False

    def frames(self) -> Iterator[av.VideoFrame]:
        """Every decoded frame in order of presentation, once, and no more after `close`. Raises TruncatedError at the
        end when the header promised more packets.
        """
        try:
            for frame in self._decoded:
                yield frame
                if self._is_over:
                    return
        finally:
            if self._is_over:
                self.container.close()

    def samples(self, stream: av.stream.Stream) -> list[av.Packet[av.stream.Stream]]:
        """A few packets of a copied stream, if there are any near; they must not be changed."""
        met = [packet for packet in self.passengers if packet.stream is stream]
        return (met or self.clock.coming(stream))[:_SAMPLES]

    def skimmed(self) -> Iterator[av.Packet[av.stream.Stream]]:
        """The packets of the picture from here on, which nobody decodes; what is beside it goes into `passengers` as
        ever. Raises what `frames` raises at the end.
        """
        self._decoded.close()
        yield from self._pictures

    def drop_passengers(self) -> None:
        """Keep no packets of the copied streams, for who reads frames alone: they would pile up."""
        self.passengers = deque(maxlen=0)

    def go_to(self, seconds: Fraction) -> bool:
        """Go on with a key picture at or before `seconds` on the clock, and what is beside it.

        False where the container cannot, or where only reading all before tells what the clock is there.
        """
        if not self.clock.is_steady or _gives_no_pts(self):
            return False
        base = exact(self.video.time_base) or Fraction(1, 90000)
        try:
            self.container.seek(math.floor((seconds + self.clock.begins) / base), stream=self.video)
        except av.FFmpegError:
            return False
        self._decoded.close()
        self.passengers.clear()
        self.clock.resume()
        self.was_moved, self._decoded = True, _decode(self)
        if self.fields:
            self._decoded = deinterlaced(self._decoded, self.fields)
        return True

    def through(self, pictures: Generator[av.VideoFrame, None, None]) -> None:
        """Give these pictures from now on, which are made of those that it gave."""
        self._decoded = pictures

    def close(self) -> None:
        """Close the file, from any thread; where another one waits in libav for its next frame, that one does so when
        it is back, as libav would go on in memory that is gone.
        """
        self._is_over = True
        try:
            self._decoded.close()
        except ValueError:  # it runs, in another thread
            return
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_source(name: str | Path, hwaccel: str | None = None, deinterlace: bool = False) -> Source:
    """Open a video file and decode its first frame, which tells what the header may not.

    `hwaccel` names a libav device type, such as cuda; without it, or where it fails, decoding is done on
    the CPU and the log says so. With `deinterlace` the frames of an interlaced video are made whole. Raises SourceError
    for what is no readable video.
    """
    shown = public(str(name))
    container = open_file(name, shown, hwaccel)
    try:
        source = _describe(container, shown)
        if source.info.is_interlaced:
            _settle_fields(source, deinterlace)
        return source
    except BaseException:
        container.close()
        raise


def _describe(container: InputContainer, shown: str) -> Source:
    # Cover art is a video stream too; its one picture is not what the file is about.
    videos = [stream for stream in container.streams.video if not is_cover(stream)]
    if not videos:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise SourceError(f"{shown} holds no video, only {kinds}")
    video = videos[0]
    if video.codec_context is None:
        raise SourceError(f"{shown} holds video of a codec that this libav cannot decode")
    video.thread_type = "AUTO"
    copied = [stream for stream in container.streams if stream is not video and is_copied(stream)]
    clock = SourceClock(shown, container, [video, *copied])
    source = Source(shown, VideoInfo("", "", 0, 0, Fraction(1)), container, video, copied, clock)
    source.chapters = list(container.chapters())
    decoded = _decode(source)
    try:
        first = next(decoded)
    except StopIteration:
        raise SourceError(f"{shown} holds no frame that can be decoded") from None
    source.info, source.first = video_info(container, video, first), first
    source._decoded = _chain(first, decoded)
    return source


def _settle_fields(source: Source, deinterlace: bool) -> None:
    if not deinterlace:
        logger.warning("%s is interlaced, and stays so; --deinterlace makes whole frames of its fields", source.name)
        return
    source.fields = source.info
    whole = deinterlaced(source._decoded, source.info)
    first = next(whole)
    source._decoded, source.first = _chain(first, whole), first
    source.info = replace(source.info, field_order=1)


def _nothing() -> Generator[av.VideoFrame, None, None]:
    yield from ()


def _chain(first: av.VideoFrame, others: Iterator[av.VideoFrame]) -> Generator[av.VideoFrame, None, None]:
    yield first
    yield from others


def _decode(source: Source) -> Generator[av.VideoFrame, None, None]:
    source._pictures = _pictures(source)
    return _decoded(source, source._pictures)


def _decoded(source: Source, packets: Iterator[av.Packet[av.stream.Stream]]) -> Generator[av.VideoFrame, None, None]:
    order = DecodingOrder(_gives_no_pts(source))
    for packet in packets:
        order.sent(packet)
        for frame in _frames_of(packet, source):
            if frame.pts is None:
                frame.pts = order.shown(frame.dts)
            yield frame


def _pictures(source: Source) -> Iterator[av.Packet[av.stream.Stream]]:
    """The packets of the picture; those beside it become passengers."""
    for packet in source.clock.placed(_packets(source)):
        if packet.stream is source.video:
            yield packet
        elif packet.dts is not None:
            source.passengers.append(packet)


def _gives_no_pts(source: Source) -> bool:
    # AVI has times in the order of decoding alone; what libav makes of them is right where it knows the codec's order.
    return source.container.format.name == "avi" and source.video.codec_context.name in ("h264", "hevc")


def _packets(source: Source) -> Iterator[av.Packet[av.stream.Stream]]:
    """The packets of the picture and of what is copied, as they are in the file."""
    packets, ends, cut = 0, {"": Fraction(0)}, False
    try:
        # All streams, as the length in a header is that of all.
        for packet in _demuxed(source):
            kind = packet.stream.type
            ends[kind] = max(ends.get(kind, Fraction(0)), _end_of(packet))
            if packet.stream is source.video:
                if packet.is_corrupt and _is_indexed(source):
                    # Only the last sample of a cut file reads short; it would decode to a smeared picture.
                    cut = True
                    continue
                if source.was_moved and not packets:
                    packets = _entries_before(packet, source.video)
                packets += packet.size > 0 or packet.dts is not None
                if not packet.size and packet.dts is not None:
                    # The frame before is shown for longer; a decoder would take it for the end.
                    continue
            elif packet.stream not in source.copied:
                continue
            yield packet
    except av.FFmpegError as error:
        raise TruncatedError(f"{source.name} cannot be read beyond frame {packets}: {error.strerror}") from error
    _check_whole(source, packets, ends, cut)


def _demuxed(source: Source) -> Iterator[av.Packet[av.stream.Stream]]:
    """All packets but those of tracks that show up after the beginning, which PyAV does not know."""
    level = logging.WARNING
    while True:
        try:
            yield from source.container.demux()
            return
        except IndexError:
            logger.log(level, "%s: a track that shows up later is left out", source.name)
            level = logging.DEBUG


def _entries_before(packet: av.Packet[av.stream.Stream], video: av.VideoStream) -> int:
    """How many packets the index has before this one."""
    return next((number for number, entry in enumerate(video.index_entries) if entry.pos == packet.pos), 0)


def _is_indexed(source: Source) -> bool:
    return bool({"mp4", "avi"} & set(source.container.format.name.split(",")))


def _end_of(packet: av.Packet[av.stream.Stream]) -> Fraction:
    if packet.pts is None or packet.time_base is None:
        return Fraction(0)
    return (packet.pts + (packet.duration or 0)) * packet.time_base


def _check_whole(source: Source, packets: int, ends: Mapping[str, Fraction], cut: bool) -> None:
    kind, advice = source.container.format.name, "fetch the whole file, or take what is kept"
    # The header's own count still has the samples that an edit list skips, and the empty ones of AVI.
    promised = len(source.video.index_entries) if "mp4" in kind else packets
    if cut or packets < promised:
        of = f" of {promised}" if packets < promised else ""
        raise TruncatedError(f"{source.name} ends after {packets}{of} frames; {advice}")
    if "matroska" in kind:
        length = Fraction(source.container.duration or 0, av.time_base)
        end, leeway = _end_and_leeway(missing_bytes(source.container.name), ends, length)
        if length - end > leeway:
            raise TruncatedError(f"{source.name} ends after {float(end):.1f} of {float(length):.1f} s; {advice}")


def _end_and_leeway(
    missing: int | None, ends: Mapping[str, Fraction], length: Fraction
) -> tuple[Fraction, Fraction | int]:
    """Where a Matroska file of this `length` ends that lacks so many bytes, and how much earlier it may."""
    if missing is None:
        return max(ends.values()), _LEEWAY_SECONDS
    if missing == 0:
        return length, 0
    # A subtitle that was read may be shown beyond what was not.
    return max(end for kind, end in ends.items() if kind != "subtitle"), _FRAME_SECONDS


def _frames_of(packet: av.Packet[av.stream.Stream], source: Source) -> Iterator[av.VideoFrame]:
    try:
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)
            yield frame
    except av.error.EOFError:  # it was told before that there is no more
        return
    except av.FFmpegError as error:  # whatever a decoder calls it
        source.damaged += 1
        level = logging.DEBUG if source.damaged > _TOLD else logging.WARNING
        logger.log(level, "%s: a damaged packet is left out (%s)", source.name, error.strerror)


def video_info(container: InputContainer, video: av.VideoStream, first: av.VideoFrame) -> VideoInfo:
    """What the header says of `video`, and its first decoded frame where the header may not."""
    duration: float | None = None
    if video.duration is not None and video.time_base is not None:
        duration = float(video.duration * video.time_base)
    elif container.duration is not None:
        duration = container.duration / av.time_base
    jpeg_range = first.format.name.startswith("yuvj")
    matrix = sidedata.display_matrix(first)
    rotation, mirrored = sidedata.orientation(matrix)
    fields, chroma_location = sidedata.fields_and_chroma(first)
    return VideoInfo(
        codec=video.codec_context.name,
        pixel_format=first.format.name,
        height=first.height,
        width=first.width,
        time_base=exact(video.time_base) or Fraction(1, 90000),
        frame_rate=exact(video.average_rate or video.guessed_rate) or None,
        duration_seconds=duration,
        frames=video.frames or None,
        sample_aspect_ratio=exact(video.sample_aspect_ratio) or None,
        color_range=2 if jpeg_range else int(first.color_range),
        color_space=int(first.colorspace),
        color_primaries=int(first.color_primaries),
        color_trc=int(first.color_trc),
        rotation=rotation,
        mirrored=mirrored,
        display_matrix=matrix,
        chroma_location=chroma_location,
        field_order=_field_order(video.codec_context.field_order, fields),
        mastering_display=sidedata.mastering_display(first),
        content_light=sidedata.content_light(first),
        has_variable_rate=bool(video.average_rate) and video.average_rate != video.base_rate,
    )


def _field_order(promised: int, seen: int) -> int:
    """The header's word where the first picture does not contradict it, which may be a whole one among others."""
    top = {2: True, 5: True, 3: False, 4: False}
    return promised if seen == 0 or top.get(promised) == top[seen] else seen
