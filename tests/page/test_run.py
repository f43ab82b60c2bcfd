"""The page for files as a program: it says where it is, and leaves nothing when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamderain.errors import WeightsError
from streamderain.page.run import serve_files
from tests.page.conftest import CONFIG, Darker, Running
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "streamderain", "page", "--no-open", "--port", "0", "--folder", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--model", "fast", "--device", "cpu", "--backend", "torch", *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    said = process.stdout.readline()
    assert f"what is derained goes into {folder}" in said, process.communicate()
    return process, said.partition(": drop")[0]


def asked(url: str, data: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60) as reply:
        return reply.read()


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path, clip: Path, stop: signal.Signals) -> None:
    process, url = started(tmp_path / "dry")
    asked(f"{url}api/clips?name=a.mp4", clip.read_bytes())
    wait_until(lambda: b'"is_shown": true' in asked(f"{url}api/clips"))
    process.send_signal(stop)
    _, complaints = process.communicate(timeout=300)
    assert (process.returncode, complaints) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    running = Running(tmp_path / "dry", Darker(), "0.0.0.0:0", "secret")
    try:
        assert running.ask("api/clips")[0] == 401
        assert running.ask("")[0] == 401
        assert running.ask("?token=secret")[0] == 200
        assert running.ask("api/clips", headers={"Authorization": "Bearer secret"})[0] == 200
    finally:
        running.end()


def test_first_all_clips_are_seen_once(page: Running, network: Darker, clip: Path) -> None:
    network.gate.clear()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        assert page.send(name, clip.read_bytes())[0] == 201
    seen: list[list[int]] = []

    def watched() -> bool:
        clips = page.ask("api/clips")[1]["clips"]
        seen.append([len(each["shown"]) for each in clips])
        return all(each["is_shown"] for each in clips)

    network.gate.set()
    wait_until(watched)
    assert all(max(counts) - min(counts) <= 1 for counts in seen), seen


def test_a_network_that_cannot_be_loaded_ends_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nonsense"):
        serve_files(replace(CONFIG, model="nonsense"), tmp_path / "dry", "0")
    assert not (tmp_path / "dry").exists()
