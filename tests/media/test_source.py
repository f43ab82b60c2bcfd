"""Inputs that are no whole video: each is one line of ours, and what was whole is not lost."""

from __future__ import annotations

import gc
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.errors import SourceError, TruncatedError
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding, available
from streamderain.media.source import _frames_of, open_source
from tests.media.conftest import LOSSLESS, picture
from tests.media.test_sink import held


def test_a_camera_that_is_not_there_does_not_tell_the_password() -> None:
    with pytest.raises(SourceError) as raised:
        open_source("rtsp://user:secret@127.0.0.1:9/a")
    assert "rtsp://***@127.0.0.1:9/a cannot be opened as a video: Connection refused" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("this is no video\n" * 99)
    empty.touch()
    for path, message in [
        (tmp_path / "missing.mp4", "missing.mp4 does not exist"),
        (tmp_path, "is a folder; name a video file in it"),
        (text, "text.mp4 cannot be opened as a video: Invalid data found when processing input"),
        (empty, "empty.mp4 cannot be opened as a video: Invalid data found when processing input"),
    ]:
        with pytest.raises(SourceError, match=message) as raised:
            open_source(path)
        assert "\n" not in str(raised.value)


def test_a_colon_in_a_name_is_no_protocol(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(studio.folder)
    studio.clip().rename("12:30 #1%d.mp4")
    studio.folder = Path()
    output = studio.through(Path("12:30 #1%d.mp4"), "13:00 %d.mp4")
    studio.unchanged(Path("12:30 #1%d.mp4"), output)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match=r"sound.mp4 holds no video, only audio"):
        open_source(path)


def test_a_video_without_frames(studio: Any) -> None:
    path = studio.folder / "in.mkv"
    with av.open(path, "w") as container:
        container.add_stream("ffv1", rate=25)
        container.start_encoding()
    with pytest.raises(SourceError, match=r"in.mkv cannot be opened as a video: End of file"):
        open_source(path)


def test_a_video_without_a_whole_frame(studio: Any) -> None:
    path = studio.clip("in.nut", codec="png", pixel_format="rgb24")
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"rain"))
    with pytest.raises(SourceError, match=r"in.nut holds no frame that can be decoded"):
        open_source(path)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    short = path.with_name(f"cut{path.suffix}")
    short.write_bytes(data[: int(len(data) * share)])
    return short


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
def test_a_cut_mp4_gives_the_frames_that_are_whole(studio: Any, share: float) -> None:
    whole = studio.clip(pts=range(20), container_options={"movflags": "+faststart"})
    short, frames = cut(whole, share), []
    with open_source(short) as source, pytest.raises(TruncatedError, match=r"cut.mp4 ends after \d+ of 20 frames"):
        frames.extend(decode(source))
    expected = studio.look(whole)
    assert 0 < len(frames) < 20
    for frame, planes in zip(frames, expected.planes, strict=False):
        assert all(bool((a == b).all()) for a, b in zip(frame.layout.split(frame.data), planes, strict=True))


def test_an_mp4_without_its_index(studio: Any) -> None:
    with pytest.raises(SourceError, match=r"cut.mp4 cannot be opened as a video: Invalid data"):
        open_source(cut(studio.clip(pts=range(20)), 0.8))


@pytest.mark.parametrize("name", ["in.mkv", "in.avi"])
def test_other_cut_files_are_told_from_whole_ones(studio: Any, name: str) -> None:
    whole = studio.clip(name, pts=range(20), time_base=Fraction(1, 5), rate=5)
    assert len(studio.look(whole).times) == 20
    with open_source(cut(whole, 0.6)) as source, pytest.raises(TruncatedError, match=r"ends after .*fetch the whole"):
        list(decode(source))


def test_a_cut_transport_stream_ends_where_it_ends(studio: Any) -> None:
    whole = studio.clip("in.ts", pts=range(20))
    short = cut(whole, 0.6)
    frames = studio.look(short).times
    assert frames == studio.look(whole).times[: len(frames)]
    assert len(frames) > 5


def test_what_was_whole_can_be_kept(studio: Any) -> None:
    whole = studio.clip(pts=range(20), container_options={"movflags": "+faststart"})
    with pytest.raises(TruncatedError):
        studio.through(cut(whole, 0.7))
    kept = studio.look(studio.folder / "out.partial.mp4")
    assert 5 < len(kept.times) < 20
    assert "out.mp4" not in studio.files()


@pytest.mark.parametrize(("starts", "lasts", "frames"), [(0, 240, 6), (6, 240, 6), (4, 480, 8)])
def test_an_edit_list_is_no_damage(studio: Any, starts: int, lasts: int, frames: int) -> None:
    """The header counts all samples; a player, and libav, shows those that the edit list names."""
    path = studio.clip(pts=range(12), options={"qp": "0", "preset": "veryfast", "g": "4"})
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12
    begins = struct.unpack(">i", data[entry + 4 : entry + 8])[0]
    data[entry : entry + 8] = struct.pack(">Ii", lasts, begins + starts * 512)
    path.write_bytes(data)
    with open_source(path) as source:
        assert len(list(decode(source))) == frames


def test_avi_counts_chunks_without_frames(studio: Any) -> None:
    source = studio.clip("in.avi", codec="mpeg4", pts=[0, 1, 7, 8, 15], options={"bf": "0"})
    with open_source(source) as opened:
        assert opened.video.frames > 5
        assert len(list(decode(opened))) == 5


def test_damage_in_the_middle_does_not_end_the_run(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    path = studio.clip("in.mkv", codec="ffv1", pts=range(20), options={"slicecrc": "1", "g": "1"})
    with av.open(path) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start = data.index(bytes(data[places[8][0] : places[8][0] + 4]), places[8][0])
    data[start + 12 : start + 12 + 40] = bytes(range(100, 140))
    path.write_bytes(data)
    assert len(studio.look(path).times) >= 19

    packets = studio.clip("in.nut", codec="png", pixel_format="rgb24", pts=range(20))
    data = bytearray(packets.read_bytes())
    for _ in range(3):
        at = data.index(b"\x89PNG", len(data) // 2)
        data[at : at + 4] = b"rain"
    packets.write_bytes(data)
    with caplog.at_level(logging.WARNING), open_source(packets) as source:
        times = [frame.seconds for frame in decode(source)]
    assert source.damaged == 3
    assert len(times) == 17
    assert times == sorted(times)
    assert caplog.text.count("a damaged packet is left out") == 3


@pytest.mark.parametrize("kind", ["cuda", "nonsense"])
def test_decoding_falls_back_to_the_cpu(studio: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    if kind == "cuda" and Path("/dev/nvidiactl").exists():
        pytest.skip("a GPU is here")
    source = studio.clip()
    with caplog.at_level(logging.WARNING):
        output = studio.through(source, hwaccel=kind)
    assert [record.message.startswith(f"{kind} decoding is not available here") for record in caplog.records] == [True]
    studio.unchanged(source, output)


@pytest.mark.parametrize(("kind", "encoder"), [("cuda", "h264_nvenc"), ("qsv", "h264_qsv")])
def test_encoding_falls_back_to_the_cpu(kind: str, encoder: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        probe = av.CodecContext.create(encoder, "w")
        probe.width, probe.height, probe.pix_fmt, probe.time_base = 640, 360, "nv12", Fraction(1, 25)
        probe.open()
        pytest.skip(f"{encoder} works here")
    except av.FFmpegError:
        assert available(Encoding(preset="slow"), kind) == Encoding(preset="slow")
    [record] = caplog.records
    assert record.message.startswith(f"{encoder} is not available here")
    assert available(Encoding("libx265"), kind).encoder == "libx265"
    assert available(LOSSLESS, None) is LOSSLESS


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts through /proc")
@pytest.mark.usefixtures("quiet")
def test_many_small_files_leave_nothing_open(studio: Any) -> None:
    source = studio.clip(pts=range(2))
    broken = studio.folder / "broken.mp4"
    broken.write_bytes(source.read_bytes()[:600])

    def once() -> None:
        studio.through(source)
        with open_source(source) as opened:
            next(decode(opened))
        with pytest.raises(SourceError):
            open_source(broken)

    for _ in range(20):
        once()
    gc.collect()
    files, before = descriptors(), memory()
    for _ in range(60):
        once()
    gc.collect()
    assert descriptors() <= files
    assert memory() - before < 12e6


def test_who_reads_frames_alone_need_not_hoard_the_sound(clip: Path) -> None:
    with open_source(clip) as source:
        source.drop_passengers()
        assert sum(1 for _ in source.frames()) == 12
        assert len(source.passengers) == 0
    with open_source(clip) as source:
        assert sum(1 for _ in source.frames()) == 12
        assert len(source.passengers) > 15


class Closing:
    """A container that counts how often it is closed."""

    def __init__(self, container: Any) -> None:
        self._container, self.times = container, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def close(self) -> None:
        self.times += 1
        self._container.close()


def test_nothing_is_closed_under_a_thread_that_reads(clip: Path) -> None:
    source = open_source(clip)
    container = Closing(source.container)
    source.container = container  # type: ignore[assignment]
    decoded, inside, goes_on = source._decoded, threading.Event(), threading.Event()

    def blocks() -> Iterator[av.VideoFrame]:
        yield next(decoded)
        inside.set()
        goes_on.wait()
        yield from decoded

    source._decoded, read = blocks(), list[Any]()
    reader = threading.Thread(target=lambda: read.extend(source.frames()))
    reader.start()
    assert inside.wait(30)
    try:
        source.close()
        source.close()
        assert container.times == 0
    finally:
        goes_on.set()
        reader.join()
    # What was on its way is whole, and who had it closed behind itself.
    assert len(read) == 2
    assert container.times == 1


def test_a_source_that_is_closed_between_two_frames_has_no_more(clip: Path) -> None:
    source = open_source(clip)
    frames = source.frames()
    next(frames)
    source.close()
    assert list(frames) == []


def longer(kind: str, seconds: int = 3) -> Callable[[Any], list[Any]]:
    """Makes a track that goes on for longer than the picture."""

    def make(container: Any) -> list[Any]:
        if kind == "subtitle":
            stream = container.add_mux_stream("subrip")
            packet: Any = av.Packet(b"rain")
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), 0, 0
            packet.duration = seconds * 1000
            return [packet]
        packets = []
        if kind == "audio":
            stream = container.add_stream("mp2", rate=48000)
            for number in range(seconds * 48000 // 1152):
                heard = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), format="s16", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = 48000, number * 1152, Fraction(1, 48000)
                packets += stream.encode(heard)
            return packets + stream.encode(None)
        stream = container.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(seconds * 5):
            seen = picture(number, 32, 48, "yuv420p")
            seen.pts, seen.time_base = number, Fraction(1, 5)
            packets += stream.encode(seen)
        return packets + stream.encode(None)

    return make


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.mov"])
@pytest.mark.parametrize("kinds", [("video",), ("audio",), ("subtitle",), ("audio", "video", "subtitle")])
def test_a_track_that_is_longer_than_the_picture_is_no_damage(studio: Any, kinds: tuple[str, ...], name: str) -> None:
    passengers = [longer(kind) for kind in kinds if kind != "subtitle" or name == "in.mkv"]
    source = studio.clip(name, pts=range(10), passengers=passengers)
    with open_source(source) as opened:
        assert len(list(opened.frames())) == 10


def test_a_picture_that_is_longer_than_its_sound_is_no_damage(studio: Any) -> None:
    source = studio.clip("in.mkv", pts=range(100), passengers=[longer("audio", 1)])
    with open_source(source) as opened:
        assert len(list(opened.frames())) == 100


def test_a_cut_file_with_a_longer_track_is_still_told(studio: Any) -> None:
    whole = studio.clip("whole.mkv", pts=range(50), passengers=[longer("audio", 5)])
    with open_source(cut(whole, 0.6)) as source, pytest.raises(TruncatedError, match="ends after"):
        list(source.frames())


def test_a_subtitle_that_is_shown_beyond_a_cut_does_not_hide_it(studio: Any) -> None:
    whole = studio.clip("whole.mkv", pts=range(50), passengers=[longer("subtitle", 2)])
    with open_source(cut(whole, 0.6)) as source, pytest.raises(TruncatedError, match="ends after"):
        list(source.frames())


def test_a_length_that_a_tool_forgot_to_change_is_no_damage(studio: Any) -> None:
    source = studio.clip("in.mkv", pts=range(25))
    data = source.read_bytes()
    at = data.index(bytes.fromhex("448988")) + 3
    source.write_bytes(data[:at] + struct.pack(">d", 9000.0) + data[at + 8 :])
    with open_source(source) as opened:
        assert opened.container.duration == 9_000_000
        assert len(list(opened.frames())) == 25


def test_a_file_without_its_index_alone_is_whole(studio: Any) -> None:
    source = studio.clip("in.mkv", pts=range(25))
    data = source.read_bytes()
    source.write_bytes(data[: data.rindex(bytes.fromhex("1c53bb6b"))])
    with open_source(source) as opened:
        assert len(list(opened.frames())) == 25


def test_the_longer_track_of_the_founders(shared: Path) -> None:
    with open_source(shared / "cases" / "two.mkv") as source:
        assert len(list(source.frames())) == 10


def faults_of_libav() -> list[type[av.FFmpegError]]:
    kinds = [each for each in vars(av.error).values() if isinstance(each, type) and issubclass(each, av.FFmpegError)]
    return [each for each in kinds if each is not av.error.EOFError]


@pytest.mark.parametrize("kind", faults_of_libav())
def test_whatever_a_decoder_calls_it_costs_its_packet_alone(studio: Any, kind: type[av.FFmpegError]) -> None:
    class Refused:
        def decode(self) -> None:
            raise kind(1, "no")

    with open_source(studio.clip()) as source:
        assert list(_frames_of(Refused(), source)) == []  # type: ignore[arg-type]
        assert source.damaged == 1
        assert len(list(decode(source))) == 6


def with_late_sound(path: Path) -> Path:
    """Eight seconds, the last of which is heard."""
    with av.open(path, "w") as container:
        video = container.add_stream("flv1" if path.suffix == ".flv" else "mpeg1video", rate=25)
        sound = container.add_stream("mp2" if path.suffix == ".mpg" else "libmp3lame", rate=44100)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for number in range(200):
            frame = picture(number, 32, 32, "yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
            if number == 175:
                noise = av.AudioFrame.from_ndarray(np.ones((1, 1152 * 20), np.int16), format="s16", layout="mono")
                noise.sample_rate, noise.pts = 44100, 7 * 44100
                resampler = av.AudioResampler(format=sound.format, layout=sound.layout)
                container.mux([packet for each in resampler.resample(noise) for packet in sound.encode(each)])
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def test_sound_that_begins_late_is_kept(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = with_late_sound(studio.folder / "in.mpg")
    output = studio.through(source, "out.mkv", Encoding("mpeg4", crf=None))
    (heard, _, _), *others = held(output, "audio")
    assert others == []
    assert heard[0][0] - studio.look(output).times[0] == pytest.approx(7, abs=0.05)
    assert "does not fit" not in caplog.text


def test_a_track_that_no_header_foretold_ends_nothing(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = with_late_sound(studio.folder / "in.flv")
    data = bytearray(source.read_bytes())
    data[4] = 1  # that there is a picture, and no more
    source.write_bytes(data)
    with open_source(source) as opened:
        assert len(list(decode(opened))) == 200
        assert opened.damaged == 0
    assert caplog.text.count("a track that shows up later is left out") == 1
