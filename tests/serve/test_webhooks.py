"""Calls to URLs: what is worth one, what is tried again, and that nobody waits for them."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from streamderain.live.events import SOURCE, Event
from streamderain.preview.server import PreviewServer
from streamderain.serve.config import ServeConfig, StreamConfig
from streamderain.serve.server import Server
from streamderain.serve.webhooks import AGAIN_SECONDS, MOST_WAITING, PAUSES, Webhooks
from tests.cameras import Cameras
from tests.cameras import rtsp_cameras as rtsp_cameras
from tests.live.networks import Darker
from tests.serve.asking import QUICK
from tests.waiting import wait_until

FULL = f"rain.mkv cannot be written to: {os.strerror(errno.ENOSPC)}"


class Ear:
    """Takes calls at /hook/s3cr3t, and answers as it is told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.server = PreviewServer(port=0, routes=[web.post("/hook/s3cr3t", self._take)])
        self.url = self.server.url + "hook/s3cr3t"

    async def _take(self, request: web.Request) -> web.Response:
        self.calls.append(await request.json())
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": "/hook/s3cr3t"})

    @property
    def heard(self) -> list[tuple[str, str]]:
        return [(each["stream"], each["event"]) for each in self.calls]


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.server.close()


class Naps:
    """Pauses that take no time, and are noted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def test_what_is_worth_a_call(ear: Ear) -> None:
    hooks = Webhooks([ear.url])
    try:
        for kind in ("connected", "lost", "refused", "refused", "changed", "connected", "frozen", "gave up"):
            hooks.tell("yard", Event(1000.0, kind, SOURCE, "why"))
        hooks.tell("door", Event(1000.0, "lost", SOURCE, "why"))
        for at in (1000.0, 1001.0, 1000.0 + AGAIN_SECONDS):
            hooks.tell("door", Event(at, "lost", "rain.mkv", FULL))
        hooks.tell("door", Event(1000.0, "lost", "rtsp://server/x", "refused"))
        expected = [("yard", "lost"), ("yard", "back"), ("yard", "lost"), ("door", "lost")]
        expected += 2 * [("door", "disk_full")]
        wait_until(lambda: len(ear.calls) >= len(expected))
    finally:
        hooks.close()
    assert ear.heard == expected
    assert ear.calls[-1] == {
        "event": "disk_full", "stream": "door", "subject": "rain.mkv", "reason": FULL,
        "at": "1970-01-01T01:16:40.000+00:00", "text": f"door: rain.mkv disk full, {FULL}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "calls", "pauses"),
    [([500, 429, 200], 3, PAUSES[:2]), ([500] * 9, 4, PAUSES), ([404], 1, ()), ([302], 1, ())],
)
def test_attempts_are_few_and_only_where_they_may_help(
    ear: Ear, answers: list[int], calls: int, pauses: tuple[float, ...], caplog: pytest.LogCaptureFixture
) -> None:
    ear.answers, naps = list(answers), Naps()
    hooks = Webhooks([ear.url], naps)
    try:
        hooks.tell("yard", Event(0.0, "lost", SOURCE, "why"))
        wait_until(lambda: len(ear.calls) == calls)
    finally:
        hooks.close()
    assert (len(ear.calls), naps.seconds) == (calls, list(pauses))
    assert ("is not told" in caplog.text) == (answers[calls - 1] != 200)
    assert "s3cr3t" not in caplog.text


def test_a_url_that_never_answers_keeps_no_other_waiting(ear: Ear, caplog: pytest.LogCaptureFixture) -> None:
    async def for_ever(seconds: float) -> None:
        await asyncio.Event().wait()

    hooks = Webhooks(["http://127.0.0.1:1/s3cr3t", ear.url], for_ever)
    try:
        for number in range(MOST_WAITING + 10):
            hooks.tell(f"cam-{number}", Event(0.0, "lost", SOURCE, "why"))
            wait_until(lambda: ear.heard[-1:] == [(f"cam-{number}", "lost")])  # noqa: B023
        assert f"{MOST_WAITING} calls wait; the oldest is left out" in caplog.text
    finally:
        hooks.close()
    assert "s3cr3t" not in caplog.text


def test_a_camera_that_dies_and_comes_back_and_a_full_disk_are_told(cameras: Cameras, ear: Ear, tmp_path: Path) -> None:
    camera, recording = cameras(), str(tmp_path / "rain.mkv")
    # Long enough for a camera on a busy machine, which else is lost before it was there.
    asked = StreamConfig(camera.url, (recording,), {"frozen_after": 20.0})
    with Server(ServeConfig({"yard": asked}, QUICK, port=0, webhooks=(ear.url,)), Darker()) as server:
        fleet = server.fleet
        assert fleet
        wait_until(lambda: fleet["yard"].numbers().published > 2)
        camera.kill()
        wait_until(lambda: ear.heard == [("yard", "lost")])
        camera.start()
        wait_until(lambda: ear.heard == [("yard", "lost"), ("yard", "back")])
        history = fleet["yard"].watch().history()
        kinds = [each["kind"] for each in history if each["subject"] == "source"]
        assert kinds[-1] == "connected"
        assert set(kinds) <= {"connected", "lost", "frozen", "refused"}
        assert ("opened", recording) in [(each["kind"], each["subject"]) for each in history]
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            wait_until(lambda: ("yard", "disk_full") in ear.heard)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert ear.calls[-1]["subject"] == recording
