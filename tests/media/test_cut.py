"""Parts of a source: which pictures, which sound, and that they stay together."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.errors import ConfigError, SourceError
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from streamderain.run import derain
from tests.media.conftest import Studio
from tests.media.test_fields import comb

LOSSLESS: dict[str, Any] = {"encoder": "ffv1", "crf": None}


class Mean:
    """A network that answers with the mean of its window."""

    device, past, future = torch.device("cpu"), 2, 1

    def restore(self, windows: Tensor) -> Tensor:
        return windows.mean(dim=1)


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(decode(source))


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(path) as file:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in file.demux(audio=0) if packet.size]


def same(ours: Sequence[Frame], theirs: Sequence[Frame]) -> bool:
    return len(ours) == len(theirs) and all(torch.equal(a.data, b.data) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds whose pictures all differ, a key picture each second, with ticking sound."""
    options = {"preset": "ultrafast", "qp": "0", "g": "25", "bf": "2"}
    return Studio(tmp_path_factory.mktemp("long")).clip("in.mkv", pts=range(125), options=options, passengers=[_sound])


@pytest.fixture(scope="module")
def whole(long: Path) -> list[Frame]:
    """All of it, derained."""
    derain(long, long.with_name("whole.mkv"), network=Mean(), **LOSSLESS)
    return frames_of(long.with_name("whole.mkv"))


def _sound(container: Any, seconds: int = 5) -> list[Any]:
    import numpy as np

    stream = container.add_stream("mp2" if "ts" in container.format.name else "pcm_s16le", rate=48000)
    noise = np.random.default_rng(1)
    packets = []
    for number in range(seconds * 48000 // 1152):
        samples = noise.integers(-9000, 9000, (1, 2304), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, number * 1152
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


@pytest.mark.parametrize(
    ("start", "end"), [("3.2", "4"), (None, "0.4"), ("4.5", None), ("0.1", "0.3"), ("0:02", "2.02")]
)
def test_a_part_is_what_the_whole_has_there_to_the_bit(
    long: Path, whole: list[Frame], tmp_path: Path, start: str | None, end: str | None
) -> None:
    derain(long, tmp_path / "part.mkv", network=Mean(), start=start, end=end, **LOSSLESS)
    first, last = (float((each or default).removeprefix("0:")) for each, default in ((start, "0"), (end, "5")))
    wanted = [frame for frame in whole if first - 1e-6 <= frame.seconds < last - 1e-6]
    found = frames_of(tmp_path / "part.mkv")
    assert same(found, wanted)
    assert [frame.seconds for frame in found] == pytest.approx([number / 25 for number in range(len(wanted))], abs=6e-4)


@pytest.mark.parametrize("ending", ["mkv", "mov", "ts"])
def test_sound_is_cut_by_packets_and_stays_where_it_was(studio: Studio, ending: str) -> None:
    options = {"preset": "ultrafast", "qp": "0", "g": "25", "bf": "2"}
    source = studio.clip(f"in.{ending}", pts=range(125), options=options, passengers=[_sound])
    output = studio.folder / "out.mkv"
    derain(source, output, network=Mean(), start="2.5", end="3.5", **LOSSLESS)
    with open_source(source) as opened:
        begins = opened.clock.begins
        first = next(frame for frame in decode(opened) if frame.seconds >= 2.5)
    whole = {data: at - begins for at, data in sound_of(source)}
    found = sound_of(output)
    lasts = 3.5 - first.seconds
    for at, data in found:
        assert float(whole[data]) - first.seconds == pytest.approx(float(at), abs=1.1e-3)
    assert 0 <= found[0][0] < 0.025
    assert lasts - 0.025 < found[-1][0] < lasts
    assert len(found) >= int(lasts / 0.024)


def test_the_last_picture_is_shown_as_long_as_it_was(studio: Studio) -> None:
    source = studio.clip(pts=[0, 10, 20, 60, 90, 100], time_base=Fraction(1, 100))
    derain(source, studio.folder / "out.mp4", network=Mean(), start="0.1", end="0.3", blend=0.0)
    with av.open(studio.folder / "out.mp4") as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        times = sorted((float(packet.pts * packet.time_base), packet.duration * packet.time_base) for packet in packets)
    assert times == [(0.0, Fraction(1, 10)), (pytest.approx(0.1), Fraction(4, 10))]


def test_subtitles_and_chapters_are_cut_too(studio: Studio) -> None:
    subtitles = studio.folder / "in.srt"
    subtitles.write_text(
        "1\n00:00:00,500 --> 00:00:02,500\nacross the start\n\n"
        "2\n00:00:02,600 --> 00:00:02,800\ninside\n\n"
        "3\n00:00:02,900 --> 00:00:09,000\nacross the end\n\n"
        "4\n00:00:03,500 --> 00:00:04,000\nbehind\n\n"
    )

    def titles(container: Any) -> list[Any]:
        with av.open(subtitles) as file:
            stream = container.add_stream_from_template(file.streams[0])
            packets = [packet for packet in file.demux() if packet.size]
        for packet in packets:
            packet.stream = stream
        return packets

    base = Fraction(1, 1000)
    chapters = [
        {"id": number, "start": start, "end": end, "time_base": base, "metadata": {"title": str(number)}}
        for number, (start, end) in enumerate([(0, 1000), (1000, 2500), (2500, 5000)])
    ]
    source = studio.clip("in.mkv", pts=range(125), passengers=[titles], chapters=chapters)
    derain(source, studio.folder / "out.mkv", network=Mean(), start="2", end="3", **LOSSLESS)
    with av.open(studio.folder / "out.mkv") as file:
        found = [(p.pts * p.time_base, p.duration * p.time_base, bytes(p)) for p in file.demux(subtitles=0) if p.size]
        kept = [(each["start"] * each["time_base"], each["end"] * each["time_base"]) for each in file.chapters()]
    assert [(float(at), float(lasts), text) for at, lasts, text in found] == [
        (0.0, 0.5, b"across the start"),
        (0.6, 0.2, b"inside"),
        (0.9, pytest.approx(0.1), b"across the end"),
    ]
    assert kept == [(0, Fraction(1, 2)), (Fraction(1, 2), 1)]


def test_what_a_part_does_not_have_is_not_missed_in_it(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    base = Fraction(1, 1000)
    chapters = [
        {"id": number, "start": 2500 * number, "end": 2500 * (number + 1), "time_base": base,
         "metadata": {"title": str(number)}}
        for number in range(2)
    ]  # fmt: skip
    source = studio.clip("in.mkv", pts=range(125), passengers=[_sound], chapters=chapters, metadata={"title": "A walk"})
    report = studio.folder / "report.json"
    with caplog.at_level(logging.WARNING, "streamderain"):
        config = DerainConfig(start="3", end="4", report=report, **LOSSLESS)
        derain(source, studio.folder / "out.mkv", config, network=Mean())
    found = json.loads(report.read_text())
    assert (found["frames"], found["verified"], found["lost"], found["differences"]) == (25, True, [], [])
    assert caplog.text == ""


def test_a_part_of_two_fields_a_frame_is_made_whole_too(studio: Studio, tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "qp": "0", "g": "10", "flags": "+ildct+ilme"}
    pictures = [comb(number % 8, True) for number in range(60)]
    source = studio.clip(size=(64, 96), pts=range(60), options=options, pictures=pictures)
    settings: dict[str, Any] = {**LOSSLESS, "network": Mean(), "strength": 0.0, "deinterlace": True}
    derain(source, tmp_path / "whole.mkv", **settings)
    derain(source, tmp_path / "part.mkv", start="1.6", end="2", **settings)
    assert same(frames_of(tmp_path / "part.mkv"), frames_of(tmp_path / "whole.mkv")[40:50])


def test_a_place_is_gone_to_and_not_read_up_to(long: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import streamderain.media.source as source_module

    decoded = []
    whole = source_module._frames_of

    def counted(*arguments: Any) -> Any:
        for frame in whole(*arguments):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(source_module, "_frames_of", counted)
    derain(long, tmp_path / "out.mkv", network=Mean(), start="4.5", **LOSSLESS)
    assert len(decoded) < 60
    assert len(frames_of(tmp_path / "out.mkv")) == 12


def test_a_cut_off_end_is_told_where_the_beginning_was_not_read(
    long: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    derain(long, tmp_path / "fast.mov", network=Mean(), crf=0, preset="ultrafast", blend=0.0)
    with av.open(tmp_path / "fast.mov") as file:
        middle = [packet.pos for packet in file.demux(video=0) if packet.size][110]
    short = tmp_path / "short.mov"
    short.write_bytes((tmp_path / "fast.mov").read_bytes()[:middle])
    with pytest.raises(SourceError, match=r"ends after 1[01][0-9] of 125 frames"):
        derain(short, tmp_path / "out.mkv", network=Mean(), start="3", **LOSSLESS)
    derain(short, tmp_path / "out.mkv", network=Mean(), start="3", end="4", overwrite=True, **LOSSLESS)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "streamderain"):
        derain(long, tmp_path / "end.mkv", network=Mean(), start="3", **LOSSLESS)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start": "7"}, "has no picture from 7 s on; it lasts 5.0 s: let --start be earlier"),
        (
            {"start": "0.05", "end": "0.07"},
            "no picture between 0.05 and 0.07 s; the next is at 0.08 s: let --end be later",
        ),
    ],
)
def test_a_part_without_a_picture_is_refused(long: Path, tmp_path: Path, settings: dict[str, str], said: str) -> None:
    with pytest.raises(SourceError) as caught:
        derain(long, tmp_path / "out.mp4", network=Mean(), **settings)
    assert said in str(caught.value)
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start": "1:99"}, "start is 1:99; expected seconds or hh:mm:ss"),
        ({"end": "-3"}, "end is -3; expected seconds"),
        ({"start": "soon"}, "start is soon"),
        ({"start": "90", "end": "1:30"}, "end is 1:30; it must be later than start, 90"),
        ({"start": "1", "via_ffmpeg": True}, "via_ffmpeg and start or end are both set"),
    ],
)
def test_what_is_no_part_is_refused_before_anything(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        derain("none.mp4", tmp_path / "out.mp4", **settings)
    assert str(caught.value).startswith(said)
