"""A film that was written by fragments is in the end the one that libav writes in one piece."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from streamderain.media import fragments
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.fragments import Spaced, straighten
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from tests.media.conftest import LOSSLESS, copy_frames
from tests.media.test_extras import cover
from tests.media.test_sink import sound, words

REORDERED = Encoding(options={"bf": "3", "qp": "10"}, crf=None)


def facts(path: Path) -> Any:
    """All that a film says of its streams, but for its longest unit of time and empty subtitles."""
    with av.open(path) as container:
        packets: dict[int, list[Any]] = {stream.index: [] for stream in container.streams}
        for packet in container.demux():
            if packet.size and bytes(packet) != b"\0\0":
                packets[packet.stream_index].append((packet.pts, packet.dts, packet.duration, bytes(packet)))
        streams = [
            (each.type, each.start_time, each.time_base, each.metadata, each.disposition, packets[each.index])
            for each in container.streams
        ]
        tags = {key: value for key, value in container.metadata.items() if key != "compatible_brands"}
        return streams, tags, container.chapters(), container.duration


def names(path: Path) -> list[bytes]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        found.append(name)
        at += size if size > 1 else struct.unpack_from(">Q", data, at + 8)[0]
    return found


CASES: dict[str, tuple[dict[str, Any], Encoding]] = {
    "plain": ({}, LOSSLESS),
    "reordered": ({"passengers": [sound()]}, REORDERED),
    "late picture": ({"pts": range(5, 80), "passengers": [sound(seconds=3), sound("ac3", 3, "deu")]}, REORDERED),
    "words": ({"pts": range(70), "passengers": [words("mov_text"), sound(seconds=3)]}, REORDERED),
    "cover": ({"passengers": [cover(), sound()], "metadata": {"title": "A walk"}}, LOSSLESS),
    "chapters": (
        {
            "pts": range(60),
            "rotation": 90,
            "chapters": [
                {"id": 0, "start": 0, "end": 1500, "time_base": Fraction(1, 1000), "metadata": {"title": "dry"}}
            ],
        },
        REORDERED,
    ),
}


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_film_that_is_written_in_one_piece(
    studio: Any, case: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, encoding = CASES[case]
    source = studio.clip(**{"pts": range(60), **clip})
    ours = studio.through(source, f"ours.{ending}", encoding)
    monkeypatch.setattr(fragments, "OPTIONS", {"movflags": "+faststart"})
    monkeypatch.setattr(fragments, "straighten", lambda film, target: target.write_bytes(film.read_bytes()))
    theirs = studio.through(source, f"theirs.{ending}", encoding)
    assert facts(ours) == facts(theirs)
    assert names(ours) == [b"ftyp", b"moov", b"mdat"]
    assert ours.stat().st_size < theirs.stat().st_size + 400
    assert studio.files() == {"in.mp4", ours.name, theirs.name}


SLOW = Encoding(options={**REORDERED.options, "rc-lookahead": "40"}, crf=None)
"""What holds back more than a second of 25 pictures."""

PAUSES = [*range(20), *range(27, 65), *range(66, 80, 2)]
"""Times of pictures that are not evenly far apart, at a pace of 25 a second."""


def broken_sound(container: Any) -> Any:
    """Three seconds of sound, half a second of which is missing."""
    packets = sound(seconds=3)(container)
    return packets[:30] + packets[54:]


@pytest.mark.parametrize("microseconds", [100_000, 160_000, 280_000, 440_000, 1_000_000])
@pytest.mark.parametrize("pts", [range(61), range(62), PAUSES], ids=["61", "62", "pauses"])
def test_wherever_fragments_end_no_picture_is_hidden_and_nothing_is_moved(
    studio: Any, microseconds: int, pts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside subtitles libav waits for a second alone, and so does not know the next picture where a fragment ends.
    source = studio.clip(pts=pts, passengers=[broken_sound, words("mov_text")])
    monkeypatch.setitem(fragments.OPTIONS, "frag_duration", str(microseconds))
    output = studio.through(source, "out.mp4", SLOW)
    for kind in ("video", "audio"):
        with av.open(source) as before, av.open(output) as after:
            asked, got = ([each.time for each in file.decode(**{kind: 0})] for file in (before, after))
            assert got == pytest.approx(asked, abs=2e-3)


def test_a_picture_that_an_edit_list_hides_is_missed(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = studio.clip(pts=PAUSES, passengers=[broken_sound, words("mov_text")])
    monkeypatch.setitem(fragments.OPTIONS, "frag_duration", "100000")
    monkeypatch.setattr(fragments, "settle_ends", lambda film, ends: None)
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), SLOW, verify=True)
        copy_frames(opened, sink)
    assert f"{len(PAUSES) - 1} of {len(PAUSES)} frames are there" in sink.differences


def test_packets_last_until_the_next_one_of_their_stream(studio: Any) -> None:
    spaced, given, packets = Spaced(), [], 0
    with av.open(studio.clip("in.mkv", pts=PAUSES, passengers=[broken_sound])) as film:
        for packet in film.demux():
            if packet.size:
                packets += 1
                given += spaced.take(packet)
        given += spaced.rest()
        for stream in film.streams:
            mine = [each for each in given if each.stream is stream]
            assert [a.dts + a.duration for a in mine[:-1]] == [each.dts for each in mine[1:]]
    assert len(given) == packets > len(PAUSES)


def test_pcm_in_quicktime(studio: Any) -> None:
    source = studio.clip("in.mov", pts=range(60), passengers=[sound("pcm_s16le", 2.4)])
    output = studio.through(source, "out.mov")
    with av.open(source) as before, av.open(output) as after:
        heard = [b"".join(bytes(each) for each in file.demux(audio=0)) for file in (before, after)]
    assert heard[0] == heard[1] != b""
    studio.unchanged(source, output)


@pytest.mark.parametrize("most", [2000, 0])
def test_a_film_too_long_for_short_offsets(studio: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = studio.clip(pts=range(60), passengers=[sound(seconds=2)])
    whole = studio.through(source, "whole.mp4")
    monkeypatch.setattr(fragments, "_MOST", most)
    output = studio.through(source, "out.mp4")
    assert names(output) == [b"ftyp", b"mdat", b"moov"]
    assert facts(output) == facts(whole)


def test_without_room_for_it_the_film_stays_as_it_is(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(film: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    source = studio.clip(pts=range(60), passengers=[sound(seconds=2)])
    monkeypatch.setattr(fragments, "straighten", refuse)
    output = studio.through(source, "out.mp4")
    assert names(output)[-1] == b"moov"
    assert studio.files() == {"in.mp4", "out.mp4"}
    studio.unchanged(source, output)


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\x08ftyp", b"\0\0\0\x04ftyp", b"\0\0\xff\xffftypmp42"])
def test_what_is_no_film_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "film.mp4").write_bytes(damage)
    with pytest.raises(OSError, match=r"is no finished film|ends beyond"):
        straighten(tmp_path / "film.mp4", tmp_path / "out.mp4")


def test_a_run_that_is_given_up_is_a_whole_film_too(studio: Any) -> None:
    source = studio.clip(pts=range(60), passengers=[sound(seconds=2)])
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), LOSSLESS)
        for _, frame in zip(range(40), decode(opened), strict=False):
            sink.write(frame)
        kept = sink.abandon()
    assert kept
    assert len(studio.look(kept).times) == 40
    with av.open(kept) as film:
        assert len(list(film.decode(video=0))) == 40
    with open_source(kept) as opened:
        copy_frames(opened, FileSink(studio.folder / "again.mkv", opened, layout_of(opened.info), LOSSLESS))
