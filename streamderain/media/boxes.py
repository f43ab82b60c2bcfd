"""The index of a film of the MP4 family, as bytes: where its tables are, and how long it says that its tracks are
(ISO/IEC 14496-12).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}
"""Boxes on the way to the tables."""

_RATE_AT, _LENGTH_AT = (8, 16), (12, 20)
"""Where `mvhd` and `mdhd` tell units a second, and a length in these, behind version and flags; by their version."""

_TRACK_AT, _TRACK_LENGTH_AT = (8, 16), (16, 24)
"""The same of a track's number and length in `tkhd`."""

_EDIT = (12, 20)
"""Bytes of an entry of `elst`, of which the first are its length; by its version."""


def children(index: bytes | bytearray, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of each box from `at` on."""
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", index, at)
        yield name, at, at + max(8, size)
        at += max(8, size)


def tables(index: bytes | bytearray, at: int, end: int, *names: bytes) -> Iterator[tuple[bytes, int]]:
    """Name and place, behind version and flags, of each table so called."""
    for name, begin, after in children(index, at, end):
        if name in _FOLDERS:
            yield from tables(index, begin + 8, after, *names)
        elif name in names:
            yield name, begin + 12


def lengthen(index: bytearray, ends: Mapping[int, float]) -> None:
    """Have tracks last up to these seconds, by their numbers, where they are said to be over before."""
    movie = dict(tables(index, 0, len(index), b"mvhd"))
    for name, at, end in children(index, 0, len(index)):
        if name == b"trak":
            _lengthen(index, movie | dict(tables(index, at, end, b"tkhd", b"mdhd", b"elst")), ends)


def _lengthen(index: bytearray, places: Mapping[bytes, int], ends: Mapping[int, float]) -> None:
    movie, track, media = places[b"mvhd"], places[b"tkhd"], places[b"mdhd"]
    whole = _field(index, track, _TRACK_LENGTH_AT)
    rate, own_rate, number = (
        struct.unpack_from(">I", index, place + at[index[place - 4]])[0]
        for place, at in ((movie, _RATE_AT), (media, _RATE_AT), (track, _TRACK_AT))
    )
    before = int.from_bytes(index[whole])
    after = round(ends.get(number, 0.0) * rate)
    if after <= before:
        return
    _raise(index, whole, after - before)
    _raise(index, _field(index, media, _LENGTH_AT), round((after - before) * own_rate / rate))
    if edits := places.get(b"elst"):
        last = struct.unpack_from(">I", index, edits)[0] - 1
        _raise(index, _field(index, edits, tuple(4 + last * size for size in _EDIT)), after - before)
    longest = _field(index, movie, _LENGTH_AT)
    _raise(index, longest, max(0, after - int.from_bytes(index[longest])))


def _field(index: bytearray, place: int, at: tuple[int, ...]) -> slice:
    """A number of 4 bytes, or of 8 in a box of version 1, where `at` says for each."""
    version = index[place - 4]
    return slice(place + at[version], place + at[version] + (4, 8)[version])


def _raise(index: bytearray, field: slice, by: int) -> None:
    size = field.stop - field.start
    index[field] = min(int.from_bytes(index[field]) + by, 256**size - 1).to_bytes(size)
