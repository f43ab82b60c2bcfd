"""A film of the MP4 family that can be played while it is written, and is an ordinary one in the end.

It grows by fragments, each of which tells what it holds; libav's `hybrid_fragmented` adds the index of an ordinary film
at the end (ISO/IEC 14496-12). `straighten` writes that film without what the fragments told, its index in front.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

KINDS = {"mp4", "mov", "ipod", "3gp", "3g2", "f4v", "psp"}
"""Formats of this family, by libav's names."""

OPTIONS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
"""What has libav write such a film, with a fragment each second, in microseconds. Without the delay there would be no
edit lists, or some that hide the first second while it is written.
"""

_PIECE = 1 << 20
"""Bytes that are copied at once."""

_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
"""Boxes on the way to the tables of offsets."""

_MOST = 2**32 - 1
"""The largest offset in an `stco`, and size in a short header."""


class Box(NamedTuple):
    """A box of a file: its name, where what it holds begins, and where it ends."""

    name: bytes
    start: int
    end: int


def straighten(source: Path, target: Path) -> None:
    """Write the finished film `source` as an ordinary one. Raises OSError where it is not what libav writes."""
    with source.open("rb") as film, target.open("wb") as out:
        boxes = {box.name: box for box in _boxes(film, 0, source.stat().st_size)}
        if not {b"ftyp", b"mdat", b"moov"} <= boxes.keys():
            raise OSError(f"{source} is no finished film")
        head, whole, index = boxes[b"ftyp"], boxes[b"mdat"], boxes[b"moov"]
        parts = [box for box in _boxes(film, whole.start, whole.end) if box.name == b"mdat"]
        size = sum(part.end - part.start for part in parts)
        header = struct.pack(">I4sQ", 1, b"mdat", size + 16)
        if size + 8 <= _MOST:
            header = struct.pack(">I4s", size + 8, b"mdat")
        moov = bytearray(_without_empty(_read(film, index)))
        begin, length = head.end + len(header), len(moov) + 8
        is_front = begin + length + size <= _MOST or not any(_tables(moov, b"stco"))
        _move(moov, parts, begin + length * is_front)
        framed = struct.pack(">I4s", length, b"moov") + moov
        out.write(struct.pack(">I4s", head.end - head.start + 8, b"ftyp") + _read(film, head))
        out.write(framed if is_front else b"")
        out.write(header)
        for part in parts:
            _copy(film, part, out)
        out.write(b"" if is_front else framed)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[Box]:
    while at + 8 <= end:
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        start = at + 8
        if size == 1:
            size, start = struct.unpack(">Q", file.read(8))[0], at + 16
        if size < start - at or at + size > end:
            raise OSError(f"a box of {size} bytes at {at} ends beyond {end}")
        yield Box(name, start, at + size)
        at += size


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
    for box in _boxes(io.BytesIO(moov), 0, len(moov)):
        whole, at = moov[at : box.end], box.end
        counts = [struct.unpack_from(">I", whole, sizes.start + 8)[0] for sizes in _tables(whole, b"stsz")]
        kept += b"" if box.name == b"trak" and counts == [0] else whole
    return kept


def _tables(moov: bytes | bytearray, *names: bytes) -> Iterator[Box]:
    """The tables so called; what they hold begins with 4 bytes of version and flags."""
    file = io.BytesIO(moov)

    def within(start: int, end: int) -> Iterator[Box]:
        for box in _boxes(file, start, end):
            if box.name in _FOLDERS:
                yield from within(box.start, box.end)
            elif box.name in names:
                yield box

    return within(0, len(moov))


def _move(moov: bytearray, parts: list[Box], begin: int) -> None:
    """Have the tables tell where what is in `parts` will be, once it lies from `begin` on."""
    starts = [part.start for part in parts]
    places = list(accumulate((part.end - part.start for part in parts), initial=begin))
    for table in _tables(moov, b"stco", b"co64"):
        count = struct.unpack_from(">I", moov, table.start + 4)[0]
        form = f">{count}{'I' if table.name == b'stco' else 'Q'}"
        moved = []
        for offset in struct.unpack_from(form, moov, table.start + 8):
            number = bisect_right(starts, offset) - 1
            if number < 0 or offset > parts[number].end:
                raise OSError(f"nothing lies at {offset}, to which the index points")
            moved.append(places[number] + offset - starts[number])
        struct.pack_into(form, moov, table.start + 8, *moved)
