"""A YAML file -> ServeConfig; strict, and silent about passwords."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from streamderain.config import LiveConfig, build
from streamderain.errors import ConfigError, SinkError, SourceError, nearest
from streamderain.media.address import parse
from streamderain.media.encoder import encoding_of
from streamderain.media.outlet import try_outputs
from streamderain.media.url import public, redacted
from streamderain.serve.config import MqttConfig, ServeConfig, StreamConfig, shown

SHARED = ("model", "device", "backend", "precision", "memory")
"""Settings of the one network; all streams have them in common."""

UNSERVED = {
    "preview": "host and port stand at the top of the file",
    "token": "it stands at the top of the file",
    "view_token": "it stands at the top of the file",
    "tls_cert": "it stands at the top of the file",
    "tls_key": "it stands at the top of the file",
    "compare": "it is for files",
    "via_ffmpeg": "it is for files; srt:// outputs need it not",
    "overwrite": "a recording that exists is never replaced here, the new one gets a number",
}
"""Settings of LiveConfig that no stream has here, and why."""

SETTINGS = tuple(each.name for each in dataclasses.fields(LiveConfig) if each.name not in (*SHARED, *UNSERVED))
"""Settings that each stream may have for itself."""

NAME = "[A-Za-z0-9_-]{1,60}"
"""What a stream may be called, as a regular expression."""

SETTLED_SECONDS, SETTLED_TRIES = 0.2, 10
"""A file that says the same after this long is whole; so often that is looked at."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TOP = (
    "host", "port", "token", "view_token", "tls_cert", "tls_key",
    "max_batch", "mqtt", "webhooks", "defaults", "streams",
)  # fmt: skip
_MQTT = tuple(each.name for each in dataclasses.fields(MqttConfig))


def read(path: Path, environment: Mapping[str, str] = os.environ) -> ServeConfig:
    """The file, `${NAME}` in its texts replaced by that variable. Raises ConfigError, which names the file."""
    try:
        return _config(_filled(_document(path), environment))
    except ConfigError as error:
        # Without its cause, which may tell what is redacted here.
        raise ConfigError(redacted(f"{path}: {error}")) from None


def stream_config(name: str, values: Mapping[str, Any], defaults: LiveConfig) -> StreamConfig:
    """One stream: `source`, `outputs` and settings. Raises ConfigError for what can never work."""
    check_name(name)
    try:
        return _stream(values, defaults)
    except (ConfigError, SourceError) as error:
        raise ConfigError(redacted(f"stream {name}: {error}")) from None


def read_again(path: Path, streams: int, wait: Callable[[float], None] = time.sleep) -> ServeConfig:
    """The file that was changed while `streams` are served, once it is whole. Raises ConfigError for what `read` does,
    for a file that somebody still writes, and for one that lists nothing and does not say that it means that.
    """
    text = _bytes(path)
    for _ in range(SETTLED_TRIES):
        wait(SETTLED_SECONDS)
        before, text = text, _bytes(path)
        if text == before:
            break
    else:
        raise ConfigError(f"{path}: it is still being written; send the signal when it is whole")
    config = read(path)
    if streams and not config.streams and not isinstance(_document(path).get("streams"), dict):
        raise ConfigError(f"{path}: it lists no streams, and {streams} run; `streams: {{}}` stops them all")
    return config


def _bytes(path: Path) -> bytes | None:
    """What is in the file; None where it cannot be read, of which `read` says why."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def try_streams(streams: Mapping[str, StreamConfig], defaults: LiveConfig) -> None:
    """Raise ConfigError where the encoder of one refuses, or its recordings cannot be written."""
    for name, asked in streams.items():
        config = dataclasses.replace(defaults, **asked.settings)
        try:
            try_outputs(asked.outputs, encoding_of(config))
        except SinkError as error:
            raise ConfigError(redacted(f"stream {name}: {error}")) from None


def check_name(name: object) -> None:
    """Raise ConfigError for what no stream can be called."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        shown = str(name)[:60]
        raise ConfigError(f"{shown} is no name of a stream; allowed: a text of 1 to 60 of A-Z, a-z, 0-9, _ and -")


def check_apart(streams: Mapping[str, StreamConfig]) -> None:
    """Raise ConfigError where two outputs are the same, so that one would spoil the other."""
    owners: dict[str, str] = {}
    for name, stream in streams.items():
        for output in stream.outputs:
            place = output if "://" in output else os.path.abspath(output)
            if owner := owners.get(place):
                raise ConfigError(f"{public(output)} is an output of {owner} and of {name}; each needs its own")
            owners[place] = name


def _config(values: Mapping[str, Any]) -> ServeConfig:
    _known(values, _TOP)
    if values.get("tls_key") is not None and values.get("tls_cert") is None:
        raise ConfigError("tls_key is set and tls_cert is not; a key needs its certificate")
    defaults = build(LiveConfig, **_settings(_mapping(values, "defaults"), (*SETTINGS, *SHARED)))
    streams = {
        name: stream_config(name, _mapping({"": each}, "", f"stream {name}"), defaults)
        for name, each in _mapping(values, "streams").items()
    }
    check_apart(streams)
    plain = ServeConfig(streams, defaults)
    return dataclasses.replace(
        plain,
        host=_text("host", values.get("host", plain.host)),
        port=_whole("port", values.get("port", plain.port), 0, 65535),
        token=_token("token", values.get("token")),
        view_token=_token("view_token", values.get("view_token")),
        tls_cert=_file(values, "tls_cert"),
        tls_key=_file(values, "tls_key"),
        max_batch=_whole("max_batch", values.get("max_batch", plain.max_batch), 0, 64),
        mqtt=_mqtt(_mapping(values, "mqtt")) if values.get("mqtt") is not None else None,
        webhooks=_webhooks(values.get("webhooks")),
    )


def _webhooks(value: Any) -> tuple[str, ...]:
    """URLs, whose ends are often secret, so that no message shows them."""
    urls = [value] if isinstance(value, str) else value or []
    if not isinstance(urls, list) or not all(isinstance(each, str) for each in urls):
        raise ConfigError("webhooks is no list of URLs; expected for example [https://example.org/hook]")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"webhooks: {shown(url) if '://' in url else 'one'} is no URL of http or https")
    return tuple(urls)


def _mqtt(values: Mapping[str, Any]) -> MqttConfig:
    """The broker; no message shows its password."""
    try:
        _known(values, _MQTT)
    except ConfigError as error:
        raise ConfigError(f"mqtt: {error}") from None
    tls, plain, discovery = values.get("tls", False), MqttConfig(""), values.get("discovery", "homeassistant")
    if not isinstance(tls, bool):
        raise ConfigError("mqtt: tls is neither true nor false")
    if not isinstance(values.get("host"), str) or not values["host"]:
        raise ConfigError("mqtt: it has no host; expected for example {host: 127.0.0.1, port: 1883}")
    for key in ("username", "password"):
        if values.get(key) is not None and not isinstance(values[key], str):
            raise ConfigError(f"mqtt: the {key} is no text; in quotes, digits are text too")
    if values.get("password") is not None and values.get("username") is None:
        raise ConfigError("mqtt: there is a password and no username; MQTT wants both")
    prefix = values.get("prefix", plain.prefix)
    for key, text in (("prefix", prefix), ("discovery", discovery)):
        # null turns discovery off.
        if not (isinstance(text, str) and re.fullmatch(NAME, text)) and not (key == "discovery" and text is None):
            raise ConfigError(f"mqtt: {key} is {str(text)[:60]}; allowed: 1 to 60 of A-Z, a-z, 0-9, _ and -")
    port = _whole("mqtt: port", values.get("port", 8883 if tls else plain.port), 1, 65535)
    return MqttConfig(values["host"], port, values.get("username"), values.get("password"), tls, prefix, discovery)


def _stream(values: Mapping[str, Any], defaults: LiveConfig) -> StreamConfig:
    own = dict(values)
    source, outputs = own.pop("source", None), own.pop("outputs", None) or ()
    outputs = [outputs] if isinstance(outputs, str) else outputs
    # A camera's number is one in YAML too.
    source = str(source) if isinstance(source, int) and not isinstance(source, bool) else source
    if not isinstance(source, str) or not source:
        raise ConfigError("it has no source; expected a URL, a camera's number, screen, whip, test or a file")
    if not isinstance(outputs, list | tuple) or not all(isinstance(each, str) and each for each in outputs):
        raise ConfigError("outputs is no list of names; expected for example [rtsp://127.0.0.1:8554/clean]")
    asked = StreamConfig(source, tuple(outputs), _settings(own, SETTINGS, ("source", "outputs")))
    config = dataclasses.replace(defaults, **asked.settings)
    config.check_demand(outputs)
    if not parse(source).is_live and not config.realtime:
        raise ConfigError(f"{public(source)} is a file, not live; realtime: true reads it at the pace of its times")
    return asked


def _settings(values: Mapping[str, Any], allowed: tuple[str, ...], besides: tuple[str, ...] = ()) -> dict[str, Any]:
    """`values` as fields of LiveConfig hold them."""
    for key in values:
        if key in SHARED and key not in allowed:
            raise ConfigError(f"{key} is for all streams, as one network serves them; set it in defaults")
        if key in UNSERVED:
            raise ConfigError(f"{key} is no setting here: {UNSERVED[key]}")
    _known(values, (*allowed, *besides))
    fitted = build(LiveConfig, **values)
    return {key: None if value is None else getattr(fitted, key) for key, value in values.items()}


def _known(values: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"no setting is called {str(key)[:60]}{nearest(str(key), known)}")


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}; name the YAML file that lists the streams") from None
    except UnicodeDecodeError:
        raise ConfigError("it is no text in UTF-8; expected YAML") from None
    try:
        document = yaml.load(text, _Loader)
    except ConfigError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # Without what PyYAML says: it may quote a password that begins with a sign.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "it"
        raise ConfigError(
            f"{where} is no YAML; no line begins with a tab, and a text with signs needs quotes"
        ) from None
    return _mapping({"": document}, "", "the file")


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice: PyYAML would keep the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConfigError(f"line {key.start_mark.line + 1}: {key.value[:60]} stands there twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _mapping(values: Mapping[str, Any], key: str, named: str = "") -> dict[str, Any]:
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{named or key} holds {type(value).__name__}; expected lines of key: value")
    return value


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    """`value` with variables in its texts; keys stay as they are."""

    def found(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ConfigError(f"${{{match[1]}}} is not in the environment; set it, or write the value there")
        return environment[match[1]]

    if isinstance(value, dict):
        return {key: _filled(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    return _VARIABLE.sub(found, value) if isinstance(value, str) else value


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{key} is {value!r}; expected text")
    return value


def _file(values: Mapping[str, Any], key: str) -> Path | None:
    return None if values.get(key) is None else Path(_text(key, values[key]))


def _token(key: str, value: Any) -> str | None:
    """A token, which no message shows."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value.strip()) < 8:
        raise ConfigError(f"the {key} is no text of 8 letters or more; in quotes, digits are text too")
    return value


def _whole(key: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{key} is {value!r}; allowed: {least} to {most}")
    return value


def summary(config: ServeConfig) -> list[str]:
    """Lines that tell what a config serves, without passwords."""
    lines = [f"{config.host}:{config.port}, {'with' if config.token else 'without'} a token"]
    if config.mqtt:
        lines.append(f"mqtt: {config.mqtt.host}:{config.mqtt.port}")
    lines += [f"webhook: {shown(url)}" for url in config.webhooks]
    for name, stream in config.streams.items():
        outputs = ", ".join(map(public, stream.outputs)) or "the page alone"
        own = "".join(f", {key}: {value}" for key, value in stream.settings.items())
        lines.append(f"{name}: {public(stream.source)} -> {outputs}{own}")
    return lines
