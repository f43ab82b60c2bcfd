"""What goes past the network: shape, other streams, metadata; and outputs that cannot be."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.errors import SinkError
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import open_source
from tests.media.conftest import LOSSLESS

Packets = list[av.Packet]
Maker = Callable[[Any], Packets]


def sound(codec: str = "aac", seconds: float = 0.5, language: str = "und", default: bool = True) -> Maker:
    def make(container: Any) -> Packets:
        stream = container.add_stream(codec, rate=48000, layout="stereo")
        stream.metadata["language"] = language
        stream.disposition = av.stream.Disposition.default if default else av.stream.Disposition.comment
        packets, size = [], 1024
        sample_format = stream.codec_context.format.name
        for number in range(int(seconds * 48000 / size)):
            noise = np.random.default_rng(number).integers(-8000, 8000, (2, size))
            samples = (noise / 32768).astype(np.float32) if "flt" in sample_format else noise.astype(np.int16)
            planes = samples if sample_format.endswith("p") else samples.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=sample_format, layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, number * size, Fraction(1, 48000)
            packets += stream.encode(frame)
        return packets + stream.encode(None)

    return make


def words(codec: str = "subrip", language: str = "und") -> Maker:
    def make(container: Any) -> Packets:
        stream = container.add_mux_stream(codec)
        stream.metadata["language"] = language
        packets = []
        for number, text in enumerate(("rain", "shine")):
            packet = av.Packet(text.encode())
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = number * 100
            packet.duration = 80
            packets.append(packet)
        return packets

    return make


def held(path: Path, kind: str) -> list[tuple[list[tuple[Fraction, bytes]], str, int]]:
    """Of every stream of a kind: times and payloads of its packets, its language and disposition."""
    found = []
    with av.open(path) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        packets: dict[int, list[tuple[Fraction, bytes]]] = {stream.index: [] for stream in streams}
        for packet in container.demux():
            if packet.size and packet.stream.type == kind:
                packets[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
        for stream in streams:
            found.append((packets[stream.index], stream.metadata.get("language", "und"), int(stream.disposition)))
    return found


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_rotation_is_kept(studio: Any, degrees: int, ending: str) -> None:
    source = studio.clip(rotation=degrees, size=(32, 64), pts=range(2))
    output = studio.through(source, f"out.{ending}")
    assert [studio.look(path).info.rotation for path in (source, output)] == [degrees, degrees]
    studio.unchanged(source, output)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_the_shape_of_pixels_is_kept(studio: Any, ending: str) -> None:
    source = studio.clip(aspect=Fraction(16, 11), pts=range(2))
    assert studio.look(studio.through(source, f"out.{ending}")).info.sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize(("before", "after"), [("mp4", "mp4"), ("mp4", "mkv"), ("mkv", "mp4"), ("mov", "mov")])
def test_every_audio_track_is_copied_packet_for_packet(studio: Any, before: str, after: str) -> None:
    tracks = [sound(language="eng"), sound("ac3", language="deu", default=False)]
    source = studio.clip(f"in.{before}", pts=range(12), passengers=tracks)
    output = studio.through(source, f"out.{after}")
    ours, theirs = held(output, "audio"), held(source, "audio")
    assert len(ours) == 2
    # Matroska rounds to milliseconds, and moves all streams alike to have none begin before zero.
    leeway = Fraction(1, 1000) if "mkv" in (before, after) else 0
    began, begins = studio.look(source).times[0], studio.look(output).times[0]
    for (packets, *labels), (originals, *original_labels) in zip(ours, theirs, strict=True):
        assert labels == original_labels
        assert [payload for _, payload in packets] == [payload for _, payload in originals]
        assert all(abs(a[0] - begins - b[0] + began) <= leeway for a, b in zip(packets, originals, strict=True))
    if after != "mov":
        assert [label for _, label, _ in ours] == ["eng", "deu"]


def test_sound_and_picture_stay_together_whatever_is_reordered(studio: Any) -> None:
    options = {"qp": "0", "bf": "3", "preset": "veryfast"}
    source = studio.clip(pts=range(5, 17), options=options, passengers=[sound(seconds=1)])
    output = studio.through(source, "out.mp4", Encoding(preset="medium", options={"bf": "3"}))
    gap = [held(path, "audio")[0][0][0][0] - studio.look(path).times[0] for path in (source, output)]
    assert gap[0] == gap[1]


def test_adts_out_of_a_transport_stream_fits_mp4(studio: Any) -> None:
    source = studio.clip("in.ts", pts=range(12), passengers=[sound()])
    output = studio.through(source)
    [(ours, *_)], [(theirs, *_)] = held(output, "audio"), held(source, "audio")
    assert len(ours) == len(theirs)
    # Each packet loses its ADTS header, of seven bytes.
    assert [payload for _, payload in ours] == [payload[7:] for _, payload in theirs]
    assert ours[0][0] - studio.look(output).times[0] == theirs[0][0] - studio.look(source).times[0]


@pytest.mark.parametrize(("codec", "ending"), [("aac", "ts"), ("mp2", "ts"), ("libopus", "webm"), ("flac", "mkv")])
def test_audio_in_other_containers(studio: Any, codec: str, ending: str) -> None:
    source = studio.clip("in.mkv", pts=range(12), passengers=[sound(codec)])
    encoding = Encoding("libvpx-vp9") if ending == "webm" else LOSSLESS
    output = studio.through(source, f"out.{ending}", encoding)
    assert len(held(output, "audio")[0][0]) == len(held(source, "audio")[0][0]) > 5


def test_audio_that_does_not_fit_is_an_error(studio: Any) -> None:
    source = studio.clip("in.mkv", pts=range(3), passengers=[sound("pcm_s16le")])
    with pytest.raises(SinkError, match=r"audio track 1 \(pcm_s16le\) does not fit into webm; try an output in .*.mkv"):
        studio.through(source, "out.webm", Encoding("libvpx-vp9"))
    assert studio.files() == {"in.mkv"}


def test_subtitles_are_copied(studio: Any) -> None:
    source = studio.clip("in.mkv", pts=range(12), passengers=[words(language="fra"), sound()])
    output = studio.through(source, "out.mkv")
    assert held(output, "subtitle") == held(source, "subtitle")
    assert [payload for _, payload in held(output, "subtitle")[0][0]] == [b"rain", b"shine"]
    assert held(output, "subtitle")[0][1] == "fra"
    assert held(output, "audio") == held(source, "audio")


def test_subtitles_that_do_not_fit_are_left_out_and_the_log_says_so(
    studio: Any, caplog: pytest.LogCaptureFixture
) -> None:
    source = studio.clip("in.mkv", pts=range(12), passengers=[words(), sound()])
    with caplog.at_level(logging.WARNING):
        output = studio.through(source)
    assert "subtitle track 1 (subrip) does not fit into mp4 and is left out" in caplog.text
    assert held(output, "subtitle") == []
    assert len(held(output, "audio")) == 1


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_chapters_and_metadata(studio: Any, ending: str) -> None:
    chapters = [
        {"id": i, "start": i * 100, "end": i * 100 + 100, "time_base": Fraction(1, 1000), "metadata": {"title": name}}
        for i, name in enumerate(("dry", "wet"))
    ]
    source = studio.clip(f"in.{ending}", metadata={"title": "A walk", "artist": "Me"}, chapters=chapters)
    output = studio.through(source, f"out.{ending}")
    with av.open(source) as before, av.open(output) as after:
        found = {key.lower(): value for key, value in after.metadata.items()}
        assert (found["title"], found["artist"]) == ("A walk", "Me")
        shown = [
            [(each["start"] * each["time_base"], each["metadata"]["title"]) for each in container.chapters()]
            for container in (before, after)
        ]
    assert shown[0] == shown[1] == [(0, "dry"), (Fraction(1, 10), "wet")]


REFUSED = {
    "preset": (Encoding(preset="nonsense"), "out.mp4", "libx264 refuses 48x32 yuv420p with preset=nonsense, crf=18"),
    "value": (Encoding(options={"bf": "many"}), "out.mp4", "libx264 refuses .* bf=many"),
    "quality": (Encoding(options={"crf": "abc"}), "out.mp4", "libx264 refuses .* crf=abc"),
    "option": (Encoding(options={"crff": "1"}), "out.mp4", r"libx264 has no option crff; did you mean crf\?"),
    "encoder": (Encoding("libx246"), "out.mp4", r"no encoder is called libx246; did you mean libx26\d\?"),
    "size": (Encoding("libx265"), "out.mp4", "libx265 needs 64 pixels each way, not 48x32; try --encoder libx264"),
    "sound": (Encoding("aac"), "out.mp4", "aac encodes audio, not video; try --encoder libx264"),
    "no presets": (Encoding("mpeg4", preset="fast"), "out.mp4", "mpeg4 has no presets; leave --preset out"),
    "container": (
        Encoding(),
        "out.webm",
        "libx264 does not go into webm; try --encoder libvpx-vp9, or an output in .mp4, .mkv, .mov or .ts",
    ),
    "wave": (Encoding(), "out.wav", "libx264 does not go into wav; try an output in .mp4, .mkv, .mov or .ts"),
    "ending": (Encoding(), "out.rain", "out.rain has an ending that tells no video format; try .mp4, .mkv"),
    "no ending": (Encoding(), "out", "out has an ending that tells no video format; try .mp4, .mkv"),
    "picture": (Encoding("png", crf=None), "out.png", "out.png has the ending of a single picture; try .mp4"),
    "folder": (Encoding(), "nowhere/out.mp4", "nowhere/out.mp4 cannot be written: No such file or directory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_is_one_line_before_the_first_frame(studio: Any, case: str) -> None:
    encoding, name, message = REFUSED[case]
    source = studio.clip()
    with open_source(source) as opened, pytest.raises(SinkError, match=message) as raised:
        FileSink(studio.folder / name, opened, layout_of(opened.info), encoding)
    assert "\n" not in str(raised.value)
    assert studio.files() == {"in.mp4"}


def test_outputs_that_would_lose_something(studio: Any) -> None:
    source, folder = studio.clip(), studio.folder
    linked = folder / "linked.mp4"
    os.link(source, linked)
    (folder / "old.mp4").write_bytes(b"old")
    for output, message in [
        (folder, "is a folder; name a file in it"),
        (source, "is the input itself"),
        (linked, "is the input itself"),
        (folder / "old.mp4", "exists; --overwrite replaces it"),
        (folder / "nowhere" / "out.mp4", "is no folder that exists; create it first"),
    ]:
        with pytest.raises(SinkError, match=message):
            check_output(output, source, overwrite=False)
    with pytest.raises(SinkError, match="is the input itself"):
        check_output(source, source, overwrite=True)
    check_output(folder / "old.mp4", source, overwrite=True)
    check_output(folder / "new.mp4", source, overwrite=False)


def test_an_existing_output_is_replaced_only_when_the_new_one_is_whole(studio: Any) -> None:
    source, output = studio.clip(), studio.folder / "out.mp4"
    output.write_bytes(b"old")
    with open_source(source) as opened:
        sink = FileSink(output, opened, layout_of(opened.info), LOSSLESS, overwrite=True)
        for frame in decode(opened):
            sink.write(frame)
            assert output.read_bytes() == b"old"
        sink.commit()
    assert studio.files() == {"in.mp4", "out.mp4"}
    studio.unchanged(source, output)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_run_that_is_given_up_keeps_whole_frames_under_another_name(studio: Any, ending: str) -> None:
    source = studio.clip(pts=range(9), passengers=[sound()])
    with open_source(source) as opened:
        sink = FileSink(studio.folder / f"out.{ending}", opened, layout_of(opened.info), LOSSLESS)
        frames = decode(opened)
        for _ in range(5):
            sink.write(next(frames))
        kept = sink.abandon()
    assert kept == studio.folder / f"out.partial.{ending}"
    times = studio.look(kept).times
    assert [time - times[0] for time in times] == [Fraction(i, 25) for i in range(5)]
    payloads = [[payload for _, payload in held(path, "audio")[0][0]] for path in (kept, source)]
    assert payloads[0]
    assert payloads[0] == payloads[1][: len(payloads[0])]
    assert f"out.{ending}" not in studio.files()


def test_nothing_is_kept_of_a_run_without_frames(studio: Any) -> None:
    with open_source(studio.clip()) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), LOSSLESS)
        assert sink.abandon() is None
    assert studio.files() == {"in.mp4"}


FULL_DISK = """
import resource, sys
import av
from pathlib import Path
from streamderain.errors import SinkError
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source

def decoded(path):
    frames = 0
    try:
        with av.open(path) as container:
            for _ in container.decode(video=0):
                frames += 1
    except av.FFmpegError:
        pass
    return frames

def through(output, encoder, room):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    with open_source(sys.argv[1]) as opened:
        sink = None
        try:
            sink = FileSink(output, opened, layout_of(opened.info), Encoding(encoder, crf=None))
            for frame in decode(opened):
                sink.write(frame)
            sink.commit()
            print("whole", output.name)
        except SinkError as error:
            kept = sink and sink.abandon()
            frames = decoded(kept) if kept else 0
            print(error, "| kept", bool(kept), sink and sink.frames, frames, len(list(output.parent.iterdir())))
            if kept:
                kept.unlink()

for name, encoder in ("mp4", "mpeg4"), ("mkv", "ffv1"), ("nut", "rawvideo"):
    output = Path(sys.argv[1]).with_name("out." + name)
    through(output, encoder, resource.RLIM_INFINITY)
    size = output.stat().st_size
    output.unlink()
    for room in (0, 2000, size // 2, size // 3 * 2, size - 20):
        through(output, encoder, room)
"""


def test_a_full_disk(studio: Any) -> None:
    noise = [np.random.default_rng(i).integers(0, 255, (96, 64), np.uint8) for i in range(12)]
    pictures = [av.VideoFrame.from_ndarray(each, format="yuv420p") for each in noise]
    # Of two seconds, as MP4 is written second by second.
    source = studio.clip("in.nut", codec="rawvideo", size=(64, 64), pts=range(0, 60, 5), pictures=pictures)
    before = source.read_bytes()
    # In a process of its own, as the limit is one of the process; beyond it libav meets EFBIG.
    command = [sys.executable, "-c", FULL_DISK, str(source)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = run.stdout.splitlines()
    assert [line for line in said if line.startswith("whole")] == ["whole out.mp4", "whole out.mkv", "whole out.nut"]
    failures = [line for line in said if not line.startswith("whole")]
    assert len(failures) == 15, run.stdout + run.stderr
    for line in failures:
        assert "cannot be written: File too large; make room or name an output on another disk" in line
        kept, told, held, files = line.rpartition("| kept ")[2].split()
        # A frame at the end that is not whole may be counted, or be shown.
        assert (kept, files) == (("True", "2") if told not in ("None", "0") else ("False", "1"))
        assert told == "None" or abs(int(told) - int(held)) <= 1
    for name in ("mp4", "mkv", "nut"):
        assert sum(f"out.{name} cannot" in line and "kept True" in line for line in failures) >= 3 - (name == "mp4")
    assert studio.files() == {"in.nut"}
    assert source.read_bytes() == before
