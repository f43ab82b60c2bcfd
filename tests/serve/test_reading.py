"""The file that says what is served."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import yaml

from streamderain.config import LiveConfig
from streamderain.errors import ConfigError
from streamderain.serve.config import MqttConfig, StreamConfig
from streamderain.serve.reading import SETTINGS, SHARED, UNSERVED, read, stream_config, summary
from tests.secrets import FORMS, SECRET

CONFIGS = Path(__file__).parent.parent.parent / "configs"

WHOLE = """
host: 0.0.0.0
port: ${PORT}
token: ${TOKEN}
max_batch: 4
defaults: {model: fast, max_latency: 0.3, segment: 10m, retries: 3}
streams:
  yard:
    source: rtsp://viewer:${PASSWORD}@10.0.0.5/stream
    outputs: [rtsp://127.0.0.1:8554/yard, yard.mkv]
    strength: 1
  door: {source: 0, outputs: door.mkv, retries: null, segment: null}
  demo:
    source: test
"""
ENVIRONMENT = {"PORT": "9000", "TOKEN": "12345678", "PASSWORD": "hunter2secret", "TEXT": "x"}


def reading(folder: Path, text: str) -> object:
    path = folder / "serve.yaml"
    path.write_text(text)
    return read(path, ENVIRONMENT)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        reading(folder, text)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'serve.yaml'}: ")
    assert "\n" not in message
    return message


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text(WHOLE)
    config = read(tmp_path / "serve.yaml", ENVIRONMENT)
    assert (config.host, config.port, config.token, config.max_batch) == ("0.0.0.0", 9000, "12345678", 4)
    assert config.defaults == LiveConfig(model="fast", max_latency=0.3, segment="10m", retries=3)
    assert config.streams == {
        "yard": StreamConfig(
            "rtsp://viewer:hunter2secret@10.0.0.5/stream", ("rtsp://127.0.0.1:8554/yard", "yard.mkv"), {"strength": 1.0}
        ),
        "door": StreamConfig("0", ("door.mkv",), {"retries": None, "segment": None}),
        "demo": StreamConfig("test"),
    }
    told = "\n".join(summary(config))
    assert "yard: rtsp://***@10.0.0.5/stream -> rtsp://127.0.0.1:8554/yard, yard.mkv, strength: 1.0" in told
    assert "hunter2secret" not in told
    assert "12345678" not in told


def test_brokers_and_webhooks_are_told_without_their_secrets(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text("mqtt: {host: broker, username: me, password: '${PASSWORD}', tls: true}")
    config = read(tmp_path / "serve.yaml", ENVIRONMENT)
    assert config.mqtt == MqttConfig("broker", 8883, "me", "hunter2secret", True)
    assert summary(config)[1] == "mqtt: broker:8883"
    assert "hunter2secret" not in repr(config) + "".join(summary(config))
    (tmp_path / "serve.yaml").write_text("webhooks: https://chat.example.org/services/${PASSWORD}")
    config = read(tmp_path / "serve.yaml", ENVIRONMENT)
    assert config.webhooks == ("https://chat.example.org/services/hunter2secret",)
    assert summary(config)[1] == "webhook: https://chat.example.org/***"
    assert "hunter2secret" not in repr(config)
    (tmp_path / "serve.yaml").write_text("mqtt: {host: broker, discovery: null}")
    assert read(tmp_path / "serve.yaml").mqtt == MqttConfig("broker", discovery=None)


def test_an_empty_file_serves_nothing_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").touch()
    config = read(tmp_path / "serve.yaml")
    assert (config.streams, config.defaults, config.host, config.token) == ({}, LiveConfig(), "127.0.0.1", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hots: 127.0.0.1", "no setting is called hots; did you mean host?"),
        ("webhooks: 5", "webhooks is no list of URLs"),
        ("webhooks: [https://a/x, ftp://hunter2secret@b/hunter2secret]", "webhooks: ftp://b/*** is no URL of http"),
        ("webhooks: [hunter2secret]", "webhooks: one is no URL of http or https"),
        ("streams: {a: {source: test, outputs: [x.mkv], on_demand: true}}", "stream a: on_demand counts who watches"),
        ("mqtt: {port: 1883}", "mqtt: it has no host"),
        ("mqtt: {host: a, pot: 1}", "mqtt: no setting is called pot; did you mean port?"),
        ("mqtt: {host: a, port: 0}", "mqtt: port is 0; allowed: 1 to 65535"),
        ("mqtt: {host: a, username: me, password: 4711}", "mqtt: the password is no text"),
        ("mqtt: {host: a, password: hunter2secret}", "mqtt: there is a password and no username"),
        ("mqtt: {host: a, prefix: a/b}", "mqtt: prefix is a/b"),
        ("mqtt: {host: a, tls: 1}", "mqtt: tls is neither true nor false"),
        ("defaults: {max_latancy: 1}", "no setting is called max_latancy; did you mean max_latency?"),
        ("streams: {a: {source: test, outputs: [], sauce: 1}}", "stream a: no setting is called sauce; did you mean "
                                                                 "source?"),
        ("port: 8090\nport: 8091", "line 2: port stands there twice"),
        ("streams:\n  a: {source: test}\n  b: {source: test}\n  a: {source: test}", "line 4: a stands there twice"),
        ("streams: {a b: {source: test}}", "a b is no name of a stream"),
        ("streams: {1: {source: test}}", "1 is no name of a stream; allowed: a text"),
        ("streams: [a]", "streams holds list; expected lines of key: value"),
        ("streams: {a: test}", "stream a holds str"),
        ("- a", "the file holds list"),
        ("a: [", "line 1 is no YAML"),
        ("a: 2024-99-99", "it is no YAML"),
        ("host: ${NOBODY}", "${NOBODY} is not in the environment"),
        ("host: 5", "host is 5; expected text"),
        ("port: 70000", "port is 70000; allowed: 0 to 65535"),
        ("port: true", "port is True"),
        ("max_batch: -1", "max_batch is -1; allowed: 0 to 64"),
        ("token: short", "the token is no text of 8 letters or more"),
        ("token: 1234567890", "the token is no text"),
        ("view_token: short", "the view_token is no text of 8 letters or more"),
        ("tls_key: key.pem", "a key needs its certificate"),
        ("tls_cert: 5", "tls_cert is 5; expected text"),
        ("token: '         '", "the token is no text"),
        ("defaults: {strength: 2}", "strength is 2.0; allowed: 0 to 1"),
        ("defaults: {preview: '1'}", "preview is no setting here: host and port stand at the top"),
        ("defaults: {overwrite: true}", "overwrite is no setting here"),
        ("streams: {a: {source: test, model: fast}}", "stream a: model is for all streams"),
        ("streams: {a: {source: test, crf: x}}", "stream a: crf is 'x'; expected int or nothing"),
        ("streams: {a: {}}", "stream a: it has no source"),
        ("streams: {a: {source: true}}", "stream a: it has no source"),
        ("streams: {a: {source: test, outputs: [1]}}", "stream a: outputs is no list of names"),
        ("streams: {a: {source: test, outputs: {b: c}}}", "stream a: outputs is no list of names"),
        ("streams: {a: {source: 'test:1x1'}}", "stream a: test:1x1 is no test picture"),
        ("streams: {a: {source: 'rtps://x'}}", "stream a: rtps://x is of an unknown kind"),
        ("streams: {a: {source: a.mp4}}", "stream a: a.mp4 is a file, not live; realtime: true reads it"),
        ("streams: {a: {source: test, outputs: [x.mkv, x.mkv]}}", "x.mkv is an output of a and of a"),
        ("streams: {a: {source: test, outputs: [x.mkv]}, b: {source: test, outputs: ./x.mkv}}",
         "./x.mkv is an output of a and of b; each needs its own"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_line_that_says_why(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refused(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "token: *hunter2secret",
        "token: !hunter2secret x",
        "token: %hunter2secret",
        "token: [hunter2secret",
        "token: [hunter2secret]",
        "streams: {a: {source: 'rtps://me:${PASSWORD}@camera/x'}}",
        "streams: {a: {source: 'srtp://camera:1?passphrase=${PASSWORD}'}}",
        "streams: {a: {source: 'http://me:${PASSWORD}@camera/x.mp4'}}",
        "streams: {a: {source: test, outputs: ['rtsp://me:${PASSWORD}@x/y', 'rtsp://me:${PASSWORD}@x/y']}}",
        "defaults: {model: 'http://me:${PASSWORD}@x', strength: 'http://me:${PASSWORD}@x'}",
        "host: ['http://me:${PASSWORD}@x']",
        "streams: {'rtsp://me:hunter2secret@x': {source: test}}",
    ],
)
def test_no_error_tells_a_password(tmp_path: Path, text: str) -> None:
    (tmp_path / "serve.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "serve.yaml", ENVIRONMENT)
    assert "hunter2secret" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read: No such file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "serve.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="it is no text in UTF-8"):
        read(tmp_path / "serve.yaml")


def test_a_file_in_real_time_is_a_source(tmp_path: Path) -> None:
    values = {"source": "a.mp4", "realtime": True}
    assert stream_config("a", values, LiveConfig()) == StreamConfig("a.mp4", (), {"realtime": True})
    assert stream_config("a", {"source": "a.mp4"}, LiveConfig(realtime=True)).source == "a.mp4"


def test_every_setting_is_of_a_stream_of_all_or_of_none() -> None:
    from dataclasses import fields

    assert sorted((*SETTINGS, *SHARED, *UNSERVED)) == sorted(each.name for each in fields(LiveConfig))


def test_what_is_checked_tells_no_secret(tmp_path: Path) -> None:
    forms = [form for form in FORMS if not form.startswith("srt")]
    streams: dict[str, dict[str, object]] = {
        f"s{number}": {"source": form, "outputs": [form]} for number, form in enumerate([*forms, forms[-1]])
    }
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump({"streams": streams}))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "serve.yaml")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    streams = {name: {"source": stream["source"]} for name, stream in streams.items()}
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump({"streams": streams}))
    told = summary(read(tmp_path / "serve.yaml"))
    assert len(told) == len(forms) + 2
    assert SECRET not in "".join(told)


@pytest.mark.parametrize("form", FORMS)
def test_no_fault_of_a_stream_tells_a_secret(form: str) -> None:
    for values in (
        {"source": f"rtps{form[form.index('://') :]}"}, {"source": f"/{form}"}, {"source": form, "outputs": 5},
        {"source": form, form: 5}, {"source": form, "crf": form}, {"source": form, "transport": form},
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            stream_config("a", values, LiveConfig())
        assert SECRET not in "".join(traceback.format_exception(caught.value))
