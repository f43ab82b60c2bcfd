"""A film in parts: each a file of derained pictures alone, encoded by itself; and the whole, put together of them
without encoding again.

A part begins with a key picture and keeps the pictures' times on the source's clock, so that parts may be made in any
order, by any process, as long as all use one machine's encoder with the same settings for the same `kind` of output.
It has its name when it is whole. An encoder that looks ahead is shown frames behind a part's last one too, whose
packets go nowhere: else it would take the last frames for such that nothing is made of, and spare their bits.

`join` goes through the source once more for all that is beside the picture, and writes packets of the parts where an
ordinary run has those of its encoder. Parts store when a picture is shown; how long it is shown and when it is decoded
follow from those around it, also across two parts.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import OutputContainer

from streamderain.errors import SinkError
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.encoder import Encoder, Encoding
from streamderain.media.partial import put, with_mark
from streamderain.media.sink import FileSink, muxing_into
from streamderain.media.source import Source

Packet: TypeAlias = "av.Packet[Any]"

_KINDS = ("nut", "mov", "matroska")
"""Formats of parts, by libav's names, the first that takes an encoder's packets: NUT keeps packets and times as they
are, the second has a code for what the first has none for, and the last rounds times to milliseconds.
"""

_BEHIND = 8
"""Frames behind a part that are shown to an encoder that looks ahead."""

_STILL = {"libx264": 6, "libx264rgb": 6, "libx265": 0, "libsvtav1": 2}
"""Encoders that gain by it, and how many times they are shown the last of those frames again. To libx264 these stand
for the dozen behind, which would have to be derained (benchmarks/joins.py).
"""

_SEI = (39, 40)
"""Kinds of NAL units in which x265 tells its version, options and threads."""

_ALPHA_KINDS = ("matroska",)
"""Of libvpx with alpha, which lies beside the packets."""


@dataclass(frozen=True)
class Part:
    """`frames` pictures in the file `path`, from number `first` of the source on: those shown from `begin` to `last`,
    in units of the source's time base, on its clock; the last of them until `end`.
    """

    path: Path
    first: int
    frames: int
    begin: int
    last: int
    end: int


class PartSink:
    """Writes a part, for an output of the format `kind`, by libav's name; as a Sink. After `commit` it is `part`.

    `first` is the number of the first frame that is written; `lasts` tells in the end how long the last one is shown,
    in units of its time base, and `following` what frames come behind it, of which the encoder uses as many as the
    sink's `behind`, 0 where it does not look ahead. Raises SinkError where it cannot be written, or where the file does
    not hold all frames.
    """

    def __init__(self, path: Path, info: VideoInfo, layout: PixelLayout, encoding: Encoding, kind: str,
                 lasts: Callable[[], int], first: int = 0,
                 following: Callable[[], Sequence[Frame]] = tuple) -> None:  # fmt: skip
        self.path, self.frames, self._lasts, self._following = path, 0, lasts, following
        self.notes: list[str] = []
        self.differences: list[str] = []
        self.part: Part | None = None
        self._first, self._begin, self._last, self._lift = first, 0, 0, 0
        self._open_path = with_mark(path, "open")
        # The encoder is to make what the output takes, headers and all.
        self._nowhere = av.open(os.devnull, "w", format=kind)
        self._encoder = Encoder(self._nowhere, info, layout, encoding)
        # Only now is known what a decoder must know beforehand.
        self._nowhere.start_encoding()
        self._container, self._stream = self._opened()
        self._still = _STILL.get(self._encoder.stream.codec_context.name)
        self.behind = 0 if self._still is None or self._encoder.is_lossless else _BEHIND
        self._muxed, self._latest = 0, 0

    def _opened(self) -> tuple[OutputContainer, av.stream.Stream]:
        if self._encoder.encoder == "gif":
            raise SinkError("gif is made in one go, as each picture tells what the next one does; try .mp4 or .mkv")
        for kind in _ALPHA_KINDS if self._encoder.has_alpha_beside else _KINDS:
            options = {"avoid_negative_ts": "disabled", "flush_packets": "1"}
            container = av.open(self._open_path, "w", format=kind, container_options=options)
            try:
                stream = container.add_stream_from_template(self._encoder.track, opaque=True)
            except (av.FFmpegError, ValueError):
                continue
            stream.time_base = self._encoder.clock
            return container, stream
        raise SinkError(
            f"{self._encoder.encoder} cannot be kept in parts; leave --resume out, or try --encoder libx264"
        )

    def write(self, frame: Frame) -> None:
        """Encode one frame and write what is ready."""
        if not self.frames:
            self._begin = frame.pts
            self._lift = _lift(frame.pts, frame.time_base / self._encoder.clock)
        self._mux(self._encoder.encode(frame))
        self._last, self.frames = frame.pts, self.frames + 1

    def _mux(self, packets: Sequence[Packet]) -> None:
        with muxing_into(self.path):
            for packet in packets:
                packet.stream = self._stream
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts, packet.dts = packet.pts + self._lift, packet.dts + self._lift
                if self._muxed < self.frames:
                    self._muxed, self._latest = self._muxed + 1, max(self._latest, packet.pts)
                    self._container.mux(packet)
                elif packet.pts < self._latest:
                    raise SinkError(
                        f"{self._encoder.encoder} makes the end of {self.path} of what is behind it; leave out what is "
                        "asked of its frames' kinds, or do the film in one piece"
                    )

    def commit(self) -> None:
        """Finish the file, look whether it holds all that was written, and give it its name."""
        lasts = self._lasts()
        with muxing_into(self.path):
            for number, frame in enumerate(self._shown_ahead()):
                self._mux(self._encoder.encode(frame, apart=not number))
            self._mux(self._encoder.flush(lasts))
            self._container.close()
            held = len(times_in(self._open_path))
            if held != self.frames:
                raise SinkError(f"{self.path} holds {held} of {self.frames} frames; look at the disk, and run again")
            put(self._open_path, self.path)
        self.part = Part(self.path, self._first, self.frames, self._begin, self._last, self._last + lasts)

    def _shown_ahead(self) -> list[Frame]:
        """What the encoder is to see behind the last frame. Where the film ends, it sees its end."""
        ahead = [*self._following()][: self.behind]
        if not ahead or len(ahead) < self.behind:
            return ahead
        before, last = ahead[-2:]
        again = range(1, (self._still or 0) + 1)
        return ahead + [replace(last, pts=last.pts + number * (last.pts - before.pts)) for number in again]

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(av.FFmpegError):
            self._container.close()
        self._open_path.unlink(missing_ok=True)


def times_in(path: Path) -> list[Fraction]:
    """When each picture of a part is shown, in seconds, in the order of decoding; none behind damage. Raises SinkError
    where it is no part.
    """
    try:
        with av.open(path) as container:
            return [time for packet in container.demux(video=0) if (time := _time_of(packet)) is not None]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise SinkError(f"{path} is no part of a film any more: {error}; remove it, and run again") from error


def _time_of(packet: Packet) -> Fraction | None:
    if not packet.size or packet.is_corrupt or packet.pts is None:
        return None
    return packet.pts * packet.time_base


def join(parts: Sequence[Part], source: Source, sink: FileSink) -> None:
    """Write `parts`, which follow upon each other, and all that is beside the picture in `source`, which was just
    opened, into `sink`, for its `commit`. Nothing is decoded or encoded.

    Raises SinkError where a part does not hold its frames, where one is missing between two, or where one comes of
    another encoder than that of `sink`; and TruncatedError at the end of a source that is not whole.
    """
    for before, after in pairwise(parts):
        if (before.end, before.first + before.frames) != (after.begin, after.first):
            raise SinkError(f"{after.path} does not follow {before.path}; remove both, and run again")
    schedule = _Schedule(parts, source.info.time_base, sink.encoder.clock)
    coming = source.skimmed()
    met: Fraction | None = Fraction(0)
    for packet in _packets(parts, sink.encoder):
        decoded_at = schedule.place(packet) * sink.encoder.clock
        # What is beside the picture comes as far as it would in an ordinary run.
        while met is not None and met < decoded_at:
            met = next((_decoded_at(each) for each in coming), None)
        sink.take(packet)
    for _ in coming:
        pass


def _decoded_at(packet: Packet) -> Fraction:
    time = packet.pts if packet.dts is None else packet.dts
    # One that tells no time is gone past.
    return Fraction(0) if time is None else time * packet.time_base


def _packets(parts: Iterable[Part], encoder: Encoder) -> Iterator[Packet]:
    for part in parts:
        with av.open(part.path) as container:
            video = container.streams.video[0]
            wanted, has = (_heads(each.codec_context) for each in (encoder.stream, video))
            if wanted and wanted != has:
                raise SinkError(f"{part.path} was encoded with other settings, or elsewhere; remove it, and run again")
            yield from (packet for packet in container.demux(video) if packet.size)


def _heads(context: av.VideoCodecContext) -> list[bytes]:
    """What a decoder must know of a stream beforehand; not what an encoder tells of itself and its machine."""
    if context.codec.canonical_name != "hevc":
        return [context.extradata or b""] if context.extradata else []
    # NAL units of H.265, by their start codes (ITU-T H.265, annex B).
    units = re.split(b"\0\0\0?\1", context.extradata or b"")
    return [unit for unit in units if unit and unit[0] >> 1 & 63 not in _SEI]


class _Schedule:
    """When the pictures of all parts are decoded and shown, and for how long, in units of `clock` seconds."""

    def __init__(self, parts: Sequence[Part], time_base: Fraction, clock: Fraction) -> None:
        self._ranks: list[int] = []
        self._shown: list[int] = []
        for part in parts:
            self._add(part, clock, _lift(part.begin, time_base / clock))
        self._ends = [*self._shown[1:], round(parts[-1].end * time_base / clock)] if parts else []
        # Pictures that wait while a later one is decoded, at most.
        self._delay = max((place - rank for place, rank in enumerate(self._ranks)), default=0)
        self._places = iter(range(len(self._ranks)))

    def _add(self, part: Part, clock: Fraction, lift: int) -> None:
        coded = [round(time / clock) - lift for time in times_in(part.path)]
        if len(coded) != part.frames:
            raise SinkError(f"{part.path} holds {len(coded)} of {part.frames} frames; remove it, and run again")
        order = sorted(coded)
        self._ranks += [len(self._shown) + bisect_left(order, time) for time in coded]
        for time in order:
            # A clock may be too rough to tell the last picture of a part from the first of the next.
            self._shown.append(max(time, self._shown[-1] + 1) if self._shown else time)

    def place(self, packet: Packet) -> int:
        """Give the next packet its times; returns when it is decoded."""
        place = next(self._places)
        rank = self._ranks[place]
        packet.pts, packet.duration = self._shown[rank], max(1, self._ends[rank] - self._shown[rank])
        packet.dts = self._decoded_at(place)
        return packet.dts

    def _decoded_at(self, place: int) -> int:
        if place >= self._delay:
            return self._shown[place - self._delay]
        return self._shown[place] - (self._shown[self._delay] - self._shown[0])


def _lift(begin: int, ratio: Fraction) -> int:
    """What is added to the times of a part that begins before 0, which not every format can tell."""
    return max(0, -round(begin * ratio))
