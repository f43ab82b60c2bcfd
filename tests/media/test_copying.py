"""What goes into a container packet by packet, and what is said of what does not."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.errors import SinkError
from streamderain.media.copying import add_copy, holds, listed, takes
from streamderain.media.encoder import Encoding
from streamderain.media.source import open_source

QUICK = Encoding(crf=None, preset="ultrafast", options={"qp": "30"})


def tone(codec: str, rate: int = 8000, channels: str = "mono") -> Callable[[Any], list[Any]]:
    """Makes a second of sound in any codec."""

    def make(container: Any) -> list[Any]:
        stream = container.add_stream(codec, rate=rate, layout=channels, bit_rate=64000)
        fit = av.AudioResampler(stream.codec_context.format.name, channels, rate)
        samples = np.random.default_rng(1).integers(-9000, 9000, (1, rate), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        return [packet for each in [*fit.resample(frame), None] for packet in stream.encode(each)]

    return make


def payload(path: Path) -> bytes:
    """The packets of the sound, one after the other: some containers cut them elsewhere."""
    with av.open(path) as file:
        return b"".join(bytes(packet) for packet in file.demux(audio=0))


def codec(path: Path) -> str:
    with av.open(path) as file:
        return str(file.streams.audio[0].codec_context.name)


@pytest.mark.parametrize("ending", ["mkv", "mov"])
@pytest.mark.parametrize("name", ["pcm_alaw", "pcm_mulaw", "adpcm_yamaha", "g726", "pcm_s16le", "pcm_s24le"])
def test_sound_is_copied_bit_by_bit_whatever_pyav_says(studio: Any, name: str, ending: str) -> None:
    source = studio.clip(
        "in.avi" if name in ("adpcm_yamaha", "g726") else "in.mov", pts=range(25), passengers=[tone(name)]
    )
    output = studio.through(source, f"out.{ending}", QUICK)
    assert payload(output) == payload(source) != b""
    assert codec(output) == codec(source) == name


@pytest.mark.parametrize("name", ["adpcm_ms", "adpcm_ima_wav", "wmav2"])
def test_what_windows_holds_matroska_holds(studio: Any, name: str) -> None:
    rate = 44100 if name == "wmav2" else 8000
    source = studio.clip("in.avi", pts=range(25), passengers=[tone(name, rate)])
    output = studio.through(source, "out.mkv", QUICK)
    assert payload(output) == payload(source) != b""
    assert codec(output) == codec(source) == name


@pytest.mark.parametrize("name", ["pcm_s16le", "pcm_s24le"])
def test_what_takes_no_sound_without_a_picture_is_asked_with_one(studio: Any, name: str) -> None:
    """MXF cuts sound into pieces as long as a picture, and fills up the last with silence."""
    pictures = [av.VideoFrame(96, 64, "yuv420p") for _ in range(25)]
    source = studio.clip("in.mov", size=(64, 96), pts=range(25), pictures=pictures, passengers=[tone(name, 48000)])
    output = studio.through(source, "out.mxf", Encoding("auto"))
    before, after = payload(source), payload(output)
    assert after.rstrip(b"\0") == before.rstrip(b"\0") != b""
    assert codec(output) == name


@pytest.mark.parametrize(
    ("name", "ending", "holding"),
    [
        ("pcm_alaw", "mp4", [".mkv", ".mov"]),
        ("adpcm_ms", "mp4", [".mkv"]),
        ("pcm_s16le", "ts", [".mp4", ".mkv", ".mov"]),
        ("flac", "mov", [".mp4", ".mkv"]),
        ("pcm_mulaw", "ts", [".mkv", ".mov"]),
    ],
)
def test_an_error_names_the_outputs_that_hold_the_sound(
    studio: Any, name: str, ending: str, holding: list[str]
) -> None:
    source = studio.clip("in.mkv" if name == "flac" else "in.avi", pts=range(25), passengers=[tone(name)])
    with pytest.raises(SinkError, match=re.escape(f"try an output in {listed(holding)}")) as raised:
        studio.through(source, f"out.{ending}", QUICK)
    assert f"audio track 1 ({name}) does not fit into" in str(raised.value)
    for kept in holding:
        output = studio.through(source, f"out{kept}", QUICK)
        assert codec(output) == name
        assert payload(output) == payload(source)


@pytest.mark.parametrize("encoder", ["libvpx-vp9", "ffv1", "gif", "mpeg4", "libx265"])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "webm", "flv"])
def test_no_advice_is_what_was_refused(studio: Any, encoder: str, ending: str) -> None:
    source = studio.clip(size=(64, 96), pts=range(4))
    said = refusal(studio, source, f"out.{ending}", encoder)
    for kept in re.findall(r"\.\w\w\w", said.partition("; try ")[2]):
        assert kept != f".{ending}"
        assert refusal(studio, source, f"kept{kept}", encoder) == ""
    for other in re.findall(r"--encoder ([^\s,]+)", said):
        assert refusal(studio, source, f"kept.{ending}", other) == ""


def refusal(studio: Any, source: Path, name: str, encoder: str) -> str:
    """What is said where an output is refused; nothing where it is not."""
    try:
        studio.through(source, name, Encoding(encoder, crf=None))
    except SinkError as error:
        return str(error)
    return ""


def test_subtitles_that_do_not_fit_name_what_holds_them(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    def words(container: Any) -> list[Any]:
        stream = container.add_mux_stream("subrip")
        packet: Any = av.Packet(b"rain")
        packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = stream, Fraction(1, 1000), 0, 0, 80
        return [packet]

    source = studio.clip("in.mkv", pts=range(12), passengers=[words])
    with caplog.at_level(logging.WARNING):
        studio.through(source, "out.mov", QUICK)
    assert "subtitle track 1 (subrip) does not fit into mov and is left out; .mkv holds it" in caplog.text


def test_a_muxer_that_takes_anything_is_not_believed(studio: Any) -> None:
    source = studio.clip("in.mov", pts=range(25), passengers=[tone("pcm_alaw")])
    with open_source(source) as opened:
        sound = opened.copied[0]
        assert holds("mpegts", sound)
        assert not holds("mpegts", sound, opened.samples(sound))
        assert holds("matroska", sound, opened.samples(sound))


def test_what_is_tried_is_left_as_it_was(studio: Any) -> None:
    source = studio.clip("in.mov", pts=range(25), passengers=[tone("pcm_alaw")])
    with open_source(source) as opened:
        sound = opened.copied[0]
        samples = opened.samples(sound)
        before = [(packet.pts, packet.dts, packet.time_base, packet.stream_index) for packet in samples]
        holds("matroska", sound, samples)
        assert [(packet.pts, packet.dts, packet.time_base, packet.stream_index) for packet in samples] == before


def test_who_takes_what() -> None:
    assert takes("matroska", "libx264")
    assert takes("gif", "gif")
    assert not takes("webm", "libx264")
    # PyAV says yes, and QuickTime no.
    assert not takes("mov", "libvpx-vp9")
    assert listed([".mkv"]) == ".mkv"
    assert listed([".mkv", ".mov", ".mp4"]) == ".mkv, .mov or .mp4"


def test_a_codec_that_no_format_holds(studio: Any) -> None:
    source = studio.clip("in.mov", pts=range(3), passengers=[tone("pcm_alaw")])
    with open_source(source) as opened, av.open(studio.folder / "x.gif", "w") as container:
        add_copy(container, opened.copied[0])
        with pytest.raises((av.FFmpegError, ValueError)):
            container.start_encoding()


@pytest.mark.parametrize("ending", ["mkv", "mov"])
def test_the_case_of_the_founders(studio: Any, shared: Path, ending: str) -> None:
    source = shared / "cases" / "alaw.mkv"
    output = studio.through(source, f"out.{ending}", QUICK)
    assert payload(output) == payload(source)
    with pytest.raises(SinkError, match=r"\(pcm_alaw\) does not fit into mp4; try an output in .mkv or .mov"):
        studio.through(source, "out.mp4", QUICK)


@pytest.mark.parametrize("ending", ["mkv", "mp4", "flv"])
def test_damaged_sound_costs_its_own_packets_alone(
    studio: Any, clip: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a transport stream is cut off, or its reception was bad."""
    source = studio.folder / "in.ts"
    with av.open(clip) as before, av.open(source, "w") as after:
        copies = {stream.index: after.add_stream_from_template(stream) for stream in before.streams}
        for packet in before.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                after.mux(packet)
    data, at = bytearray(source.read_bytes()), 0
    for number in range(8):
        at = data.find(b"\xff\xf1", at + 1)  # the header of an AAC packet (ADTS)
        if number in (3, 5):
            data[at + 3 : at + 6] = b"\x80\x00\x1f"  # a length that is too small
    source.write_bytes(data)
    output = studio.through(source, f"out.{ending}")
    assert len(studio.look(output).times) == 12
    with av.open(output) as container:
        assert any(packet.size for packet in container.demux(audio=0))
    assert caplog.text.count("damaged packets of audio track 1 are left out") == 1
