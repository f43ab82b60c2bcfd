"""Many streams through one network, and none of them another one's business."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import pytest

from streamderain.engine.shared import SharedNetwork
from streamderain.errors import ConfigError, SinkError
from streamderain.frames import Network, Restored
from streamderain.media.live import Backoff
from streamderain.media.outlet import Outlet
from streamderain.serve import served
from streamderain.serve.config import StreamConfig
from streamderain.serve.fleet import Fleet
from streamderain.serve.served import Served
from tests.cameras import Cameras
from tests.cameras import rtsp_cameras as rtsp_cameras
from tests.live.networks import Darker
from tests.media.receivers import free_port
from tests.serve.asking import QUICK, SOURCE
from tests.serve.networks import Moody
from tests.waiting import wait_until


@contextmanager
def fleet_on(network: Network, shown: Callable[[Served], Callable[[Restored], None]] | None = None,
             hidden: Callable[[str], None] = lambda name: None) -> Iterator[Fleet]:  # fmt: skip
    shared = SharedNetwork(network)
    fleet = Fleet(shared, QUICK, shown or (lambda stream: lambda pair: None), hidden)
    try:
        yield fleet
    finally:
        fleet.close(10)
        assert shared.close()


def published(fleet: Fleet, name: str) -> int:
    return fleet[name].numbers().published


def frames_of(path: Path) -> int:
    with av.open(path) as file:
        return sum(1 for _ in file.decode(video=0))


def test_streams_come_go_and_stay(tmp_path: Path) -> None:
    pairs: dict[str, int] = {}
    gone: list[str] = []

    def shown(stream: Served) -> Callable[[Restored], None]:
        def show(pair: Restored) -> None:
            pairs[stream.name] = pairs.get(stream.name, 0) + 1

        return show

    network = Darker()
    with fleet_on(network, shown, gone.append) as fleet:
        assert fleet.put("a", StreamConfig(SOURCE))
        assert fleet.put("b", StreamConfig("test:80x48@20"))
        wait_until(lambda: published(fleet, "a") > 3 and published(fleet, "b") > 3)
        kept = fleet["a"]
        assert not fleet.put("a", StreamConfig(SOURCE))
        # The same, though it says more.
        assert not fleet.put("a", StreamConfig(SOURCE, settings={"preset": QUICK.preset}))
        assert fleet["a"] is kept
        assert not fleet.put("a", StreamConfig(SOURCE, settings={"strength": 0.5}))
        assert fleet["a"] is not kept
        assert fleet["a"].config == replace(QUICK, strength=0.5)
        assert kept.join(0)
        assert gone == ["a"]
        fleet.remove("b")
        assert [stream.name for stream in fleet] == ["a"]
        assert gone == ["a", "b"]
        with pytest.raises(ConfigError, match="no stream is called 'aa'; did you mean a"):
            fleet.remove("aa")
        with pytest.raises(ConfigError, match="no stream is called 'b'"):
            fleet.restart("b")
    assert min(pairs["a"], pairs["b"]) > 3
    assert network.calls == fleet.network.batches


def test_a_fleet_becomes_what_it_is_told_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    with fleet_on(Darker()) as fleet:
        fleet.become({name: StreamConfig(SOURCE) for name in ("a", "b", "c")})
        a, b = fleet["a"], fleet["b"]
        bad = StreamConfig(SOURCE, (str(tmp_path / "none" / "x.mkv"),))
        fleet.become({"a": StreamConfig(SOURCE), "b": StreamConfig("test:80x48@20"), "d": bad})
        assert list(fleet.asked) == ["a", "b"]
        assert fleet["a"] is a
        assert fleet["b"] is not b
        assert list(fleet.failed) == ["d"]
        assert "is no folder that exists" in fleet.failed["d"]
        fleet.become({"a": StreamConfig(SOURCE), "d": StreamConfig(SOURCE)}, replace(QUICK, crf=30))
        assert not fleet.failed
        assert fleet["a"] is not a
        assert fleet["d"].config.crf == 30


def test_a_stream_that_cannot_be_leaves_its_forerunner_in_place(tmp_path: Path) -> None:
    with fleet_on(Darker()) as fleet:
        fleet.put("a", StreamConfig(SOURCE))
        before = fleet["a"]
        with pytest.raises(SinkError):
            fleet.put("a", StreamConfig(SOURCE, (str(tmp_path),)))
        assert fleet["a"] is before
        assert not before.join(0)


def test_a_stream_whose_network_fails_stops_no_other_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(served, "PAUSES", Backoff(first=0.05, most=0.1))
    network = Moody(fails_at=80)
    with fleet_on(network) as fleet:
        fleet.become({"good": StreamConfig(SOURCE), "bad": StreamConfig("test:80x48@20")})
        good, bad = fleet["good"], fleet["bad"]
        wait_until(lambda: bad.restarts >= 2)
        before = published(fleet, "good")
        wait_until(lambda: published(fleet, "good") > before + 5)
        assert (good.restarts, good.failure) == (0, None)
        network.fails_at = None
        wait_until(lambda: published(fleet, "bad") > 3)
        assert bad.state == "live"
        assert bad.failure is None
    assert "bad: gate: RuntimeError: no rain of this width; http://***@here says more" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_source_that_fails_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "PAUSES", Backoff(first=0.05, most=0.1))
    (tmp_path / "rain.mp4").write_text("no rain at all")
    with fleet_on(Darker()) as fleet:
        broken = StreamConfig(str(tmp_path / "rain.mp4"), settings={"realtime": True})
        fleet.become({"good": StreamConfig(SOURCE), "bad": broken})
        wait_until(lambda: fleet["bad"].restarts >= 2 and published(fleet, "good") > 5)
        assert fleet["good"].restarts == 0
        wait_until(lambda: fleet["bad"].state == "restarting")
        assert "cannot be opened" in (fleet["bad"].failure or "")


def test_a_recording_gets_a_number_at_each_restart_and_loses_nothing(tmp_path: Path) -> None:
    with fleet_on(Darker()) as fleet:
        fleet.put("a", StreamConfig(SOURCE, (str(tmp_path / "rain.mkv"),)))
        counts = []
        for _ in range(2):
            wait_until(lambda: published(fleet, "a") > 5)
            stream = fleet["a"]
            fleet.restart("a")
            counts.append(stream.numbers().published)
        wait_until(lambda: published(fleet, "a") > 5)
        stream = fleet["a"]
    counts.append(stream.numbers().published)
    assert [frames_of(tmp_path / name) for name in ("rain.mkv", "rain-2.mkv", "rain-3.mkv")] == counts


def test_a_stream_that_hangs_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    network = Moody()
    with fleet_on(network) as fleet:
        fleet.become({name: StreamConfig(SOURCE) for name in ("a", "b")})
        wait_until(lambda: published(fleet, "a") and published(fleet, "b"))
        network.goes_on.clear()
        assert network.hangs.wait(20)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("streamderain-")]
        fleet.close(0.5)
        assert not list(fleet)
        assert "did not end within" in caplog.text
        network.goes_on.set()
        for thread in threads:
            if thread.name != "streamderain-network":
                thread.join(10)


def test_the_log_says_of_which_stream_it_speaks(
    tmp_path: Path, cameras: Cameras, caplog: pytest.LogCaptureFixture
) -> None:
    camera = cameras(64, 48, 25)
    names = ("front", "back")
    with caplog.at_level("INFO", "streamderain"), fleet_on(Darker(seconds=0.1)) as fleet:
        for name in names:
            # One camera and one server for both.
            outputs = (str(tmp_path / f"{name}.mkv"), f"rtsp://127.0.0.1:{free_port()}/{name}")
            fleet.put(name, StreamConfig(camera.url, outputs, {"frozen_after": 1.0, "overload": "frames"}))
        # Where other news came first, as on a busy machine, it is told ten seconds later.
        wait_until(lambda: all(f"{name}: too slow" in caplog.text for name in names))
        camera.kill()
        wait_until(lambda: all(fleet[name].numbers().away for name in names))
    told = [record.getMessage() for record in caplog.records if record.name.startswith("streamderain.")]
    told = [line for line in told if "left behind, as" not in line]
    for name in names:
        for what in ("connected", "lost", "opened", "too slow", "started", "stopped"):
            assert any(line.startswith(f"{name}: ") and what in line for line in told), (name, what, told)
    assert all(line.startswith(("front: ", "back: ")) for line in told), told


@pytest.mark.parametrize("hangs", ["the source", "the network"])
def test_two_streams_never_publish_to_one_output(
    hangs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cameras: Cameras
) -> None:
    there: Counter[str] = Counter()
    most: Counter[str] = Counter()

    class Counted(Outlet):
        def __init__(self, name: str, *arguments: object, **options: object) -> None:
            super().__init__(name, *arguments, **options)  # type: ignore[arg-type]
            self._counted = name
            there[name] += 1
            most[name] = max(most[name], there[name])

        def close(self) -> None:
            super().close()
            there[self._counted] -= 1

    monkeypatch.setattr("streamderain.live.outputs.Outlet", Counted)
    camera, network, url = cameras(), Moody(), f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with fleet_on(network) as fleet:
        # Long enough that nothing heals meanwhile.
        asked = StreamConfig(camera.url, (url,), {"frozen_after": 8.0})
        fleet.put("a", asked)
        wait_until(lambda: published(fleet, "a") > 3 and there[url])
        if hangs == "the source":
            camera.freeze()
        else:
            network.goes_on.clear()
            assert network.hangs.wait(20)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("streamderain-")]
        # Replaced, then removed and put under another name.
        fleet.put("a", replace(asked, source=SOURCE))
        fleet.remove("a")
        wait_until(lambda: not there[url])
        fleet.put("b", replace(asked, source=SOURCE))
        network.goes_on.set()
        wait_until(lambda: published(fleet, "b") > 3 and there[url])
        assert most[url] == 1
        camera.kill()
        for thread in threads:
            if thread.name != "streamderain-network":
                thread.join(20)
