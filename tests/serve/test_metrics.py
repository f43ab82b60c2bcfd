"""What Prometheus is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from streamderain.serve.config import StreamConfig
from streamderain.serve.server import Server
from tests.cameras import Cameras
from tests.cameras import rtsp_cameras as rtsp_cameras
from tests.live.networks import Darker
from tests.serve.asking import SOURCE, ask, published, serving
from tests.waiting import wait_until

DASHBOARD = Path(__file__).parent.parent.parent / "configs" / "grafana-dashboard.json"


def scraped(server: Server) -> dict[tuple[str, ...], float]:
    """Every sample by its name, without streamderain_, and the values of its labels, the stream's first."""
    answer = ask(server.url, "/metrics")
    assert (answer.status, answer.type) == (200, "text/plain")
    return {
        (sample.name.removeprefix("streamderain_"), *_in_order(sample.labels)): sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
    }


def _in_order(labels: dict[str, str]) -> list[str]:
    return [labels[name] for name in sorted(labels, key=lambda name: (name != "stream", name))]


def dropped(scrape: dict[tuple[str, ...], float], stream: str) -> float:
    return sum(value for key, value in scrape.items() if key[:2] == ("frames_dropped_total", stream))


def balanced(scrape: dict[tuple[str, ...], float], stream: str) -> bool:
    received, gone, inside = (
        scrape[f"frames_{name}", stream] for name in ("received_total", "published_total", "in_flight")
    )
    return received == gone + dropped(scrape, stream) + inside


def test_in_is_out_and_dropped_and_in_flight_at_every_moment() -> None:
    with serving(Darker(seconds=0.08), a=StreamConfig(SOURCE), b=StreamConfig(SOURCE)) as server:

        def enough() -> bool:
            last = scraped(server)
            assert balanced(last, "a")
            assert balanced(last, "b")
            return published(server, "a") >= 8 and dropped(last, "a") > 0

        wait_until(enough)
        last = scraped(server)
        assert last["network_frames_total",] >= last["network_batches_total",] > 0
        assert last["source_connected", "a"] == 1


def test_the_histogram_holds_what_was_published(clip: Path, tmp_path: Path) -> None:
    asked = StreamConfig(str(clip), (str(tmp_path / "rain.mkv"),), {"realtime": True})
    with serving(a=asked) as server:
        assert server.fleet
        assert server.fleet["a"].join(20)
        last = scraped(server)
    assert last["frames_received_total", "a"] == 12
    assert last["latency_seconds_count", "a"] == last["frames_published_total", "a"] == 12 - dropped(last, "a")
    counts = [value for key, value in last.items() if key[:2] == ("latency_seconds_bucket", "a")]
    assert counts == sorted(counts)
    assert counts[-1] == last["latency_seconds_count", "a"]
    assert 0 < last["latency_seconds_sum", "a"] < 0.5 * counts[-1]
    assert last["output_packets_written_total", "a", "1", str(tmp_path / "rain.mkv")] >= counts[-1]
    assert last["frames_by_effort_total", "a", "full"] == last["frames_published_total", "a"]
    assert [last["effort", "a", each] for each in ("full", "half", "none")] == [1, 0, 0]
    assert last["frames_in_flight", "a"] == last["source_connected", "a"] == 0


def test_reconnects_are_counted(cameras: Cameras) -> None:
    camera = cameras()
    with serving(a=StreamConfig(camera.url, settings={"frozen_after": 1.0})) as server:
        wait_until(lambda: published(server, "a") > 2)
        assert scraped(server)["reconnects_total", "a"] == 0
        camera.kill()
        wait_until(lambda: scraped(server)["source_connected", "a"] == 0)
        camera.start()
        wait_until(lambda: scraped(server)["source_connected", "a"] == 1)
        last = scraped(server)
        assert last["reconnects_total", "a"] == 1
        assert last["source_events_total", "a", "connected"] == 2
        assert last["frames_filled_total", "a"] >= 0
        assert balanced(last, "a")


def test_a_scrape_tells_no_password() -> None:
    streams = {
        "away": StreamConfig("rtsp://me:hunter2@127.0.0.1:1/x"),
        "out": StreamConfig(SOURCE, ("rtsp://me:hunter2@127.0.0.1:1/y", "rtsp://you:hunter2@127.0.0.1:1/y")),
    }
    with serving(**streams) as server:
        wait_until(lambda: ("output_connected", "out", "2", "rtsp://***@127.0.0.1:1/y") in scraped(server))
        body = ask(server.url, "/metrics").body
        assert "hunter2" not in body
        assert "hunter2" not in str([ask(server.url, f"/api/streams/{name}").body for name in streams])


def test_the_dashboard_names_what_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    named: set[str] = set()

    def look(part: object) -> None:
        if isinstance(part, dict):
            named.update(
                re.findall(r"\b(?:streamderain|process)_\w+", f"{part.get('expr', '')} {part.get('query', '')}")
            )
        for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            look(each)

    look(json.loads(DASHBOARD.read_text()))
    assert len(named) > 10
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2)
    with serving(a=StreamConfig(SOURCE, ("udp://127.0.0.1:1",))) as server:
        assert server.fleet
        wait_until(lambda: published(server, "a") > 2)
        server.fleet.network.device = torch.device("cuda")
        body = ask(server.url, "/metrics").body
        server.fleet.network.device = torch.device("cpu")
    families = list(text_string_to_metric_families(body))
    exported = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    exported |= {sample.name for each in families for sample in each.samples}
    assert named <= exported
