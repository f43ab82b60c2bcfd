"""The streams over MQTT: whether each is there, how much it rains, and Home Assistant's discovery of that.

Every topic is retained. A broker that is away is tried again for ever, and no stream notices.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any

from streamderain import __version__
from streamderain.errors import ConfigError
from streamderain.live.numbers import LiveNumbers
from streamderain.serve.config import MqttConfig
from streamderain.stream.background import Background

if TYPE_CHECKING:
    from paho.mqtt.client import Client

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LEVEL_SECONDS = 5.0
"""The rain level changes with every frame; so often it is told."""

KEEPALIVE_SECONDS = 30
CONNECT_SECONDS = 2.0
LEAVE_SECONDS = 1.0
RETRY_SECONDS = (1, 60)

HERE, AWAY = "online", "offline"
UNKNOWN = "None"
"""What Home Assistant takes for not known."""

Now = tuple[str, str, LiveNumbers]
"""A stream's name, its state, and how it stands."""


class Mqtt:
    """Tells the broker of `streams` from the moment it is made until `close`. When this process ends by itself, the
    broker says `offline` in its stead. Raises ConfigError where the library is missing.
    """

    def __init__(
        self,
        config: MqttConfig,
        streams: Callable[[], Iterable[Now]],
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._streams = config, streams
        self._look_seconds, self._clock = look_seconds, clock
        self._place = f"mqtt://{config.host}:{config.port}"
        # What the broker holds, as far as it is known here, and when a level was told.
        self._said: dict[str, str] = {}
        self._said_at: dict[str, float] = {}
        self._is_new = False
        self._trouble: str | None = None
        self._ending: Future[None] = Future()
        self._client = self._made()
        self._client.connect_async(config.host, config.port, KEEPALIVE_SECONDS)
        self._client.loop_start()
        self._thread = Background("mqtt", self._look)

    def close(self) -> None:
        """Say `offline`, and end."""
        self._ending.set_result(None)
        self._thread.join(LEAVE_SECONDS)
        if self._client.is_connected():
            said = self._client.publish(status_topic(self._config), AWAY, 1, retain=True)
            try:
                said.wait_for_publish(LEAVE_SECONDS)
            except (RuntimeError, ValueError) as error:
                logger.debug("%s: %s", self._place, error)
        self._client.disconnect()
        self._client.loop_stop()

    def _made(self) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise ConfigError("mqtt needs paho-mqtt; pip install 'streamderain[mqtt]'") from None
        config = self._config
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = CONNECT_SECONDS
        client.reconnect_delay_set(*RETRY_SECONDS)
        client.will_set(status_topic(config), AWAY, 1, retain=True)
        if config.username is not None:
            client.username_pw_set(config.username, config.password)
        if config.tls:
            client.tls_set()
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_connect_fail = lambda client, data: self._failed("it cannot be reached")
        client.on_message = self._found
        return client

    # What follows runs in the library's thread.

    def _connected(self, client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self._failed(f"it refuses: {code}")
            return
        logger.info("%s: connected", self._place)
        self._trouble = None
        # What an earlier process left of streams that are no more is found by this.
        if self._config.discovery:
            client.subscribe(f"{self._config.discovery}/+/{self._config.prefix}/+/config")
        self._is_new = True

    def _disconnected(self, client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure and self._trouble is None:
            self._failed(f"lost: {code}")

    def _failed(self, why: str) -> None:
        """Say so once, and not at each attempt."""
        if why != self._trouble and not self._ending.done():
            logger.warning("%s: %s; it is tried again", self._place, why)
        self._trouble = why

    def _found(self, client: Client, data: Any, message: Any) -> None:
        if message.retain and message.payload:
            self._said.setdefault(message.topic, "")

    # What follows runs in a thread of its own.

    def _look(self) -> Iterator[None]:
        while not self._ending.done():
            try:
                if self._client.is_connected():
                    self._tell()
            except Exception:
                logger.exception("%s: it could not be told of the streams", self._place)
            try:
                self._ending.result(self._look_seconds)
            except NotYet:
                continue
        yield from ()

    def _tell(self) -> None:
        """Publish what the broker does not hold, and take back what is no more."""
        if self._is_new:
            self._is_new = False
            self._said_at.clear()
            self._said = dict.fromkeys(list(self._said), "")
        wanted = messages(self._config, list(self._streams()))
        for topic in [each for each in list(self._said) if each not in wanted]:
            self._client.publish(topic, b"", 1, retain=True)
            self._said.pop(topic)
        for topic, text in wanted.items():
            if self._said.get(topic) != text and self._is_due(topic):
                self._client.publish(topic, text, 1, retain=True)
                self._said[topic] = text

    def _is_due(self, topic: str) -> bool:
        now = self._clock()
        if topic.endswith("/rain_level") and now - self._said_at.get(topic, float("-inf")) < LEVEL_SECONDS:
            return False
        self._said_at[topic] = now
        return True


def status_topic(config: MqttConfig) -> str:
    """Where it says whether the process is there."""
    return f"{config.prefix}/status"


def messages(config: MqttConfig, streams: Iterable[Now]) -> dict[str, str]:
    """All topics and what they hold: of each stream `PREFIX/NAME/` with `availability` (online while pictures come),
    `state`, `rain_level` in percent of the light, and `raining`, ON or OFF.
    """
    told = {status_topic(config): HERE}
    for name, state, now in streams:
        base = f"{config.prefix}/{name}"
        level, rains = now.rain_level, now.raining
        told[f"{base}/availability"] = HERE if now.connected else AWAY
        told[f"{base}/state"] = state
        told[f"{base}/rain_level"] = UNKNOWN if level is None else f"{100 * level:.2f}"
        told[f"{base}/raining"] = UNKNOWN if rains is None else "ON" if rains else "OFF"
        if config.discovery:
            told |= _discovery(config, name)
    return told


def _discovery(config: MqttConfig, name: str) -> dict[str, str]:
    """What Home Assistant makes entities of, as its MQTT integration's documentation says."""
    base = f"{config.prefix}/{name}"
    process, stream = {"topic": status_topic(config)}, {"topic": f"{base}/availability"}
    device = {
        "identifiers": [f"{config.prefix}_{name}"], "name": f"{config.prefix} {name}", "manufacturer": "streamderain",
        "sw_version": __version__,
    }  # fmt: skip
    both = {"availability": [process, stream]}
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "rain_level"): {
            "name": "Rain level", "unit_of_measurement": "%", "state_class": "measurement",
            "suggested_display_precision": 2, "icon": "mdi:weather-rainy", **both,
        },
        ("binary_sensor", "raining"): {"name": "Raining", "device_class": "moisture", **both},
        ("binary_sensor", "availability"): {
            "name": "Camera", "device_class": "connectivity", "payload_on": HERE, "payload_off": AWAY,
            "availability": [process],
        },
    }  # fmt: skip
    return {
        f"{config.discovery}/{kind}/{config.prefix}/{name}_{what}/config": json.dumps(
            {**entity, "unique_id": f"{config.prefix}_{name}_{what}", "state_topic": f"{base}/{what}",
             "availability_mode": "all", "device": device}
        )
        for (kind, what), entity in entities.items()
    }  # fmt: skip
