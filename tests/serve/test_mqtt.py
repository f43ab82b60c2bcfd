"""What a broker is told, and what becomes of it when broker or process go."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Iterable
from dataclasses import replace

import pytest

from streamderain.errors import ConfigError
from streamderain.live.numbers import LiveNumbers
from streamderain.serve.config import MqttConfig, ServeConfig, StreamConfig
from streamderain.serve.mqtt import LEVEL_SECONDS, Mqtt, Now, messages
from streamderain.serve.server import Server
from tests.live.networks import Darker
from tests.serve.asking import QUICK, SOURCE
from tests.serve.brokers import PASSWORD, Broker, listening
from tests.serve.brokers import broker as broker
from tests.waiting import wait_until

WELL = LiveNumbers(
    "yard", True, False, None, 0.1, "64x48", 9, 9, 0, {}, 10, 10, None, None, 0, 0,
    None, None, False, "full", {}, {}, (),
)  # fmt: skip
TOLD = "streamderain/yard"


class Streams:
    """Streams that are as the test says, at a time that it says, and how often they were looked at."""

    def __init__(self) -> None:
        self.now: dict[str, LiveNumbers] = {"yard": WELL}
        self.seconds = 0.0
        self.looks = 0

    def __call__(self) -> Iterable[Now]:
        self.looks += 1
        return [(name, "live", numbers) for name, numbers in self.now.items()]

    def looked(self) -> None:
        """Wait until they were looked at once more, from the beginning to the end."""
        before = self.looks
        wait_until(lambda: self.looks > before + 1)


def told(streams: Streams, broker: Broker) -> Mqtt:
    return Mqtt(broker.config(), streams, look_seconds=0.01, clock=lambda: streams.seconds)


def test_a_stream_is_what_home_assistant_makes_a_device_of() -> None:
    all_ = messages(MqttConfig("broker"), [("yard", "live", replace(WELL, rain_level=0.0123, raining=True))])
    assert {topic: text for topic, text in all_.items() if not topic.startswith("homeassistant/")} == {
        "streamderain/status": "online", f"{TOLD}/availability": "online", f"{TOLD}/state": "live",
        f"{TOLD}/rain_level": "1.23", f"{TOLD}/raining": "ON",
    }  # fmt: skip
    found = {topic: json.loads(text) for topic, text in all_.items() if topic.startswith("homeassistant/")}
    assert len({each["unique_id"] for each in found.values()}) == len(found) == 3
    for topic, entity in found.items():
        assert topic.split("/")[3:] == [f"yard_{entity['state_topic'].rpartition('/')[2]}", "config"]
        assert entity["state_topic"] in all_
        assert all(each["topic"] in all_ for each in entity["availability"])
        assert entity["device"]["identifiers"] == ["streamderain_yard"]
    plain = messages(MqttConfig("broker", discovery=None), [("yard", "waiting", replace(WELL, connected=False))])
    assert plain == {
        "streamderain/status": "online", f"{TOLD}/availability": "offline", f"{TOLD}/state": "waiting",
        f"{TOLD}/rain_level": "None", f"{TOLD}/raining": "None",
    }  # fmt: skip


def test_the_broker_holds_what_is_and_forgets_what_is_no_more(broker: Broker) -> None:
    streams = Streams()
    with listening(broker) as heard:
        mqtt = told(streams, broker)
        try:
            wait_until(lambda: heard.held == messages(broker.config(), streams()))
            streams.now = {"yard": replace(WELL, rain_level=0.001, raining=True, connected=False), "door": WELL}
            streams.seconds += LEVEL_SECONDS
            wait_until(lambda: heard.held == messages(broker.config(), streams()))
            # The level alone changes, and is told when it is time.
            streams.now["yard"] = replace(streams.now["yard"], rain_level=0.002)
            streams.looked()
            assert heard.held[f"{TOLD}/rain_level"] == "0.10"
            streams.seconds += LEVEL_SECONDS
            wait_until(lambda: heard.held[f"{TOLD}/rain_level"] == "0.20")
            del streams.now["door"]
            wait_until(lambda: heard.held == messages(broker.config(), streams()))
        finally:
            mqtt.close()
        wait_until(lambda: heard.held["streamderain/status"] == "offline")
        # The next process serves another stream, and knows nothing of this one but what the broker holds.
        streams.now = {"gate": WELL}
        mqtt = told(streams, broker)
        try:
            gone = "homeassistant/sensor/streamderain/yard_rain_level/config"
            wait_until(lambda: gone not in heard.held and "streamderain/gate/state" in heard.held)
        finally:
            mqtt.close()


def test_a_process_that_dies_is_offline_and_a_broker_that_dies_is_told_anew(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    streams = Streams()
    caplog.set_level(logging.INFO, "streamderain")
    with listening(broker) as heard:
        mqtt = told(streams, broker)
        try:
            wait_until(lambda: heard.held == messages(broker.config(), streams()))
            connection = mqtt._client.socket()
            assert isinstance(connection, socket.socket)
            connection.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: ("streamderain/status", "offline") in heard.heard)
            wait_until(lambda: heard.held["streamderain/status"] == "online")
            broker.kill()
            wait_until(lambda: not mqtt._client.is_connected() and not heard.client.is_connected())
            heard.held.clear()
            broker.start()
            wait_until(lambda: heard.held == messages(broker.config(), streams()))
        finally:
            mqtt.close()
    assert "connected" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_wrong_password_is_one_line_that_does_not_tell_it(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    config = broker.config("another-s3cr3t")
    mqtt = Mqtt(config, Streams(), look_seconds=0.01)
    try:
        wait_until(lambda: "it refuses: Not authorized; it is tried again" in caplog.text)
    finally:
        mqtt.close()
    assert "s3cr3t" not in caplog.text + repr(config)


def test_a_server_tells_of_its_streams_and_works_without_the_broker(broker: Broker) -> None:
    config = ServeConfig({"yard": StreamConfig(SOURCE)}, QUICK, port=0, mqtt=broker.config())
    with listening(broker) as heard, Server(config, Darker(by=0.2)) as server:
        wait_until(lambda: heard.held.get(f"{TOLD}/availability") == "online")
        wait_until(lambda: heard.held.get(f"{TOLD}/rain_level", "None") != "None")
        broker.kill()
        before = server.fleet["yard"].numbers().published  # type: ignore[index]
        wait_until(lambda: server.fleet["yard"].numbers().published > before + 2)  # type: ignore[index]


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match=r"mqtt needs paho-mqtt; pip install 'streamderain\[mqtt\]'"):
        Mqtt(MqttConfig("127.0.0.1"), Streams())
