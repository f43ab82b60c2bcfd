"""One stream that is kept running."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from streamderain.config import LiveConfig
from streamderain.frames import Network, Restored
from streamderain.media.live import Backoff
from streamderain.serve import served
from streamderain.serve.config import StreamConfig
from streamderain.serve.served import Served
from tests.live.networks import Darker
from tests.serve.asking import QUICK, SOURCE
from tests.serve.networks import Moody
from tests.waiting import wait_until


@contextmanager
def running(asked: StreamConfig, network: Network | None = None, config: LiveConfig = QUICK) -> Iterator[Served]:
    stream = Served("a", asked, replace(config, **asked.settings), network or Darker())
    stream.start(lambda pair: None)
    try:
        yield stream
    finally:
        stream.stop()
        assert stream.join(10)


def test_what_was_turned_stays_so_after_a_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(served, "PAUSES", Backoff(first=0.05, most=0.1))
    network = Moody()
    with running(StreamConfig(SOURCE, (str(tmp_path / "rain.mkv"),)), network) as stream:
        wait_until(lambda: stream.numbers().published > 2)
        stream.watch().adjust(strength=0.25)
        network.fails_at = 64
        wait_until(lambda: stream.restarts >= 1)
        network.fails_at = None
        wait_until(lambda: stream.state == "live" and stream.numbers().published > 2)
        assert stream.watch().settings()["strength"] == 0.25
        told = stream.watch().numbers()
        assert (told["state"], told["failure"], told["restarts"]) == ("live", None, stream.restarts)
    assert len(list(tmp_path.glob("rain*.mkv"))) >= 2
    assert stream.state == "ended"


def test_on_demand_it_derains_while_somebody_watches() -> None:
    network, watching = Darker(by=0.3), [False]
    stream = Served("a", StreamConfig(SOURCE), replace(QUICK, on_demand=True), network)
    stream.watched = lambda: watching[0]
    seen: list[Restored] = []
    stream.start(seen.append)
    try:
        wait_until(lambda: len(seen) > 25)
        # One a second is looked at, and those of the first; half the size is prepared too.
        assert network.calls <= 4 + seen[-1].clean.seconds - seen[0].clean.seconds
        watching[0] = True
        before = network.calls
        wait_until(lambda: network.calls > before + 25)
        assert float(seen[-1].clean.data.float().mean()) < float(seen[-1].rainy.data.float().mean())
        assert not stream.is_stuck
    finally:
        stream.stop()
        assert stream.join(10)


def test_a_file_that_ended_has_no_successor(clip: Path) -> None:
    with running(StreamConfig(str(clip), settings={"realtime": True})) as stream:
        assert stream.join(20)
        assert (stream.state, stream.failure, stream.restarts) == ("ended", None, 0)
        assert stream.numbers().received == 12


def test_a_source_that_was_given_up_has_no_successor() -> None:
    away = "rtsp://me:hunter2@127.0.0.1:1/x"
    with running(StreamConfig(away, settings={"retries": 0})) as stream:
        assert stream.join(20)
        assert stream.state == "ended"
        assert "given up" in (stream.failure or "")
        assert "hunter2" not in str(stream.watch().numbers())


def test_it_waits_for_a_source_that_is_away() -> None:
    with running(StreamConfig("rtsp://127.0.0.1:1/x")) as stream:
        wait_until(lambda: stream.numbers().events)
        assert stream.state == "waiting"
        assert stream.stuck_seconds(time.monotonic() + 1000) == 0


def test_it_ends_at_once_in_the_pause_after_a_crash(tmp_path: Path) -> None:
    (tmp_path / "rain.mp4").touch()
    with running(StreamConfig(str(tmp_path / "rain.mp4"), settings={"realtime": True})) as stream:
        stream._crashes = 20
        wait_until(lambda: stream.state == "restarting")
        stream.stop()
        # The pause is a minute.
        assert stream.join(30)


def test_it_is_stuck_when_its_source_gives_and_nothing_comes_out() -> None:
    network = Moody()
    with running(StreamConfig(SOURCE), network) as stream:
        wait_until(lambda: stream.numbers().published > 2)
        now, before = time.monotonic(), stream.numbers().published
        stream.stuck_seconds(now)
        wait_until(lambda: stream.numbers().published > before)
        later = itertools.count(now + 1000, 1000)
        assert stream.stuck_seconds(next(later)) == 0
        network.goes_on.clear()
        try:
            assert network.hangs.wait(20)
            # What was through already goes out.
            wait_until(lambda: stream.stuck_seconds(next(later)) >= 1000)
        finally:
            network.goes_on.set()
        before = stream.numbers().published
        wait_until(lambda: stream.numbers().published > before)
        assert stream.stuck_seconds(next(later)) == 0
