"""All streams of a source on one clock, whatever times its container gives: late, wrapped, started again, jumped,
missing or out of order, with and without sound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest

from streamderain.media.clock import SourceClock
from streamderain.media.encoder import Encoding
from streamderain.media.source import open_source
from tests.media.broken_times import Change, recording, retimed_flv, retimed_mkv, retimed_ts

QUICK = Encoding(crf=None, preset="ultrafast", options={"qp": "30"})
SECOND = 90000
WRAP = 2**33 / SECOND
"""Seconds after which the counter of a transport stream starts again."""

FRAME, HEARD = 1 / 25, 1152 / 48000
"""How long a picture and a packet of sound last, in seconds."""


@dataclass
class Held:
    """What a file holds: the times of its pictures, sorted, and of its packets of sound, and these."""

    pictures: list[float]
    sound: list[float]
    packets: list[bytes]


def held(path: Path) -> Held:
    times: dict[str, list[float]] = {"video": [], "audio": []}
    sound = []
    with av.open(path) as file:
        for packet in file.demux():
            kind = packet.stream.type
            if packet.size and packet.pts is not None:  # those of a broken source are None
                times[kind].append(float(packet.pts * packet.time_base))
            if packet.size and kind == "audio":
                sound.append(bytes(packet))
    return Held(sorted(times["video"]), times["audio"], sound)


def steps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def is_whole(source: Path, output: Path, frames: int, longest: float = 2.2) -> None:
    """Assert that all is there, once, from 0 on and without a break, `longest` steps being the most between two
    pictures or packets; and that picture and sound begin and end together.
    """
    before, after = held(source), held(output)
    assert after.packets == before.packets
    assert len(after.pictures) == frames
    assert -0.001 <= after.pictures[0] <= 0.1
    assert 0.4 * FRAME < min(steps(after.pictures)) <= max(steps(after.pictures)) < longest * FRAME
    if after.sound:
        assert 0.4 * HEARD < min(steps(after.sound)) <= max(steps(after.sound)) < longest * HEARD
        assert after.sound[0] == pytest.approx(after.pictures[0], abs=0.06)
        assert after.sound[-1] + HEARD == pytest.approx(after.pictures[-1] + FRAME, abs=0.12)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def shifted(kinds: tuple[str, ...], by: float, when: Callable[[int, int], bool]) -> Change:
    """`by` units are added to the times of those `kinds` of packets where `when` is so of their number and time."""
    return lambda kind, number, time: time + round(by) if kind in kinds and when(number, time) else time


BOTH = ("video", "audio")


@cache
def recorded(name: str, frames: int, start: float, sound: bool, b_frames: int) -> bytes:
    """A recording as bytes, as many tests begin with the same."""
    with TemporaryDirectory() as folder:
        return recording(Path(folder) / name, frames, start, sound, b_frames).read_bytes()


@pytest.fixture(params=[(True, 0), (True, 2), (False, 0), (False, 2)], ids=["sound", "sound b", "mute", "mute b"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes recordings with or without sound and reordered pictures."""
    sound, b_frames = request.param

    def make(name: str = "in.ts", start: float = 10, change: Change | None = None, frames: int = 50) -> Path:
        path = tmp_path / name
        path.write_bytes(recorded(name, frames, start, sound, b_frames))
        if change:
            {".ts": retimed_ts, ".flv": retimed_flv, ".mkv": retimed_mkv}[path.suffix](path, change)
        return path

    return make


def joined(made: Any, *starts: float, frames: int = 50) -> Path:
    """Recordings one after the other, by their bytes, each with a clock of its own."""
    parts = [made("part.ts", start, frames=frames).read_bytes() for start in starts]
    path: Path = made("in.ts")
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize(
    "start", [0, 1.4, 36000, WRAP - 0.03, WRAP - 1], ids=["0", "1", "late", "wraps at once", "wraps"]
)
def test_a_late_start_and_a_wrap_do_not_show(
    studio: Any, made: Any, start: float, caplog: pytest.LogCaptureFixture
) -> None:
    source = made(start=start)
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50, 1.1)
    is_whole(source, studio.through(source, "out.mkv", QUICK), 50, 1.1)
    assert told(caplog) == []


@pytest.mark.parametrize("name", ["in.flv", "in.mkv", "in.mp4", "in.mov"])
def test_a_late_start_in_other_containers(studio: Any, made: Any, name: str) -> None:
    source = made(name, 36000)
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50, 1.2)


def test_pictures_and_sound_stay_as_far_apart_as_they_came(studio: Any, made: Any) -> None:
    source = made(start=5000, change=shifted(("video",), 0.4 * SECOND, lambda number, time: True))
    before, after = held(source), held(studio.through(source, "out.mp4", QUICK))
    assert after.pictures == pytest.approx([time - before.pictures[0] + after.pictures[0] for time in before.pictures])
    assert min(after.pictures + after.sound) == pytest.approx(0, abs=1e-4)
    if before.sound:
        apart = before.pictures[0] - before.sound[0]
        assert after.pictures[0] - after.sound[0] == pytest.approx(apart, abs=1e-4)


@pytest.mark.parametrize(
    ("starts", "ending"),
    [
        ((10, 10), "mp4"),
        ((10, 10), "mkv"),
        ((7200, 10), "mkv"),
        ((10, 7200), "mp4"),
        ((10, 11), "mp4"),
        ((10, 7200, 10, 3600), "mp4"),
    ],
)
def test_recordings_that_are_joined_follow_one_another(
    studio: Any, made: Any, starts: tuple[float, ...], ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = joined(made, *starts)
    is_whole(source, studio.through(source, f"out.{ending}", QUICK), 50 * len(starts))
    assert len(told(caplog)) == 1
    assert "in.ts: its clock jumps by" in told(caplog)[0]


def test_short_recordings_that_are_joined(studio: Any, made: Any) -> None:
    source = joined(made, 10, 10, 10, frames=6)
    is_whole(source, studio.through(source, "out.mp4", QUICK), 18, 4)


@pytest.mark.parametrize("jump", [3600, 15, 40000, -3600, -1])
def test_a_clock_that_jumps(studio: Any, made: Any, jump: float, caplog: pytest.LogCaptureFixture) -> None:
    source = made(start=8000, change=shifted(BOTH, jump * SECOND, lambda number, time: time >= 8001 * SECOND))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)
    assert len(told(caplog)) == 1


def test_a_clock_that_jumps_and_comes_back(studio: Any, made: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = made(
        start=8000, change=shifted(BOTH, 3600 * SECOND, lambda number, time: 8000.6 <= time / SECOND < 8001.2)
    )
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)
    assert len(told(caplog)) == 1


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps_for_one_stream(studio: Any, made: Any, kind: str, jump: float) -> None:
    source = made(start=8000, change=shifted((kind,), jump * SECOND, lambda number, time: time >= 8001 * SECOND))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)


def test_sound_with_a_clock_of_its_own(studio: Any, made: Any) -> None:
    source = made(change=shifted(("audio",), 50000 * SECOND, lambda number, time: True))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)


def test_a_gap_that_one_stream_alone_has_is_none_of_the_clock(studio: Any, tmp_path: Path) -> None:
    source = recording(tmp_path / "in.ts", frames=500, start=10)
    whole = held(source)
    thinned = tmp_path / "thinned.ts"
    with av.open(source) as before, av.open(thinned, "w", container_options={"mpegts_copyts": "1"}) as after:
        streams = {stream.index: after.add_stream_from_template(stream) for stream in before.streams}
        for packet in before.demux():
            if packet.dts is None or (packet.stream.type == "video" and 12 < packet.pts * packet.time_base < 27):
                continue
            packet.stream = streams[packet.stream.index]
            after.mux(packet)
    output = held(studio.through(thinned, "out.mp4", QUICK))
    assert max(steps(output.pictures)) == pytest.approx(15, abs=0.1)
    assert output.sound == pytest.approx([time - whole.sound[0] for time in whole.sound], abs=1e-3)


def test_a_slow_rhythm_is_no_jump(studio: Any) -> None:
    source = studio.clip("in.ts", pts=range(0, 60, 12), time_base=1, rate=25)
    assert steps(held(studio.through(source, "out.mp4", QUICK)).pictures) == [12] * 4


@pytest.mark.parametrize(("kind", "number"), [("audio", 3), ("video", 20)])
@pytest.mark.parametrize("by", [-3600, -0.1, 0.3, 5])
def test_one_packet_whose_time_is_wrong(
    studio: Any, made: Any, kind: str, number: int, by: float, caplog: pytest.LogCaptureFixture
) -> None:
    source = made(start=8000, change=shifted((kind,), by * SECOND, lambda each, time: each == number))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)
    assert len(told(caplog)) <= 1


@pytest.mark.parametrize("name", ["in.flv", "in.mkv"])
@pytest.mark.parametrize(("kind", "number"), [("audio", 30), ("video", 20)])
@pytest.mark.parametrize("by", [-400, 3000])
def test_one_packet_whose_time_is_wrong_in_other_containers(
    studio: Any, made: Any, name: str, kind: str, number: int, by: int
) -> None:
    source = made(name, 0, shifted((kind,), by, lambda each, time: each == number))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)


@pytest.mark.parametrize("name", ["in.flv", "in.mkv"])
def test_times_that_start_again_in_other_containers(studio: Any, made: Any, name: str) -> None:
    source = made(name, 0, shifted(BOTH, -1000, lambda number, time: time >= 1000))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)


@pytest.mark.parametrize("by", [{20: 40, 21: -40}, {21: -40}, {20: 40}], ids=str)
@pytest.mark.parametrize("name", ["in.flv", "in.mkv"])
def test_pictures_whose_times_are_exchanged_or_the_same(
    studio: Any, made: Any, name: str, by: dict[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    def change(kind: str, number: int, time: int) -> int:
        return time + by.get(number, 0) * (kind == "video")

    source = made(name, 0, change)
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)
    assert "jumps" not in caplog.text


@pytest.mark.parametrize(("start", "bits"), [(16776, 24), (4294966, 32)])
def test_the_counters_of_flv_wrap(studio: Any, made: Any, start: float, bits: int) -> None:
    source = made("in.flv", start, lambda kind, number, time: time % (1 << bits))
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50)


MISSING: dict[str, Callable[[str, int], bool]] = {
    "first picture": lambda kind, number: kind == "video" and number == 0,
    "first sound": lambda kind, number: kind == "audio" and number == 0,
    "every second picture": lambda kind, number: kind == "video" and number % 2 == 1,
    "all pictures": lambda kind, number: kind == "video",
    "all sound": lambda kind, number: kind == "audio",
    "all": lambda kind, number: True,
}


@pytest.mark.parametrize("which", MISSING)
def test_times_that_are_missing(studio: Any, made: Any, which: str) -> None:
    source = made(change=lambda kind, number, time: None if MISSING[which](kind, number) else time)
    is_whole(source, studio.through(source, "out.mp4", QUICK), 50, 2.6)


@pytest.mark.parametrize("b_frames", [0, 1, 2])
def test_avi_tells_no_time_of_presentation(studio: Any, b_frames: int) -> None:
    source = studio.clip("in.avi", options={"qp": "0", "bf": str(b_frames)}, pts=range(25))
    seen = studio.look(source)
    assert seen.times == [pytest.approx(seen.times[0] + number / 25) for number in range(25)]
    assert held(studio.through(source, "out.mp4", QUICK)).pictures == pytest.approx([n / 25 for n in range(25)])


@pytest.mark.parametrize(("name", "frames"), [("late.ts", 25), ("cat.ts", 50)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_cases_of_the_founders(studio: Any, shared: Path, name: str, frames: int, ending: str) -> None:
    source = shared / "cases" / name
    before, after = held(source), held(studio.through(source, f"out.{ending}", QUICK))
    # Each packet loses its ADTS header, of seven bytes.
    assert after.packets == [packet[7:] for packet in before.packets]
    assert len(after.pictures) == frames
    assert after.pictures[-1] == pytest.approx(frames / 25, abs=0.1)
    assert max(steps(after.pictures)) < 0.1
    assert after.pictures[0] - after.sound[0] == pytest.approx(before.pictures[0] - before.sound[0], abs=2e-3)


def test_what_is_read_ahead_is_not_lost_with_a_file_that_breaks_off(studio: Any, made: Any) -> None:
    source = made(start=8000, change=shifted(BOTH, 3600 * SECOND, lambda number, time: time >= 8001.8 * SECOND))
    with open_source(source) as opened:
        packets = list(opened.clock.coming(opened.video))
        assert len(list(opened.frames())) == 50 > len(packets) > 10


def test_subtitles_that_go_back_keep_the_run(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", pts=range(50), passengers=[words(0, 400, 800, 1200)])
    # Blocks of a group of their own, with their duration.
    data = source.read_bytes()
    at = data.index(b"word 2") - 3
    source.write_bytes(data[:at] + (100).to_bytes(2, "big") + data[at + 2 :])
    with av.open(studio.through(source, "out.mkv", QUICK)) as file:
        times = [packet.pts for packet in file.demux(subtitles=0) if packet.size]
    assert len(times) == 4
    assert times == sorted(times)


def test_subtitles_of_joined_recordings_go_with_their_pictures(studio: Any) -> None:
    part = studio.clip("part.mkv", pts=range(50), passengers=[words(0, 400, 1500)])
    source = studio.folder / "in.mkv"
    source.write_bytes(part.read_bytes() * 2)
    with av.open(studio.through(source, "out.mkv", QUICK)) as file:
        times = [packet.pts for packet in file.demux(subtitles=0) if packet.size]
    assert times == pytest.approx([0, 400, 1500, 2000, 2400, 3500], abs=1)


def words(*starts: int) -> Callable[[Any], Any]:
    """Makes a track of subtitles that begin at these milliseconds."""

    def make(container: Any) -> list[Any]:
        stream = container.add_mux_stream("subrip")
        packets = []
        for number, start in enumerate(starts):
            packet: Any = av.Packet(f"word {number}".encode())
            packet.stream, packet.pts, packet.dts, packet.duration = stream, start, start, 200
            packet.time_base = Fraction(1, 1000)
            packets.append(packet)
        return packets

    return make


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(more, marks=pytest.mark.slow) for more in range(4, 12))])
def test_whatever_times_there_are_nothing_is_lost(studio: Any, made: Any, seed: int) -> None:
    rng = Random(seed)
    kind = rng.choice(["noise", "steps", "anything"])
    moved = 0.0

    def change(_: str, number: int, time: int) -> int | None:
        nonlocal moved
        if kind == "steps" and rng.random() < 0.05:
            moved += rng.uniform(-8, 8)
        by = {"noise": rng.uniform(-2, 2) * (rng.random() < 0.3), "steps": moved, "anything": rng.uniform(-20, 20)}[
            kind
        ]
        return None if rng.random() < 0.05 else time + round(by * SECOND)

    source = made(start=3000, change=change)
    for name in ("out.mp4", "out.mkv"):
        before, after = held(source), held(studio.through(source, name, QUICK))
        assert after.packets == before.packets
        assert len(after.pictures) == 50
        assert all(step > 0 for step in steps(after.pictures))


def test_another_picture_that_is_copied_keeps_its_order(studio: Any) -> None:
    options = {"bf": "2", "qp": "30", "preset": "veryfast"}
    parts = [studio.clip(name, pts=range(25), options=options) for name in ("a.mp4", "b.mp4")]
    source = studio.folder / "in.mkv"
    with av.open(source, "w") as file:
        streams = [av.open(part) for part in parts]
        copies = [file.add_stream_from_template(each.streams.video[0]) for each in streams]
        for each, copy in zip(streams, copies, strict=True):
            for packet in each.demux():
                if packet.dts is not None:
                    packet.stream = copy
                    file.mux(packet)
            each.close()
    with av.open(source) as file:
        raw = [packet.pts for packet in file.demux(video=1) if packet.size]
    with av.open(source) as file:
        clock = SourceClock("in.mkv", file, file.streams.video)
        placed = [(each.pts, each.dts) for each in clock.placed(file.demux()) if each.stream_index == 1 and each.size]
    assert [pts for pts, _ in placed] == raw
    assert all(pts >= dts for pts, dts in placed)
    assert all(later > earlier for (_, earlier), (_, later) in pairwise(placed))


@pytest.mark.parametrize("ending", ["mkv", "mov"])
@pytest.mark.parametrize("samples", [40, 17])
def test_sound_in_packets_shorter_than_the_clock_s_unit_is_not_drawn_out(
    studio: Any, samples: int, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of TrueHD, say, which Matroska gives times in milliseconds; one second of it."""
    count = 48000 // samples

    def fine(container: Any) -> list[av.Packet[Any]]:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        packets = [av.Packet(bytes([number % 255, 1] * samples)) for number in range(count)]
        for number, packet in enumerate(packets):
            packet.stream, packet.time_base = stream, Fraction(1, 48000)
            packet.pts = packet.dts = number * samples
        return packets

    source = studio.clip("in.mkv", pts=range(25), passengers=[fine])
    output = studio.through(source, f"out.{ending}", verify=True)
    assert caplog.text == ""
    with av.open(output) as container:
        sound = container.streams.audio[0]
        packets = [packet for packet in container.demux(sound) if packet.size]
    assert b"".join(map(bytes, packets)) == b"".join(bytes([number % 255, 1] * samples) for number in range(count))
    assert float(packets[-1].pts * packets[-1].time_base) == pytest.approx(1, abs=3e-2)
