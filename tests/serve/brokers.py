"""A real broker that wants a password, and somebody who listens to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamderain.serve.config import MqttConfig
from tests.media.receivers import free_port
from tests.waiting import wait_until

USER, PASSWORD = "rain", "s3cr3t-of-the-broker"

PLACES = (None, "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
"""Where the program is: on PATH, or where users have no PATH to."""


def _program(name: str) -> str | None:
    return next((found for place in PLACES if (found := shutil.which(name, path=place))), None)


class Broker:
    """mosquitto, which can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        program, passwords = _program("mosquitto"), _program("mosquitto_passwd")
        if program is None or passwords is None:
            pytest.skip("mosquitto is not installed")
        self.port = free_port()
        kept, self._config = folder / "passwords", folder / "mosquitto.conf"
        subprocess.run([passwords, "-b", "-c", str(kept), USER, PASSWORD], check=True)
        # Started by root it would become a user that may not read this folder.
        kept.chmod(0o644)
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {kept}\nuser root\n"
        )
        self._program, self._process = program, self._started(program)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self._process = self._started(self._program)

    def config(self, password: str = PASSWORD) -> MqttConfig:
        return MqttConfig("127.0.0.1", self.port, USER, password)

    def _started(self, program: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


class Listener:
    """All that the broker holds, and all that it was told in order."""

    def __init__(self, broker: Broker) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.held: dict[str, str] = {}
        self.heard: list[tuple[str, str]] = []
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(USER, PASSWORD)
        self.client.on_connect = lambda client, *_: client.subscribe("#")
        self.client.on_message = lambda client, data, message: self._take(message.topic, message.payload.decode())
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1", broker.port)
        self.client.loop_start()
        wait_until(self.client.is_connected)

    def _take(self, topic: str, text: str) -> None:
        self.heard.append((topic, text))
        if text:
            self.held[topic] = text
        else:
            self.held.pop(topic, None)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def listening(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    pytest.importorskip("paho.mqtt.client", reason="MQTT is spoken by paho-mqtt")
    broker = Broker(tmp_path)
    yield broker
    broker.kill()
