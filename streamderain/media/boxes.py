"""The boxes of a film of the MP4 family, the tables among them, and how long it says that its tracks are
(ISO/IEC 14496-12).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}
"""Boxes on the way to the tables."""

_RATE_AT, _LENGTH_AT = (12, 20), (16, 24)
"""Where `mvhd` and `mdhd` tell units a second, and a length in these; by their version."""

_TRACK_AT, _TRACK_LENGTH_AT = (12, 20), (20, 28)
"""The same of a track's number and length in `tkhd`."""

_EDIT = (12, 20)
"""Bytes of an entry of `elst`, of which the first are its length; by its version."""


class Box(NamedTuple):
    """A box of a file: its name, where what it holds begins, and where it ends."""

    name: bytes
    start: int
    end: int


def boxes(file: BinaryIO, at: int, end: int) -> Iterator[Box]:
    """The boxes between two places of a file. Raises OSError for one that ends beyond."""
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


def tables(moov: bytes | bytearray, *names: bytes, within: Box | None = None) -> Iterator[Box]:
    """The tables so called, everywhere or within a `trak`; what they hold begins with 4 bytes of version and flags."""
    file = io.BytesIO(moov)

    def found(start: int, end: int) -> Iterator[Box]:
        for box in boxes(file, start, end):
            if box.name in _FOLDERS:
                yield from found(box.start, box.end)
            elif box.name in names:
                yield box

    return found(within.start, within.end) if within else found(0, len(moov))


def lengthen(moov: bytearray, ends: Mapping[int, float]) -> None:
    """Have tracks last up to these seconds, by their numbers, where they are said to be over before."""
    movie = next(tables(moov, b"mvhd"))
    for box in boxes(io.BytesIO(moov), 0, len(moov)):
        if box.name == b"trak":
            track = {each.name: each.start for each in tables(moov, b"tkhd", b"mdhd", b"elst", within=box)}
            _lengthen(moov, movie.start, track, ends)


def _lengthen(moov: bytearray, movie: int, places: Mapping[bytes, int], ends: Mapping[int, float]) -> None:
    track, media, edits = places[b"tkhd"], places[b"mdhd"], places.get(b"elst")
    rate, own_rate, number = (
        struct.unpack_from(">I", moov, place + at[moov[place]])[0]
        for place, at in ((movie, _RATE_AT), (media, _RATE_AT), (track, _TRACK_AT))
    )
    whole, longest = _field(moov, track, _TRACK_LENGTH_AT), _field(moov, movie, _LENGTH_AT)
    end = round(ends.get(number, 0.0) * rate)
    more = end - int.from_bytes(moov[whole])
    if more <= 0:
        return
    _raise(moov, whole, more)
    _raise(moov, _field(moov, media, _LENGTH_AT), round(more * own_rate / rate))
    _raise(moov, longest, max(0, end - int.from_bytes(moov[longest])))
    if edits is not None:
        last = struct.unpack_from(">I", moov, edits + 4)[0] - 1
        _raise(moov, _field(moov, edits, tuple(8 + last * size for size in _EDIT)), more)


def _field(moov: bytearray, place: int, at: tuple[int, ...]) -> slice:
    """A number of 4 bytes, or of 8 in a box of version 1, where `at` says for each."""
    version = moov[place]
    return slice(place + at[version], place + at[version] + (4, 8)[version])


def _raise(moov: bytearray, field: slice, by: int) -> None:
    size = field.stop - field.start
    moov[field] = min(int.from_bytes(moov[field]) + by, 256**size - 1).to_bytes(size)
