"""Pieces of H.264, as RTP carries them -> pictures, each as soon as it is whole.

Parsing, libav's RTSP hands a picture on when the next one begins, 200 ms later at five a second. Told not to, it hands
out the payload of each packet when that is there: one whole NAL unit or several, each behind a start code, or a
fragment of one, of which the first has the start code (FU-A; RFC 6184, 5.8). It keeps to itself which fragment is the
last. But senders fill packets: every fragment that another follows is as long as any other. So a piece of another
length ends its unit. That is believed only of a sender that was seen to do so often, and no more once it has not. Which
unit is a picture's last the decoder knows, as it counts rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import av
from av.codec.context import Flags2

START = b"\0\0\0\1"

ENOUGH = 16
"""Units in three fragments or more: so many are looked at before a sender is believed."""

_SLICES = (1, 5)
_DELIMITER = START + b"\x09\xf0"


class Unit(NamedTuple):
    """Bytes of one NAL unit, or of several from one packet, and the time of its first piece as that gave it."""

    data: bytes
    pts: int | None

    @property
    def begins_picture(self) -> bool:
        """Whether it is a slice with a picture's first block, whose number, 0, is the bit 1 (H.264, 7.3.3 and 9.1)."""
        kind, first = self.data[len(START) : len(START) + 2].ljust(2, b"\0")
        return kind & 31 in _SLICES and first >= 128


class NalUnits:
    """Joins the pieces of one connection, none of which may be missing among them, as none is by TCP."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._pts: int | None = None
        self._size = 0
        self._followed: int | None = None
        self._fills = True
        self._seen = 0

    def take(self, piece: bytes, pts: int | None) -> list[Unit]:
        """The units that are whole now."""
        begins = piece.startswith(START)
        whole = self._end() if begins else []
        if begins:
            self._pts = pts
        else:
            self._fills = self._fills and self._followed in (None, self._size)
            self._followed = self._size
        if begins or self._held:
            self._held.append(piece)
        # The first fragment has the unit's own first byte besides.
        self._size = len(piece) - len(START) - 1 if begins else len(piece)
        is_last = self._fills and self._seen >= ENOUGH and self._size != self._followed
        return [*whole, *self._end()] if is_last else whole

    def _end(self) -> list[Unit]:
        held, self._held = self._held, []
        self._seen += len(held) > 2
        return [Unit(b"".join(held), self._pts)] if held else []


class PieceDecoder:
    """Decodes the packets of one connection with `context`, which is not open yet. A picture that lacks something is
    none.
    """

    def __init__(self, context: av.VideoCodecContext) -> None:
        context.flags2 |= Flags2.chunks
        self._context, self._units, self._is_whole = context, NalUnits(), True

    def decode(self, packet: av.Packet[av.stream.Stream]) -> Iterator[av.VideoFrame]:
        """What became whole with it. Raises what libav does."""
        for unit in self._units.take(bytes(packet), packet.pts):
            if unit.begins_picture:
                if not self._is_whole:
                    self._give_up()
                self._is_whole = False
            whole = av.Packet(unit.data)
            whole.pts, whole.time_base = unit.pts, packet.time_base
            for frame in self._context.decode(whole):
                self._is_whole = True
                yield frame

    def _give_up(self) -> None:
        """Have the decoder forget the picture that it is at, else it would wait for the rest and refuse all others. A
        first field that is whole it keeps for the second.
        """
        self._context.flags2 &= ~Flags2.chunks
        with suppress(av.error.InvalidDataError):  # there is no picture in it
            self._context.decode(av.Packet(_DELIMITER))
        self._context.flags2 |= Flags2.chunks
