"""A live run, from sources that are live to outputs that are read back."""

from __future__ import annotations

import socketserver
import threading
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import pytest
from torch import Tensor

from streamderain.config import LiveConfig
from streamderain.errors import ConfigError, SinkError
from streamderain.frames import Effort, Restored
from streamderain.live.derain import derain_live
from streamderain.live.numbers import LiveNumbers
from streamderain.live.run import LiveRun
from tests.cameras import Cameras
from tests.cameras import rtsp_cameras as rtsp_cameras
from tests.garbage import server_of
from tests.waiting import wait_until

from .networks import Darker
from .running import running

SOURCE = "test:64x48@20"


def pictures_of(path: Path) -> list[av.VideoFrame]:
    with av.open(path) as file:
        return list(file.decode(video=0))


def balanced(numbers: LiveNumbers) -> bool:
    return numbers.received == numbers.published + sum(numbers.dropped.values()) + numbers.in_flight


def test_a_live_source_is_recorded_derained(tmp_path: Path) -> None:
    run = LiveRun(SOURCE, [str(tmp_path / "out.mkv")], LiveConfig(crf=0), Darker())
    with running(run):
        wait_until(lambda: run.numbers().published >= 15)
    done = run.numbers()
    assert balanced(done)
    assert done.in_flight == 0
    pictures = pictures_of(tmp_path / "out.mkv")
    assert len(pictures) == done.published
    times = [picture.time for picture in pictures]
    assert times[0] == 0
    assert all(first < second for first, second in pairwise(times))
    with av.open("testsrc2=size=64x48:rate=20", format="lavfi") as plain:
        rainy = next(plain.decode(video=0)).to_ndarray(format="gray").mean()
    assert pictures[0].to_ndarray(format="gray").mean() < rainy - 10


def test_a_network_that_is_too_slow_costs_frames_and_no_latency(tmp_path: Path) -> None:
    config = LiveConfig(max_latency=0.5, overload="frames")
    run = LiveRun(SOURCE, [str(tmp_path / "out.mkv")], config, Darker(seconds=0.15))
    with running(run):
        wait_until(lambda: run.numbers().published >= 20)
        during = run.numbers()
    done = run.numbers()
    assert sum(during.dropped.values()) > 10
    assert balanced(done)
    assert done.latency_ms is not None
    assert done.efforts == {"full": done.published, "half": 0, "none": 0}


class Heavy(Darker):
    """Takes a quarter of a second for a picture of 64x48, and its share for a smaller one."""

    def restore(self, windows: Tensor) -> Tensor:
        time.sleep(0.25 * windows.shape[-1] * windows.shape[-2] / (64 * 48))
        return super().restore(windows)


def test_what_is_too_much_is_derained_at_half_the_size_and_all_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    run = LiveRun(SOURCE, [], LiveConfig(), Heavy())
    with running(run):
        wait_until(lambda: run.numbers().efforts["half"] >= 5)
        now = run.numbers()
    assert now.effort == "half"
    assert now.efforts["full"] > 0
    assert "derained at half size" in now.line()
    done = run.numbers()
    assert sum(done.efforts.values()) == done.published
    told = [event for event in run.events.as_json() if event["subject"] == "network"]
    assert [event["kind"] for event in told] == ["effort half"]
    assert "the network is too slow: frames are derained at half the size" in caplog.text


def test_each_step_is_told_and_reaches_the_frames() -> None:
    shown: list[Restored] = []
    run = LiveRun(SOURCE, [], LiveConfig(), Darker(), show=shown.append)
    with running(run):
        for step, effort in enumerate((Effort.FULL, Effort.HALF, Effort.NONE)):
            run._eased(step)
            wait_until(lambda: shown and shown[-1].effort is effort)  # noqa: B023
            taken = shown[-1].rainy.data.float().mean() - shown[-1].clean.data.float().mean()
            assert float(taken) == 0 if effort is Effort.NONE else float(taken) > 5
        run._eased(0)
        wait_until(lambda: shown[-1].effort is Effort.FULL)
    kinds = [event["kind"] for event in run.events.as_json() if event["subject"] == "network"]
    assert kinds == ["effort full", "effort half", "effort none", "effort full"]
    assert all(count > 0 for count in run.numbers().efforts.values())


def test_a_file_in_real_time_takes_as_long_as_it_plays_and_then_ends(clip: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    done = derain_live(str(clip), [str(tmp_path / "out.mkv")], LiveConfig(realtime=True), network=Darker())
    assert time.monotonic() - began >= 11 / 25
    assert balanced(done)
    assert done.received == 12
    with av.open(tmp_path / "out.mkv") as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]


def test_a_camera_that_comes_back_with_another_size_goes_on_in_the_same_picture(
    tmp_path: Path, cameras: Cameras
) -> None:
    camera = cameras(64, 48)
    config = LiveConfig(frozen_after=1.0, crf=0)
    run = LiveRun(camera.url, [str(tmp_path / "out.mkv")], config, Darker(by=0.0))
    with running(run):
        wait_until(lambda: run.numbers().published >= 5)
        camera.kill()
        wait_until(lambda: run.numbers().filled >= 3)
        assert not run.numbers().connected
        before = run.numbers().published
        camera.start(width=96, height=72)
        wait_until(lambda: run.numbers().published >= before + 5)
    done = run.numbers()
    assert done.reconnects == 1
    assert done.size == "96x72"
    pictures = pictures_of(tmp_path / "out.mkv")
    assert len(pictures) == done.published + done.filled
    assert {(picture.width, picture.height) for picture in pictures} == {(64, 48)}


def test_a_camera_that_is_away_from_the_start_is_a_slate_until_it_comes(cameras: Cameras, tmp_path: Path) -> None:
    camera = cameras(64, 48, 25)
    camera.kill()
    playlist = tmp_path / "live" / "index.m3u8"
    outputs = [str(playlist), str(tmp_path / "out.mkv")]
    run = LiveRun(camera.url, outputs, LiveConfig(slate="96x64", frozen_after=1.0), Darker())
    with running(run):
        wait_until(lambda: [each.state for each in run.numbers().outputs] == ["open", "waiting"])
        wait_until(lambda: run.numbers().outputs[0].written >= 3)
        away = run.numbers()
        assert away.away
        assert away.reason
        assert away.reason.startswith("refused, ")
        assert (away.age, away.published) == (None, 0)
        camera.start()
        wait_until(lambda: run.numbers().published >= 10)
        there = run.numbers()
        assert there.reason is None
        assert there.age is not None
        wait_until(lambda: [each.state for each in run.numbers().outputs] == ["open", "open"])
    pictures = pictures_of(playlist)
    assert {(picture.width, picture.height) for picture in pictures} == {(96, 64)}
    assert len(pictures) >= 13
    # The slate is black but for its words.
    assert median(pictures[0].to_ndarray(format="gray").flatten().tolist()) < 20
    assert pictures[-1].to_ndarray(format="gray").std() > 10


def test_a_clock_that_jumps_by_an_hour_leaves_the_sound_in_the_recording(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "cases" / "jump.ts").read_bytes()
    # Of 24 s those around the jump, which comes after 12.
    begin, end = (len(whole) * share // 100 // 188 * 188 for share in (30, 78))
    piece, seconds = whole[begin:end], 24 * 0.48
    sent = threading.Event()

    def play(server: socketserver.BaseRequestHandler) -> None:
        if sent.is_set():
            return
        for begin in range(0, len(piece), 1880):
            server.request.sendall(piece[begin : begin + 1880])
            time.sleep(seconds * 1880 / len(piece))
        sent.set()

    out = tmp_path / "out.mkv"
    # On a busy machine a server may say nothing for longer than a camera may.
    config = LiveConfig(max_latency=2.0, frozen_after=60.0)
    with server_of(play) as port:
        run = LiveRun(f"tcp://127.0.0.1:{port}", [str(out)], config, Darker())
        with running(run):
            assert sent.wait(300)
    with av.open(out) as file:
        times: dict[str, list[float]] = {"video": [], "audio": []}
        for packet in file.demux():
            if packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    pictures, sounds = times["video"], times["audio"]
    assert pictures[-1] > 5
    assert sounds[-1] == pytest.approx(pictures[-1], abs=1.0)
    # 64 ms each, but for a moment.
    assert len(sounds) > 0.9 * (sounds[-1] - sounds[0]) / 0.064


def test_a_recording_is_replaced_when_the_first_picture_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    out.write_text("what was there")
    run = LiveRun(SOURCE, [str(out)], LiveConfig(overwrite=True), Darker())
    assert out.read_text() == "what was there"
    with running(run):
        wait_until(lambda: run.numbers().published >= 3)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]
    assert len(pictures_of(out)) == run.numbers().published


def test_without_outputs_the_latency_is_that_of_what_is_shown() -> None:
    shown: list[Restored] = []
    run = LiveRun(SOURCE, [], LiveConfig(), Darker(), show=shown.append)
    with running(run):
        wait_until(lambda: len(shown) >= 5)
    assert run.latency.count == len(shown)
    assert run.numbers().outputs == ()


def test_latency_is_that_of_the_output_that_is_there(tmp_path: Path) -> None:
    for outputs, counts in (
        ([str(tmp_path / "out.mkv")], True),
        (["rtsp://127.0.0.1:9/away", "udp://127.0.0.1:9"], True),
        (["rtsp://127.0.0.1:9/away", str(tmp_path / "beside.mkv")], False),
    ):
        run = LiveRun(SOURCE, outputs, LiveConfig(), Darker())
        with running(run):
            wait_until(lambda: run.numbers().published >= 5)  # noqa: B023
        assert (run.latency.count > 0) == counts


def test_strength_is_turned_while_it_runs(tmp_path: Path) -> None:
    levels: list[float] = []

    def taken(pair: Restored) -> None:
        rainy, clean = (frame.layout.split(frame.data)[0].float().mean() for frame in (pair.rainy, pair.clean))
        levels.append(float(rainy - clean))

    run = LiveRun(SOURCE, [], LiveConfig(blend=0.0), Darker(0.2), show=taken)
    with running(run):
        wait_until(lambda: len(levels) >= 3)
        run.adjust(strength=0.0)
        wait_until(lambda: levels[-1] == 0)
    assert levels[0] > 10
    assert run.settings() == {"strength": 0.0, "blend": 0.0}
    with pytest.raises(ConfigError, match="allowed: 0 to 1"):
        run.adjust(strength=2)
    with pytest.raises(ConfigError, match="no setting is called crf"):
        run.adjust(crf=1)


def test_blending_that_is_off_can_be_turned_on_while_it_runs() -> None:
    """The network takes now less, now more; neighbours pull a frame towards them."""

    class Wavering(Darker):
        def restore(self, windows: Tensor) -> Tensor:
            self.calls += 1
            return windows[:, 0] - 0.01 * (1 + self.calls % 2)

    levels: list[float] = []

    def taken(pair: Restored) -> None:
        rainy, clean = (frame.layout.split(frame.data)[0].float().mean() for frame in (pair.rainy, pair.clean))
        levels.append(float(rainy - clean))

    run = LiveRun("test:64x48@20", [], LiveConfig(), Wavering(), show=taken)
    with running(run):
        assert run.settings()["blend"] == 0
        wait_until(lambda: len(levels) >= 6)
        run.adjust(blend=1.0)
        wait_until(lambda: len(levels) >= 30)
    steps = [abs(first - second) for first, second in pairwise(levels)]
    assert median(steps[-20:]) < 0.8 * median(steps[:5])


def test_outputs_that_can_never_work_are_refused_before_the_source_is_opened(tmp_path: Path) -> None:
    (tmp_path / "there.mkv").touch()
    for output, reason in (
        ("there.mkv", "exists; --overwrite"),
        ("no/out.mkv", "is no folder"),
        (".", "is a folder"),
        ("out.gif", "tells no format"),
    ):
        with pytest.raises(SinkError, match=reason):
            LiveRun(SOURCE, [str(tmp_path / output)], LiveConfig(), Darker())
    with pytest.raises(SinkError, match=r"rtps://\*\*\*@host/clean is of an unknown kind, rtps; .* did you mean rtsp"):
        LiveRun(SOURCE, ["rtps://me:secret@host/clean"], LiveConfig(), Darker())
    with pytest.raises(ConfigError, match="is named twice"):
        LiveRun(SOURCE, ["udp://127.0.0.1:5000"] * 2, LiveConfig(), Darker())
    with pytest.raises(ConfigError, match="no output is a file"):
        LiveRun(SOURCE, ["rtsp://127.0.0.1:1/x"], LiveConfig(segment="10m"), Darker())


def test_what_is_for_files_is_refused(tmp_path: Path) -> None:
    for config in (LiveConfig(via_ffmpeg=True), LiveConfig(compare=tmp_path / "seen.mp4")):
        with pytest.raises(ConfigError, match="is for files"):
            LiveRun(SOURCE, [], config, Darker())
