"""What a file holds beside its picture and sound is copied where it fits; what does not is said in time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.media.decoder import decode
from streamderain.media.extras import is_cover
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from tests.media.conftest import LOSSLESS, picture
from tests.media.test_sink import held, sound, words

Packets = list[av.Packet]

KEYS = {"com.apple.quicktime.make": "Maker", "com.apple.quicktime.location.ISO6709": "+10.0000+020.0000/"}


def cover(codec: str = "png") -> Any:
    def make(container: Any) -> Packets:
        stream = container.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 8, 8, "rgb24" if codec == "png" else "yuvj420p"
        stream.disposition = av.stream.Disposition.attached_pic
        frame = picture(0, 8, 8, stream.pix_fmt)
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        return list(stream.encode(frame)) + list(stream.encode(None))

    return make


def second(container: Any) -> Packets:
    """A further picture that goes on after the first has ended."""
    stream = container.add_stream("mpeg4", rate=25, options={"bf": "0"})
    stream.width, stream.height, stream.time_base = 32, 32, Fraction(1, 25)
    packets = []
    for number in range(12):
        frame = picture(number, 32, 32, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def telemetry(container: Any) -> Packets:
    """Key-length-value data, as drones send it."""
    stream = container.add_data_stream("klv")
    stream.time_base = Fraction(1, 90_000)
    packets = []
    for number in range(4):
        packet: av.Packet[Any] = av.Packet(b"\x06\x0e\x2b\x34" + bytes([number]) * 16)
        packet.stream, packet.time_base = stream, Fraction(1, 90_000)
        packet.pts = packet.dts = number * 3600
        packets.append(packet)
    return packets


def font(container: Any) -> Packets:
    container.add_attachment("rain.ttf", "application/x-truetype-font", b"x" * 40)
    return []


def covers(path: Path) -> list[bytes]:
    with av.open(path) as container:
        indices = [stream.index for stream in container.streams if is_cover(stream)]
        return [bytes(packet) for packet in container.demux() if packet.size and packet.stream_index in indices]


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
@pytest.mark.parametrize(("before", "after"), [("mp4", "mp4"), ("mp4", "mkv"), ("mkv", "mkv"), ("mkv", "mp4")])
def test_cover_art_is_kept(studio: Any, codec: str, before: str, after: str, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mp4", passengers=[cover(codec)])
    if before == "mkv":
        source = studio.through(source, "in.mkv")
    output = studio.through(source, f"out.{after}")
    assert len(covers(source)) == 1
    assert covers(output) == covers(source)
    studio.unchanged(source, output)
    assert caplog.text == ""


def test_cover_art_without_a_place_is_told(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip(passengers=[cover()])
    studio.through(source, "out.ts")
    said = "cover art in track 1 (png) does not fit into mpegts and is left out; .mkv holds it"
    assert said in caplog.text


def test_attachments_are_kept(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", passengers=[font])
    output = studio.through(source, "out.mkv")
    with av.open(output) as container:
        [kept] = [stream for stream in container.streams if stream.type == "attachment"]
        assert (kept.name, kept.mimetype, kept.data) == ("rain.ttf", "application/x-truetype-font", b"x" * 40)
    assert caplog.text == ""
    studio.through(source, "out.mp4")
    assert "attachment 1 (rain.ttf) does not fit into mp4 and is left out; .mkv holds it" in caplog.text


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
def test_a_second_picture_is_copied_to_its_end(studio: Any, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", passengers=[second, sound()])
    output = studio.through(source, f"out.{ending}")
    ours, theirs = held(output, "video"), held(source, "video")
    assert [payload for _, payload in ours[1][0]] == [payload for _, payload in theirs[1][0]]
    assert len(ours[1][0]) == 12
    studio.unchanged(source, output)
    assert caplog.text == ""


def test_a_second_picture_without_a_place_is_told(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    from streamderain.media.encoder import Encoding

    studio.through(studio.clip("in.mkv", passengers=[second]), "out.webm", Encoding("libvpx-vp9"))
    assert "video track 1 (mpeg4) does not fit into webm and is left out; .mp4 or .mkv holds it" in caplog.text


def test_data_tracks(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.ts", passengers=[telemetry])
    kept = held(studio.through(source, "out.ts"), "data")
    assert [payload for _, payload in kept[0][0]] == [payload for _, payload in held(source, "data")[0][0]]
    assert len(kept[0][0]) == 4
    assert caplog.text == ""
    studio.through(source, "out.mkv")
    assert "data track 1 (klv) does not fit into matroska and is left out; .ts holds it" in caplog.text


@pytest.mark.parametrize("ending", ["mov", "mp4", "mkv"])
def test_tags_of_any_name_are_kept(studio: Any, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    options = {"movflags": "use_metadata_tags"}
    source = studio.clip("in.mov", metadata={**KEYS, "title": "A walk"}, container_options=options)
    with av.open(studio.through(source, f"out.{ending}")) as container:
        found = {key.lower(): value for key, value in container.metadata.items()}
    assert {key: found.get(key.lower()) for key in KEYS} == KEYS
    assert found["title"] == "A walk"
    assert caplog.text == ""


def test_usual_tags_stay_where_other_programs_look_for_them(studio: Any) -> None:
    output = studio.through(studio.clip(metadata={"title": "A walk"}))
    assert b"\xa9nam" in output.read_bytes()


def test_tags_without_a_place_are_told(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    options = {"movflags": "use_metadata_tags"}
    studio.through(studio.clip("in.mov", metadata=KEYS, container_options=options), "out.ts")
    assert "mpegts with libx264 does not hold the tag com.apple.quicktime.make" in caplog.text
    assert "; an output in .mkv does" in caplog.text


@pytest.mark.parametrize("before", ["mp4", "mov", "mkv", "avi"])
@pytest.mark.parametrize("after", ["mp4", "mov", "mkv"])
def test_tags_that_are_not_utf8_pass_byte_for_byte(studio: Any, before: str, after: str) -> None:
    studio.clip(f"plain.{before}", metadata={"title": "Caf\u0021 noir"}, pts=range(2))
    data = (studio.folder / f"plain.{before}").read_bytes()
    assert b"Caf!" in data
    source = studio.folder / f"in.{before}"
    source.write_bytes(data.replace(b"Caf!", b"Caf\xe9"))
    output = studio.through(source, f"out.{after}")
    assert b"Caf\xe9 noir" in output.read_bytes()


def test_nothing_is_said_of_chapters_and_time_codes(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    chapters = [{"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "dry"}}]
    source = studio.clip("in.mov", chapters=chapters, pts=range(12), metadata={"timecode": "01:00:00:00"})
    with av.open(source) as container:
        assert [stream.type for stream in container.streams] == ["video", "subtitle", "data"]
    output = studio.through(source, "out.mov")
    with av.open(output) as container:
        assert len(container.streams) == 3
        assert container.streams.video[0].metadata["timecode"] == "01:00:00:00"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["dry"]
    assert caplog.text == ""


def test_all_is_said_before_the_first_frame(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", passengers=[font, words(), sound()])
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), LOSSLESS)
        said = caplog.text
        for frame in decode(opened):
            sink.write(frame)
        sink.commit()
    assert "rain.ttf" in said
    assert "subtitle track 1" in said
    assert caplog.text == said


def test_the_picture_s_own_mark_and_title_are_kept(studio: Any) -> None:
    source = studio.folder / "in.mkv"
    with av.open(source, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.disposition = av.stream.Disposition.default | av.stream.Disposition.original
        stream.metadata["title"] = "yard"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 48), np.uint8), format="yuv420p")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(studio.through(source, "out.mkv")) as container:
        assert container.streams.video[0].disposition == stream.disposition
        assert container.streams.video[0].metadata["title"] == "yard"
    with av.open(studio.through(source, "out.mp4")) as container:
        assert container.streams.video[0].metadata["name"] == "yard"
    with av.open(studio.through(studio.folder / "out.mp4", "again.mp4")) as container:
        assert container.streams.video[0].metadata["name"] == "yard"
