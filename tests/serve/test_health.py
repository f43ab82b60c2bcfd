"""Whether /healthz and /readyz are true."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from streamderain.media.live import Backoff
from streamderain.serve import served
from streamderain.serve.config import ServeConfig, StreamConfig
from streamderain.serve.served import Served
from streamderain.serve.server import Server
from tests.live.networks import Darker
from tests.media.receivers import free_port
from tests.serve.asking import QUICK, SOURCE, TOKEN, ask, published, refusal, serving
from tests.serve.networks import Moody
from tests.waiting import wait_until


def test_all_is_well() -> None:
    with serving(a=StreamConfig(SOURCE)) as server:
        wait_until(lambda: published(server, "a"))
        assert ask(server.url, "/healthz").status == 200
        ready = ask(server.url, "/readyz")
        assert (ready.status, ready.body) == (
            200,
            {"ready": True, "network": True, "not_started": {}, "not_connected": {}, "not_open": {}},
        )  # fmt: skip


def test_a_camera_that_is_away_is_told_and_is_no_fault_of_ours() -> None:
    with serving(a=StreamConfig("rtsp://me:hunter2@127.0.0.1:1/x")) as server:
        assert ask(server.url, "/healthz").status == 200
        wait_until(lambda: "refused, " in ask(server.url, "/readyz").body["not_connected"]["a"])
        ready, strict = ask(server.url, "/readyz"), ask(server.url, "/readyz?strict=1")
        assert (ready.status, strict.status) == (200, 503)
        assert ready.body["not_connected"] == strict.body["not_connected"]
        assert "hunter2" not in str(ready.body)


def test_strictly_ready_are_streams_whose_outputs_are_open(tmp_path: Path) -> None:
    away = "rtsp://127.0.0.1:1/x"
    with serving(a=StreamConfig(SOURCE, (str(tmp_path / "a.mkv"), away))) as server:
        wait_until(lambda: ask(server.url, "/readyz").body["not_open"] == {"a": [away]})
        assert ask(server.url, "/readyz").status == 200
        assert ask(server.url, "/readyz?strict=1").status == 503

        def outputs() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = ask(server.url, "/api/streams/a").body["numbers"]["outputs"]
            return found

        # One that was not tried yet waits, and is not open either.
        wait_until(
            lambda: [(each["state"], bool(each["reason"])) for each in outputs()] == [("open", False), ("away", True)]
        )
        assert ask(server.url, "/api/streams/a", "PUT", {"source": SOURCE}).status == 200
        wait_until(lambda: ask(server.url, "/readyz?strict=1").status == 200)


def test_a_network_that_hangs_is_unhealthy_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "STUCK_SECONDS", 0.5)
    network = Moody()
    with serving(network, defaults=QUICK, a=StreamConfig(SOURCE, settings={"frozen_after": 0.3})) as server:
        try:
            wait_until(lambda: published(server, "a"))
            assert ask(server.url, "/healthz").status == 200
            network.goes_on.clear()
            wait_until(lambda: ask(server.url, "/healthz").status == 503)
            assert ask(server.url, "/healthz").body == {"healthy": False, "dead": [], "stuck": ["a"]}
            assert ask(server.url, "/readyz").status == 200
        finally:
            network.goes_on.set()
        wait_until(lambda: ask(server.url, "/healthz").status == 200)


def test_a_stream_that_cannot_start_or_crashes_is_not_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(served, "PAUSES", Backoff(first=0.5, most=0.5))
    network = Moody(fails_at=80)
    bad = StreamConfig(SOURCE, (str(tmp_path / "none" / "x.mkv"),))
    with serving(network, good=StreamConfig(SOURCE), bad=bad, worse=StreamConfig("test:80x48@20")) as server:
        wait_until(lambda: published(server, "good") and len(ask(server.url, "/readyz").body["not_started"]) == 2)
        ready = ask(server.url, "/readyz")
        assert "is no folder" in ready.body["not_started"]["bad"]
        (tmp_path / "none").mkdir()
        assert (
            ask(server.url, "/api/streams/bad", "PUT", {"source": SOURCE, "outputs": list(bad.outputs)}).status == 201
        )
        network.fails_at = None
        wait_until(lambda: ask(server.url, "/readyz").status == 200)


def test_a_thread_that_died_is_unhealthy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(Served, "_once", lambda self: sys.exit("for no reason"))
    with serving(a=StreamConfig(SOURCE)) as server:
        wait_until(lambda: ask(server.url, "/healthz").body["dead"] == ["a"])
        assert ask(server.url, "/healthz").status == 503
    assert "a: its thread has died" in caplog.text


def test_it_listens_and_is_not_ready_while_the_network_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    asked: dict[str, Any] = {}

    def load(config: object) -> Darker:
        for path in ("/healthz", "/readyz", "/metrics", "/api/streams"):
            asked[path] = ask(f"http://127.0.0.1:{port}", path)
        asked["put"] = ask(f"http://127.0.0.1:{port}", "/api/streams/a", "PUT", {"source": SOURCE})
        return Darker()

    monkeypatch.setattr("streamderain.serve.server.load_network", load)
    with Server(ServeConfig({"a": StreamConfig(SOURCE)}, QUICK, port=port, token=TOKEN)) as server:
        assert ask(server.url, "/readyz").status == 200
    assert [asked[path].status for path in ("/healthz", "/metrics", "/api/streams")] == [200, 200, 200]
    assert (asked["/readyz"].status, asked["/readyz"].body["network"]) == (503, False)
    assert "is being loaded" in refusal(asked["put"], 503)
