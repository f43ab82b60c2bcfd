"""Whether a file holds what was written to it: what went in is booked on the way, and read back when it is whole.

Nothing is decoded but the first picture: frames and sound are counted, timed and hashed as packets.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import av

from streamderain.media.copying import name_of
from streamderain.media.extras import TOLERANT, is_cover
from streamderain.media.rehearsal import facts_beside
from streamderain.media.track import Packet

_TIMED = {"mp4", "matroska", "mpegts", "nut", "gif", "flv"}
"""Formats in which each packet has a time that is read as it was written; others leave some out, or round them."""

_MOST = 3
"""Differences of one kind that are told one by one."""

_PIECE = 2**20
"""Bytes of silence that are booked at once."""


@dataclass
class Track:
    """What is known of a stream: of each packet its time in seconds and its checksum, and a hash of all it holds.
    `end` is when the last is over, in seconds, as far as is told. So many are `hidden` by an edit list.
    """

    kind: str
    name: str
    language: str = ""
    times: array[float] = field(default_factory=lambda: array("d"))
    sums: array[int] = field(default_factory=lambda: array("L"))
    end: float = 0.0
    unit: float = 0.0
    hidden: int = 0
    digest: Any = field(default_factory=lambda: blake2b(digest_size=16))
    _silent: int = 0

    def take(self, packet: Packet) -> None:
        """Book a packet that holds something."""
        data = self._bare(packet)
        if not data:
            return
        self.sums.append(zlib.crc32(data))
        self.hidden += packet.is_discard
        self._hear(data)
        if packet.pts is not None and packet.time_base is not None:
            time = float(packet.pts * packet.time_base)
            self.times.append(time)
            self.end = max(self.end, time + float((packet.duration or 0) * packet.time_base))

    def _hear(self, data: bytes) -> None:
        """Book samples in the digest, silence only once something follows it: MXF fills up the last of its pieces with
        it. An hour of silence is a number meanwhile, and no bytes.
        """
        heard = data.rstrip(b"\0") if self.name.startswith("pcm_") else data
        if heard:
            while self._silent:
                piece = min(self._silent, _PIECE)
                self.digest.update(bytes(piece))
                self._silent -= piece
            self.digest.update(heard)
        self._silent += len(data) - len(heard)

    def _bare(self, packet: Packet) -> bytes:
        data = bytes(packet)
        if self.name == "mov_text" and len(data) <= 2:
            return b""  # what an MP4 has where nothing is said
        if self.name == "aac" and len(data) > 9 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
            return data[7 if data[1] & 1 else 9 :]  # the header that a transport stream has before each (ADTS)
        return data


@dataclass
class Ledger:
    """What was written to an output, by stream; the first is the picture. `kept` is what the file says of itself and
    of its first picture, as far as it was not told to be lost.
    """

    tracks: dict[int, Track] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)

    def open(self, stream: av.stream.Stream) -> None:
        """Book what is written to a stream from now on."""
        self.tracks[stream.index] = Track(stream.type, name_of(stream), stream.metadata.get("language", ""))

    def take(self, packet: Packet) -> None:
        """Book a packet, before it is written, as that changes it."""
        if track := self.tracks.get(packet.stream.index):
            track.take(packet)


def differences(path: Path, ledger: Ledger, frames: int) -> list[str]:
    """How the file differs from what was written to it, `frames` pictures among it; a line for each."""
    try:
        kind, tracks = _read(path)
        compared = _compare(kind, path.suffix.lower() == ".mov", list(ledger.tracks.values()), tracks, frames)
        found = [*compared, *_said(path, ledger.kept)]
    except (av.FFmpegError, ValueError, OSError) as error:
        return [f"it cannot be read back: {error}"]
    return found


def _read(path: Path) -> tuple[str, list[Track]]:
    # GIFs of more than 50 frames a second are slowed down by whoever shows them.
    options = {"min_delay": "0"} if path.suffix.lower() == ".gif" else {}
    with av.open(path.absolute(), options=options, metadata_errors=TOLERANT) as container:
        tracks = {}
        for stream in container.streams:
            if stream.type != "attachment" and not is_cover(stream):
                language, unit = stream.metadata.get("language", ""), float(stream.time_base or 0)
                tracks[stream.index] = Track(stream.type, name_of(stream), language, unit=unit)
        for packet in container.demux():
            if packet.size and packet.stream_index in tracks:
                tracks[packet.stream_index].take(packet)
        return container.format.name, list(tracks.values())


def _compare(kind: str, is_quicktime: bool, written: list[Track], read: list[Track], frames: int) -> Iterator[str]:
    left, offset, is_timed = list(read), 0.0, bool(set(kind.split(",")) & _TIMED)
    for number, ours in enumerate(written):
        theirs = next((each for each in left if each.kind == ours.kind), None)
        what = "the picture" if not number else f"{ours.kind} track {number} ({ours.name})"
        if theirs is None:
            if ours.sums:
                yield f"{what} is missing"
            continue
        left.remove(theirs)
        if not number:
            shown = len(theirs.sums) - theirs.hidden
            if shown < frames:
                yield f"{shown} of {frames} frames are there"
            offset = min(theirs.times, default=0.0) - min(ours.times, default=0.0)
        elif ours.kind == "audio":
            yield from _heard(what, ours, theirs)
        elif len(theirs.sums) < len(ours.sums):
            yield f"{what} has {len(theirs.sums)} of {len(ours.sums)} packets"
        if is_timed and ours.name and theirs.name and (not number or ours.kind == "audio"):
            yield from _timed(what, ours, theirs, offset)
        # QuickTime has numbers for some languages alone.
        if is_timed and not is_quicktime and ours.language not in ("", "und", theirs.language):
            yield f"{what} is marked {theirs.language or 'with no language'}, not {ours.language}"


def _heard(what: str, ours: Track, theirs: Track) -> Iterator[str]:
    if ours.digest.digest() == theirs.digest.digest():
        return
    if len(ours.sums) != len(theirs.sums):
        yield f"{what} has {len(theirs.sums)} packets, not {len(ours.sums)}"
        return
    at = next(number for number, pair in enumerate(zip(ours.sums, theirs.sums, strict=True)) if pair[0] != pair[1])
    yield f"{what} is not the same from packet {at} on"


def _timed(what: str, ours: Track, theirs: Track, offset: float) -> Iterator[str]:
    if not ours.times or not theirs.times or len(theirs.times) < len(theirs.sums):
        return
    leeway = 1.5 * theirs.unit + (1e-3 if ours.kind == "audio" else 1e-6)
    if len(ours.times) == len(theirs.times):
        pairs = zip(sorted(ours.times), sorted(theirs.times), strict=True)
        wrong = [(a, b - offset) for a, b in pairs if abs(b - offset - a) > leeway]
        for before, after in wrong[:_MOST]:
            yield f"{what} has {after:.3f} s in the place of {before:.3f} s"
        if len(wrong) > _MOST:
            yield f"{what} has {len(wrong) - _MOST} more wrong times"
    elif abs(min(theirs.times) - offset - min(ours.times)) > leeway:
        yield f"{what} begins at {min(theirs.times) - offset:.3f} s, not {min(ours.times):.3f} s"
    step = max(0.1, 2 * (max(ours.times) - min(ours.times)) / max(1, len(ours.times) - 1))
    if theirs.end > max(theirs.times) and abs(theirs.end - offset - ours.end) > step:
        yield f"{what} ends at {theirs.end - offset:.3f} s, not {ours.end:.3f} s"


def _first(container: av.container.InputContainer, video: av.VideoStream) -> av.VideoFrame | None:
    try:
        return next(container.decode(video), None)
    except av.error.EOFError:
        return None


def _said(path: Path, kept: Mapping[str, Any]) -> Iterator[str]:
    if not kept:
        return
    with av.open(path.absolute(), metadata_errors=TOLERANT) as container:
        video = next(each for each in container.streams.video if not is_cover(each))
        picture = _first(container, video)
        if picture is None:
            yield "its first picture cannot be decoded"
            return
        has = facts_beside(kept, container, video, picture)
    for name, value in kept.items():
        if has.get(name) != value:
            yield f"{name} is {has.get(name) or 'not there'}, not {value}"
