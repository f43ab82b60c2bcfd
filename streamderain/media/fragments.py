"""A film of the MP4 family that can be played while it is written, and is an ordinary one in the end.

It grows by fragments, each of which tells what it holds; libav's `hybrid_fragmented` adds the index of an ordinary film
at the end (ISO/IEC 14496-12). `straighten` writes that film without what the fragments told, its index in front.

libav has a fragment begin when the last packet of the one before is over, by that one's `duration` from when it is
decoded, as the next may not be there yet: `Spaced` tells it. And it takes the end of a track from its last fragment
alone, in which the picture that is shown last may not be: `settle_ends` mends that.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from streamderain.media.boxes import Box, boxes, lengthen, tables
from streamderain.media.track import Packet

KINDS = {"mp4", "mov", "ipod", "3gp", "3g2", "f4v", "psp"}
"""Formats of this family, by libav's names."""

OPTIONS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
"""What has libav write such a film, with a fragment each second, in microseconds. Without the delay there would be no
edit lists, or some that hide the first second while it is written.
"""

_PIECE = 1 << 20
"""Bytes that are copied at once."""

_MOST = 2**32 - 1
"""The largest offset in an `stco`, and size in a short header."""


class Spaced:
    """Packets of several streams -> the same, each once the next one of its stream is there, its `duration` up to when
    that one is decoded. Subtitles, which may be far between, pass.
    """

    def __init__(self) -> None:
        self._held: dict[int, Packet] = {}

    def take(self, packet: Packet) -> list[Packet]:
        """What can be written once this one is there."""
        if packet.stream.type not in ("video", "audio"):
            return [packet]
        held = self._held.get(packet.stream_index)
        self._held[packet.stream_index] = packet
        if held is None:
            return []
        if held.dts is not None and packet.dts is not None:
            held.duration = round(packet.dts * packet.time_base / held.time_base) - held.dts
        return [held]

    def rest(self) -> list[Packet]:
        """The last of each stream."""
        held, self._held = list(self._held.values()), {}
        return held


def settle_ends(film: Path, ends: Mapping[int, float]) -> None:
    """Have the streams of these indices end no earlier than at these seconds, in a finished film. Raises OSError."""
    with film.open("r+b") as file:
        index = next(box for box in boxes(file, 0, film.stat().st_size) if box.name == b"moov")
        moov = bytearray(_read(file, index))
        # libav counts tracks from 1 on.
        lengthen(moov, {number + 1: end for number, end in ends.items()})
        file.seek(index.start)
        file.write(moov)


def straighten(source: Path, target: Path) -> None:
    """Write the finished film `source` as an ordinary one. Raises OSError where it is not what libav writes."""
    with source.open("rb") as film, target.open("wb") as out:
        found = {box.name: box for box in boxes(film, 0, source.stat().st_size)}
        if not {b"ftyp", b"mdat", b"moov"} <= found.keys():
            raise OSError(f"{source} is no finished film")
        head, whole, index = found[b"ftyp"], found[b"mdat"], found[b"moov"]
        parts = [box for box in boxes(film, whole.start, whole.end) if box.name == b"mdat"]
        size = sum(part.end - part.start for part in parts)
        header = struct.pack(">I4sQ", 1, b"mdat", size + 16)
        if size + 8 <= _MOST:
            header = struct.pack(">I4s", size + 8, b"mdat")
        moov = bytearray(_without_empty(_read(film, index)))
        begin, length = head.end + len(header), len(moov) + 8
        is_front = begin + length + size <= _MOST or not any(tables(moov, b"stco"))
        _move(moov, parts, begin + length * is_front)
        framed = struct.pack(">I4s", length, b"moov") + moov
        out.write(struct.pack(">I4s", head.end - head.start + 8, b"ftyp") + _read(film, head))
        out.write(framed if is_front else b"")
        out.write(header)
        for part in parts:
            _copy(film, part, out)
        out.write(b"" if is_front else framed)


def _read(file: BinaryIO, box: Box) -> bytes:
    file.seek(box.start)
    return file.read(box.end - box.start)


def _copy(file: BinaryIO, box: Box, out: BinaryIO) -> None:
    file.seek(box.start)
    left = box.end - box.start
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise OSError("the film ends before its index says")
        out.write(piece)
        left -= len(piece)


def _without_empty(moov: bytes) -> bytes:
    """Without tracks that hold nothing, which an ordinary film does not have: cover art leaves one."""
    kept, at = b"", 0
    for box in boxes(io.BytesIO(moov), 0, len(moov)):
        sizes = tables(moov, b"stsz", within=box) if box.name == b"trak" else ()
        if [struct.unpack_from(">I", moov, each.start + 8)[0] for each in sizes] != [0]:
            kept += moov[at : box.end]
        at = box.end
    return kept


def _move(moov: bytearray, parts: list[Box], begin: int) -> None:
    """Have the tables tell where what is in `parts` will be, once it lies from `begin` on."""
    starts = [part.start for part in parts]
    places = list(accumulate((part.end - part.start for part in parts), initial=begin))
    for table in tables(moov, b"stco", b"co64"):
        count = struct.unpack_from(">I", moov, table.start + 4)[0]
        form = f">{count}{'I' if table.name == b'stco' else 'Q'}"
        moved = []
        for offset in struct.unpack_from(form, moov, table.start + 8):
            number = bisect_right(starts, offset) - 1
            if number < 0 or offset > parts[number].end:
                raise OSError(f"nothing lies at {offset}, to which the index points")
            moved.append(places[number] + offset - starts[number])
        struct.pack_into(form, moov, table.start + 8, *moved)
