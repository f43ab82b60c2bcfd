"""The program as an operator runs it."""

from __future__ import annotations

import configparser
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import av
import pytest
import yaml
from typer.testing import CliRunner

from streamderain.cli.app import app
from streamderain.errors import ConfigError, SinkError
from streamderain.serve.config import ServeConfig
from streamderain.serve.reading import read
from streamderain.serve.server import Server
from tests.live.networks import Darker
from tests.media.receivers import free_port
from tests.serve.asking import QUICK, ask
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "configs" / "deploy"

FILE = """
port: {port}
defaults: {{model: fast, device: cpu, backend: torch, preset: ultrafast}}
streams:
  a: {{source: "test:64x48@10", outputs: rain.mkv}}
"""


@dataclass
class Program:
    process: subprocess.Popen[bytes]
    folder: Path
    url: str

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text()

    def streams(self) -> list[str]:
        return [each["name"] for each in ask(self.url, "/api/streams", token=None).body]

    def published(self, name: str) -> int:
        return int(ask(self.url, f"/api/streams/{name}", token=None).body["numbers"]["published"])


def started(folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streamderain", "serve", "serve.yaml"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stderr=log)


@contextmanager
def program(folder: Path, port: int) -> Iterator[Program]:
    """The program, once it serves what FILE says."""
    (folder / "serve.yaml").write_text(FILE.format(port=port))
    with (folder / "log").open("wb") as log:
        process = started(folder, log)
    running = Program(process, folder, f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: process.poll() is not None or "page and API at" in running.said, 120)
        assert process.poll() is None, running.said
        yield running
    finally:
        process.kill()
        process.wait()


def test_signals_do_what_they_say_and_clients_that_misbehave_disturb_nobody(tmp_path: Path) -> None:
    with program(tmp_path, free_port()) as running, socket.socket() as deaf, socket.socket() as half:
        file, port = tmp_path / "serve.yaml", int(running.url.rpartition(":")[2])
        wait_until(lambda: running.published("a") > 2, 60)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        for client, request in (
            (deaf, b"GET /streams/a.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            (half, b"PUT /api"),
        ):
            client.connect(("127.0.0.1", port))
            client.sendall(request)

        file.write_text(file.read_text() + '  b: {source: "test:64x48@10"}\n')
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.streams() == ["a", "b"])
        file.write_text(file.read_text().replace("streams", "stremas"))
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "no setting is called stremas; did you mean streams?; all goes on as before" in running.said)
        assert running.streams() == ["a", "b"]
        file.write_text(FILE.format(port=port))
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.streams() == ["a"])

        before = running.published("a")
        wait_until(lambda: running.published("a") > before + 5)
        seen = running.published("a")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(300) == 0, running.said
        assert "Traceback" not in running.said
    # One recording, whole: neither reload touched the run, and its end was written.
    assert [path.name for path in tmp_path.glob("*.mkv")] == ["rain.mkv"]
    with av.open(tmp_path / "rain.mkv") as recording:
        frames = list(recording.decode(video=0))
        assert len(frames) >= seen
        assert recording.duration
        assert recording.duration / 1e6 >= frames[-1].time


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "serve.yaml").write_text(FILE.format(port=port))
        process = started(tmp_path, subprocess.PIPE)  # type: ignore[arg-type]
        _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    line = f"streamderain: the page cannot listen on 127.0.0.1:{port}: "
    assert said.decode().startswith(line)
    assert said.count(b"\n") == 1


def test_what_cannot_be_served_leaves_nothing_behind() -> None:
    with pytest.raises(ConfigError, match="set a token"):
        Server(ServeConfig({}, QUICK, host="0.0.0.0"), Darker())
    with pytest.raises(SinkError, match="cannot listen on 203"):
        Server(ServeConfig({}, QUICK, host="203.0.113.1", token="only for us"), Darker())


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamderain.live.page.importlib.util.find_spec", lambda library: None)
    with pytest.raises(ConfigError, match=r"needs aiohttp; pip install 'streamderain\[live\]'"):
        Server(ServeConfig({}, QUICK), Darker())


def test_a_file_can_be_checked(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text(FILE.format(port=1))
    done = CliRunner().invoke(app, ["serve", str(tmp_path / "serve.yaml"), "--check"])
    assert done.exit_code == 0
    assert done.output == "127.0.0.1:1, without a token\na: test:64x48@10 -> rain.mkv\n"


def test_the_files_that_come_with_it_are_what_they_should_be() -> None:
    assert read(ROOT / "configs" / "serve.yaml").streams["demo"].source == "test:320x180@10"
    secrets = {"STREAMDERAIN_TOKEN": "only for us", "CAMERA": "rtsp://camera/stream"}
    deployed = read(DEPLOY / "serve.yaml", secrets)
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ours = services["streamderain"]
    assert set(ours["environment"]) == set(secrets)
    assert ours["ports"] == [f"{deployed.port}:{deployed.port}"]
    assert (DEPLOY / ours["build"]["context"] / ours["build"]["dockerfile"]).is_file()
    assert (DEPLOY / ours["volumes"][0].split(":")[0]).is_file()
    (server,) = ours["depends_on"]
    assert deployed.streams["camera"].outputs == (f"rtsp://{server}:8554/clean",)
    assert server in services
    in_image = (DEPLOY / "Dockerfile").read_text()
    assert ours["volumes"][0].split(":")[1] in in_image
    assert f":{deployed.port}/healthz" in in_image


def test_the_files_for_frigate_name_each_other_rightly() -> None:
    folder = DEPLOY / "frigate"
    secrets = {"STREAMDERAIN_TOKEN": "only for us", "CAMERA": "rtsp://camera/stream", "MQTT_PASSWORD": "hunter2"}
    deployed = read(folder / "serve.yaml", secrets)
    frigate = yaml.safe_load((folder / "frigate.yaml").read_text())
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    ours, theirs = services["streamderain"], services["frigate"]
    assert set(ours["environment"]) == set(secrets)
    assert (folder / ours["build"]["context"] / ours["build"]["dockerfile"]).is_file()
    for service in services.values():
        for volume in service.get("volumes", ()):
            place = volume.split(":")[0]
            assert not place.startswith(".") or (folder / place).exists()
    camera = frigate["cameras"]["yard"]
    detect, record = camera["ffmpeg"]["inputs"]
    assert (detect["path"],) == deployed.streams["yard"].outputs
    assert record["path"].strip("{}") in theirs["environment"]
    assert deployed.streams["yard"].settings["slate"] == f"{camera['detect']['width']}x{camera['detect']['height']}"
    assert deployed.mqtt
    assert deployed.mqtt.host == frigate["mqtt"]["host"]
    assert deployed.mqtt.host in services
    assert deployed.mqtt.username == frigate["mqtt"]["user"]


def test_the_unit_starts_what_there_is() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "streamderain.service")
    for key in ("ExecStart", "ExecStartPre"):
        program, command, *rest = shlex.split(unit["Service"][key])
        assert (Path(program).name, command) == ("streamderain", "serve")
        assert set(rest) <= {"/etc/streamderain/serve.yaml", "--check"}
    assert unit["Service"]["ExecReload"].endswith("-HUP $MAINPID")
    assert int(unit["Service"]["TimeoutStopSec"]) > 5
