"""The system's ffmpeg as a sink, here the static one that imageio_ffmpeg carries."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import pytest
import torch

from streamderain.errors import SinkError
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.ffmpeg import FfmpegSink, command_line, ffmpeg_version
from streamderain.media.pixels import layout_of
from streamderain.media.source import open_source
from tests.media.broken_times import recording
from tests.media.conftest import LOSSLESS, copy_frames
from tests.media.test_sink import held, sound


def children() -> list[int]:
    """Processes that this one started and that still are."""
    return [int(each) for each in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


@pytest.fixture(autouse=True)
def path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with ffmpeg in it."""
    folder = tmp_path_factory.mktemp("bin")
    # STREAMDERAIN_TEST_FFMPEG tries another build.
    program = os.environ.get("STREAMDERAIN_TEST_FFMPEG") or imageio_ffmpeg.get_ffmpeg_exe()
    (folder / "ffmpeg").symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def through(studio: Any, source: Path, name: str = "out.mp4", encoding: Encoding = LOSSLESS) -> Path:
    with open_source(source) as opened:
        copy_frames(opened, FfmpegSink(str(studio.folder / name), opened, layout_of(opened.info), encoding))
    return Path(studio.folder / name)


@pytest.mark.parametrize(
    ("time_base", "pts", "rate"),
    [
        (Fraction(1, 90000), [3000 * i for i in (0, 1, 2, 5, 6, 10, 11, 12)], 30),
        (Fraction(1, 90000), [90000 + 3000 * i for i in (0, 1, 2, 5, 6)], 30),
        (Fraction(1, 30000), [1001 * i for i in range(8)], Fraction(30000, 1001)),
        (Fraction(1, 1000), [0, 33, 67, 100, 133], 30),
    ],
    ids=["uneven", "late", "ntsc", "milliseconds"],
)
def test_times_are_exact(studio: Any, time_base: Fraction, pts: list[int], rate: Any) -> None:
    source = studio.clip(pts=pts, time_base=time_base, rate=rate)
    studio.unchanged(source, through(studio, source, encoding=Encoding(crf=None, options={"qp": "0"})))


def test_audio_is_copied(studio: Any) -> None:
    source = studio.clip(pts=range(12), passengers=[sound(language="eng"), sound(language="deu", default=False)])
    output = through(studio, source)
    assert held(output, "audio") == held(source, "audio")
    studio.unchanged(source, output)


def test_sound_of_a_source_that_starts_late_stays_with_its_picture(studio: Any) -> None:
    source = recording(studio.folder / "in.ts", 25, 36000)
    output = through(studio, source)
    with av.open(output) as file:
        starts = {stream.type: float(stream.start_time * stream.time_base) for stream in file.streams}
    assert starts["video"] == pytest.approx(0, abs=0.06)
    assert starts["audio"] == pytest.approx(starts["video"], abs=0.06)


@pytest.mark.parametrize("passengers", [[], [sound()]], ids=["silent", "with sound"])
def test_chapters_and_metadata(studio: Any, passengers: list[Any]) -> None:
    chapter = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "wet"}}
    source = studio.clip(passengers=passengers, chapters=[chapter], metadata={"title": "A walk"})
    with av.open(through(studio, source)) as container:
        assert container.metadata["title"] == "A walk"
        assert [each["metadata"]["title"] for each in container.chapters()] == ["wet"]


@pytest.mark.parametrize("colours", [(1, 1, 1, 1), (2, 1, 1, 1), (1, 9, 9, 16), (1, 6, 6, 6), (0, 2, 2, 2)])
def test_colours(studio: Any, colours: tuple[int, ...]) -> None:
    source = studio.clip(colours=colours, pts=range(2))
    output = through(studio, source)
    info = studio.look(output).info
    assert (info.color_range, info.color_space, info.color_primaries, info.color_trc) == colours
    studio.unchanged(source, output)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation(studio: Any, degrees: int) -> None:
    source = studio.clip(rotation=degrees, pts=range(2))
    output = through(studio, source)
    version = ffmpeg_version()
    assert version is not None
    if version >= (6, 0):
        assert studio.look(output).info.rotation == degrees
        studio.unchanged(source, output)
    else:
        assert studio.look(output).info.rotation == 0
        upright = torch.rot90(studio.look(source).planes[1][0], degrees // 90)
        assert torch.equal(studio.look(output).planes[1][0], upright)


@pytest.mark.parametrize("ratio", [Fraction(16, 11), None])
def test_the_shape_of_pixels(studio: Any, ratio: Fraction | None) -> None:
    output = through(studio, studio.clip(aspect=ratio, pts=range(2)))
    assert studio.look(output).info.sample_aspect_ratio in (ratio, ratio or Fraction(1))


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
def test_formats(studio: Any, pixel_format: str) -> None:
    source = studio.clip(pixel_format=pixel_format, pts=range(2))
    output = through(studio, source)
    studio.unchanged(source, output)
    assert studio.look(output).info.pixel_format == pixel_format


def test_odd_sizes(studio: Any) -> None:
    source = studio.clip("in.mkv", codec="ffv1", size=(37, 51), pts=range(2))
    studio.unchanged(source, through(studio, source, "out.mkv", Encoding("ffv1", crf=None)))
    after = studio.look(through(studio, source))
    assert (after.info.height, after.info.width) == (38, 52)
    before = studio.look(source).planes[0][0]
    assert (after.planes[0][0][:37, :51] == before).all()
    assert (after.planes[0][0][:37, 51] == before[:, 50]).all()


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        (Encoding("nonsense"), "Unknown encoder 'nonsense'"),
        (Encoding(options={"crff": "1"}), "crff"),
        (Encoding(preset="nonsense"), "nonsense"),
    ],
)
def test_a_refusal_is_one_line_in_ffmpeg_s_words(studio: Any, encoding: Encoding, words: str) -> None:
    with pytest.raises(SinkError, match=r"ffmpeg could not write \S+/out.mp4: ") as raised:
        through(studio, studio.clip(), encoding=encoding)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert studio.files() == {"in.mp4"}


def test_without_ffmpeg(studio: Any, path: Path) -> None:
    (path / "ffmpeg").unlink()
    assert ffmpeg_version() is None
    with pytest.raises(SinkError, match="--via-ffmpeg needs a program called ffmpeg on PATH; install it"):
        through(studio, studio.clip())
    assert studio.files() == {"in.mp4"}


def write_until_it_fails(sink: FfmpegSink, frame: Frame) -> None:
    for number in range(1000):
        sink.write(replace(frame, pts=frame.pts + number * 512))


def test_ffmpeg_killed_in_mid_run(studio: Any) -> None:
    source = studio.clip(pts=range(3))
    with open_source(source) as opened:
        sink = FfmpegSink(str(studio.folder / "out.mp4"), opened, layout_of(opened.info), LOSSLESS)
        os.kill(sink._process.pid, signal.SIGKILL)
        frame = next(decode(opened))
        with pytest.raises(SinkError, match=r"ffmpeg could not write \S+/out.mp4: it was killed by signal 9"):
            write_until_it_fails(sink, frame)
        assert sink.abandon() is None
    assert studio.files() == {"in.mp4"}


def test_what_is_whole_is_kept(studio: Any) -> None:
    source = studio.clip(pts=range(9))
    with open_source(source) as opened:
        sink = FfmpegSink(str(studio.folder / "out.mp4"), opened, layout_of(opened.info), LOSSLESS)
        frames = decode(opened)
        for _ in range(4):
            sink.write(next(frames))
        kept = sink.abandon()
    assert kept == studio.folder / "out.partial.mp4"
    assert len(studio.look(kept).times) == 4
    assert studio.files() == {"in.mp4", "out.partial.mp4"}


def test_nothing_is_kept_of_nothing(studio: Any) -> None:
    with open_source(studio.clip()) as opened:
        sink = FfmpegSink(str(studio.folder / "out.mp4"), opened, layout_of(opened.info), LOSSLESS)
        assert sink.abandon() is None
    assert studio.files() == {"in.mp4"}


def test_passwords_go_to_ffmpeg_and_to_nobody_else(studio: Any) -> None:
    output = "rtmp://user:secret@127.0.0.1:9/live"
    with open_source(studio.clip()) as opened:
        layout, encoding = layout_of(opened.info), Encoding("mpeg4", crf=None)
        assert output in command_line(opened, layout, encoding, output)
        sink = FfmpegSink(output, opened, layout, encoding)
        with pytest.raises(SinkError) as raised:
            write_until_it_fails(sink, next(decode(opened)))
        assert sink.abandon() is None
    assert "rtmp://***@127.0.0.1:9/live" in str(raised.value)
    assert "secret" not in str(raised.value)
