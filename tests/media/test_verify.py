"""What was written is read back: every difference is named, and nothing else. `studio.through` asks it of every output
that these tests make.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from streamderain.media.decoder import decode
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from streamderain.media.verify import Ledger, Track, differences
from tests.media.conftest import LOSSLESS
from tests.media.test_sink import sound, words

Change = Callable[["av.Packet[Any]"], "av.Packet[Any] | None"]


def written(studio: Any) -> tuple[Path, Ledger]:
    source = studio.clip("in.mkv", pts=range(20), passengers=[sound(language="deu"), words()],
                         metadata={"title": "A walk"})  # fmt: skip
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mkv", opened, layout_of(opened.info), LOSSLESS, verify=True)
        for frame in decode(opened):
            sink.write(frame)
        sink.commit()
    assert sink.differences == []
    return sink.path, sink._muxed.ledger


def changed(path: Path, change: Change, tags: bool = True, kinds: tuple[str, ...] = ()) -> Path:
    """A copy of a file in which each packet is what `change` makes of it."""
    copy = path.with_name("changed.mkv")
    with av.open(path) as source, av.open(copy, "w") as target:
        streams = {
            each.index: target.add_stream_from_template(each) for each in source.streams if each.type not in kinds
        }
        target.metadata.update(source.metadata if tags else {})
        for index, stream in streams.items():
            stream.metadata.update(source.streams[index].metadata if tags else {})
        for packet in source.demux():
            if packet.size and packet.stream_index in streams and (made := change(packet)):
                made.stream = streams[packet.stream_index]
                target.mux(made)
    return copy


def like(packet: av.Packet[Any], data: bytes) -> av.Packet[Any]:
    made: av.Packet[Any] = av.Packet(data)
    made.pts, made.dts, made.duration, made.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    made.is_keyframe = packet.is_keyframe
    return made


def flip(packet: av.Packet[Any]) -> av.Packet[Any]:
    """Another bit in the sound at 0.2 s or so."""
    data = bytearray(bytes(packet))
    if packet.stream.type == "audio" and 195 < packet.pts < 216:
        data[-1] ^= 1
    return like(packet, bytes(data))


def without(kind: str, after: int) -> Change:
    return lambda packet: None if packet.stream.type == kind and packet.pts > after else packet


def later(kind: str, after: int, by: int) -> Change:
    def change(packet: av.Packet[Any]) -> av.Packet[Any]:
        if packet.stream.type == kind and packet.pts > after:
            packet.pts, packet.dts = packet.pts + by, packet.dts + by
        return packet

    return change


CHANGES: dict[str, tuple[Change, dict[str, Any], str]] = {
    "a bit of sound": (flip, {}, "audio track 1 (aac) is not the same from packet"),
    "lost sound": (without("audio", 200), {}, "audio track 1 (aac) has"),
    "lost frames": (without("video", 500), {}, "13 of 20 frames are there"),
    "lost words": (without("subtitle", 50), {}, "subtitle track 2 (subrip) has 1 of 2 packets"),
    "late frames": (later("video", 500, 20), {}, "the picture has 0.5"),
    "late sound": (later("audio", -100, 30), {}, "audio track 1 (aac) has 0.0"),
    "no sound": (lambda packet: packet, {"kinds": ("audio",)}, "audio track 1 (aac) is missing"),
    "no tags": (lambda packet: packet, {"tags": False}, "the tag title is not there, not A walk"),
    "no language": (lambda packet: packet, {"tags": False}, "audio track 1 (aac) is marked"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_difference_is_named(studio: Any, case: str) -> None:
    change, options, said = CHANGES[case]
    path, ledger = written(studio)
    assert differences(changed(path, lambda packet: packet), ledger, 20) == []
    found = differences(changed(path, change, **options), ledger, 20)
    assert any(each.startswith(said) for each in found), found
    assert len(found) <= 8
    assert not any("\n" in each for each in found)


def test_what_cannot_be_read_back_is_one_line(studio: Any) -> None:
    path, ledger = written(studio)
    path.write_bytes(b"rain" * 100)
    [found] = differences(path, ledger, 20)
    assert found.startswith("it cannot be read back: ")


def test_what_was_told_to_be_lost_is_no_difference(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", passengers=[words(), sound()], metadata={"title": "A walk"})
    studio.through(source, "out.ts")
    studio.through(source, "out.mp4")
    assert "subtitle track 1 (subrip) does not fit into mp4" in caplog.text


class Booked:
    """A digest that notes how much it is given at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def update(self, data: bytes) -> None:
        self.sizes.append(len(data))


def test_silence_is_counted_until_something_follows_and_booked_in_pieces() -> None:
    track, booked = Track("audio", "pcm_s16le"), Booked()
    track.digest = booked
    for _ in range(1000):
        track.take(av.Packet(bytes(4096)))
    assert booked.sizes == []
    track.take(av.Packet(b"\1\0\0\0"))
    assert sum(booked.sizes) == 1000 * 4096 + 1
    assert max(booked.sizes) <= 2**20
