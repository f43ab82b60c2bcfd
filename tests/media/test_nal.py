"""Pieces of H.264 become pictures as soon as they are whole, and none that is not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from av.codec.context import Flags
from numpy.typing import NDArray

from streamderain.media.nal import ENOUGH, START, NalUnits, PieceDecoder

MOST = 300
"""Bytes that a packet of the tests' senders holds."""

Pieces = list[bytes]


def filling(unit: bytes, most: int = MOST) -> Pieces:
    """A unit, without its start code, as a sender that fills its packets sends it, and libav hands it out."""
    if len(unit) <= most:
        return [START + unit]
    body, room = unit[1:], most - 2
    parts = [body[at : at + room] for at in range(0, len(body), room)]
    return [START + unit[:1] + parts[0], *parts[1:]]


def splitting(unit: bytes, most: int = MOST) -> Pieces:
    """The same by one that makes all fragments about equally long."""
    if len(unit) <= most:
        return [START + unit]
    body = unit[1:]
    number = -(-len(body) // (most - 2))
    cuts = [len(body) * each // number for each in range(number + 1)]
    first, *rest = (body[begin:end] for begin, end in pairwise(cuts))
    return [START + unit[:1] + first, *rest]


def unit_of(size: int) -> bytes:
    return b"\x41" + b"\xaa" * (size - 1)


def believed(sender: Callable[[bytes], Pieces] = filling) -> NalUnits:
    """After enough units of that sender."""
    units = NalUnits()
    for number in range(ENOUGH + 1):
        for piece in sender(unit_of(3 * MOST + 7 * number)):
            units.take(piece, number)
    return units


def taken(units: NalUnits, pieces: Pieces, pts: int = 0) -> list[int]:
    """How many bytes were whole after each piece."""
    return [sum(len(unit.data) for unit in units.take(piece, pts)) for piece in pieces]


def test_a_unit_is_whole_with_its_last_piece_once_its_sender_is_known() -> None:
    units = believed()
    assert taken(units, filling(unit_of(1000)))[-1] == 1000 + len(START)
    assert taken(units, filling(unit_of(20))) == [20 + len(START)]


def test_before_that_it_is_when_the_next_one_begins() -> None:
    units = NalUnits()
    assert taken(units, filling(unit_of(1000))) == [0, 0, 0, 0]
    assert units.take(START + unit_of(20), 7)[0].data == START + unit_of(1000)
    assert units.take(START + unit_of(30), 8)[0].pts == 7


@pytest.mark.parametrize("size", [MOST - 1, 2 * (MOST - 2) + 1, 3 * (MOST - 2) + 1])
def test_one_that_fills_its_last_packet_by_chance_waits_for_the_next(size: int) -> None:
    units = believed()
    pieces = filling(unit_of(size))
    assert len(pieces[-1]) in (MOST - 2, MOST + 3)
    assert sum(taken(units, pieces)) == 0
    assert units.take(START + unit_of(5), 0)[0].data == START + unit_of(size)


def test_several_in_one_packet_are_whole_with_it() -> None:
    together = b"".join(START + unit_of(size) for size in (30, 4, 4, 200))
    assert taken(believed(), [together]) == [len(together)]


def test_a_sender_that_fills_no_packets_is_never_believed() -> None:
    units = believed(splitting)
    generator = random.Random(1)
    units.take(START + unit_of(9), 0)
    before = START + unit_of(9)
    for _ in range(500):
        unit = unit_of(generator.randrange(2, 10 * MOST))
        first, *rest = splitting(unit)
        assert [each.data for each in units.take(first, 0)] == [before]
        assert sum(taken(units, rest)) == 0
        before = START + unit


def test_nor_is_one_any_more_that_no_longer_does() -> None:
    units = believed()
    taken(units, filling(unit_of(1000), MOST // 2))
    assert taken(units, filling(unit_of(20))) == [0]
    assert units.take(START + unit_of(30), 0)[0].data == START + unit_of(20)


def filmed(codec: str = "libx264", number: int = 40, **options: str) -> tuple[list[bytes], list[NDArray[np.uint8]]]:
    """Packets of a noisy film that moves, and its pictures as they are decoded from whole packets."""
    generator = np.random.default_rng(5)
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 128, 96, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10", "crf": "20", **options}
    packets = []
    for each in range(number):
        picture = generator.integers(0, 40 if each % 7 else 200, (96, 128, 3), np.uint8)
        picture[:, 3 * each % 100 : 3 * each % 100 + 20] += 50
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts = each
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    whole = av.CodecContext.create("h264", "r")
    whole.flags |= Flags.low_delay
    return packets, [frame.to_ndarray() for packet in packets for frame in whole.decode(av.Packet(packet))]


def split(packet: bytes) -> list[bytes]:
    """The units of a packet, without start codes."""
    return [each for each in packet.replace(START, START[1:]).split(START[1:]) if each]


def in_pieces(packets: list[bytes], sender: Callable[[bytes], Pieces]) -> list[tuple[bytes, int, bool]]:
    """All pieces, each with its picture's number and whether it is that picture's last."""
    pieces = []
    for number, packet in enumerate(packets):
        own = [piece for unit in split(packet) for piece in sender(unit)]
        pieces += [(piece, number, piece is own[-1]) for piece in own]
    return pieces


def decoded(pieces: list[tuple[bytes, int, bool]]) -> Iterator[tuple[NDArray[np.uint8], int, bool]]:
    """Pictures, each with its number and whether it came with its last piece."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.flags |= Flags.low_delay
    context.thread_type = "SLICE"
    decoder = PieceDecoder(context)
    for piece, number, is_last in pieces:
        packet: av.Packet[av.VideoStream] = av.Packet(piece)
        packet.pts, packet.time_base = number, Fraction(1, 25)
        for frame in decoder.decode(packet):
            assert frame.pts is not None
            yield frame.to_ndarray(), frame.pts, is_last and frame.pts == number


FILMS = {
    "one slice": {},
    "four slices": {"slices": "4"},
    "slices by size": {"slice-max-size": "700"},
    "units between pictures": {"x264-params": "aud=1:repeat-headers=1:nal-hrd=vbr:vbv-maxrate=2000:vbv-bufsize=2000"},
    "CABAC": {"preset": "veryfast"},
    "fields within pictures": {"preset": "veryfast", "flags": "+ildct+ilme", "x264-params": "tff=1"},
}


@pytest.mark.parametrize("film", FILMS)
@pytest.mark.parametrize("sender", [filling, splitting])
def test_pictures_are_those_of_whole_packets_and_come_as_soon_as_they_can(
    film: str, sender: Callable[[bytes], Pieces]
) -> None:
    packets, whole = filmed(**FILMS[film])
    found = list(decoded(in_pieces(packets, sender)))
    assert [number for _, number, _ in found] == list(range(len(found)))
    assert len(whole) - 1 <= len(found) <= len(whole)
    assert all(np.array_equal(one, other) for (one, _, _), other in zip(found, whole, strict=False))
    at_once = [is_last for _, _, is_last in found[20:]]
    if sender is filling:
        # Now and then a last piece fills its packet.
        assert sum(at_once) > 0.8 * len(at_once)


PROGRESSIVE = [each for each in FILMS if each != "fields within pictures"]


@pytest.mark.parametrize("film", FILMS)
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_after_a_loss_nothing_is_worse_than_with_whole_packets(film: str, which: int) -> None:
    packets, whole = filmed(**FILMS[film])
    pieces = in_pieces(packets, filling)
    lost = [at for at, (_, number, _) in enumerate(pieces) if number == 24][which]
    found = {number: picture for picture, number, _ in decoded(pieces[:lost] + pieces[lost + 1 :])}
    assert set(range(39)) - set(found) <= {24}
    intact = [number for number in found if np.array_equal(found[number], whole[number])]
    assert set(intact) >= {*range(24), *range(30, 39)}


@pytest.mark.parametrize("film", PROGRESSIVE)
def test_no_picture_is_handed_on_before_it_is_whole_when_a_sender_changes_its_ways(film: str) -> None:
    packets, whole = filmed(**FILMS[film])
    # In the middle of a group of pictures.
    pieces = in_pieces(packets[:25], filling)
    for piece, number, is_last in in_pieces(packets[25:], lambda unit: filling(unit, 200)):
        pieces.append((piece, number + 25, is_last))
    found = {number: picture for picture, number, _ in decoded(pieces)}
    assert set(range(39)) - set(found) <= {25}
    # From the next key picture on all is well again.
    assert all(np.array_equal(found[number], whole[number]) for number in (*range(25), *range(30, 39)))
