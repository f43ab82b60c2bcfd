"""What a file of many streams says, beside the settings that each of them has."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streamderain.config import LiveConfig


@dataclass(frozen=True)
class StreamConfig:
    """One stream of many: where it comes from, where it goes, and its `settings`, fields of LiveConfig, of its own."""

    source: str
    outputs: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MqttConfig:
    """A broker that is told of the streams. All topics begin with `prefix`; those of Home Assistant's discovery with
    `discovery`, None for none.
    """

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    prefix: str = "streamderain"
    discovery: str | None = "homeassistant"


@dataclass(frozen=True)
class ServeConfig:
    """Many streams behind one port. `defaults` holds for all of them; one network runs them all."""

    streams: dict[str, StreamConfig]
    defaults: LiveConfig
    host: str = "127.0.0.1"
    port: int = 8090
    token: str | None = None
    view_token: str | None = None
    """The token of those who may look and change nothing."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """PEM files; with them the port speaks HTTPS alone."""
    max_batch: int = 0
    """Frames of several streams that go through the network together; 0 picks 1 on a CPU, which gains nothing by more,
    and 8 on a GPU.
    """
    mqtt: MqttConfig | None = None
    webhooks: tuple[str, ...] = field(default=(), repr=False)
    """URLs that are told of what is lost, back, or full."""


def shown(webhook: str) -> str:
    """What of its URL may be told: scheme and host, as the path is the key of many."""
    parts = urlsplit(webhook)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/***"
