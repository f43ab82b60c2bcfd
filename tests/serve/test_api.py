"""The API over HTTP, and whether its document tells the truth."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from streamderain.cli.app import app
from streamderain.config import LiveConfig
from streamderain.errors import ConfigError
from streamderain.serve import schemas
from streamderain.serve.api import OPERATIONS, Api
from streamderain.serve.config import ServeConfig, StreamConfig
from streamderain.serve.reading import read_again
from streamderain.serve.server import Server
from tests.live.networks import Darker
from tests.secrets import FORMS, SECRET
from tests.serve.asking import QUICK, SOURCE, ask, published, refusal, serving
from tests.waiting import wait_until


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(front=StreamConfig(SOURCE)) as server:
        yield server


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Where a value is not what a JSON schema says; knows the words that are used here, and no others."""
    if reference := schema.get("$ref"):
        return faults(value, document["components"]["schemas"][reference.rpartition("/")[2]], document)
    if choices := schema.get("anyOf"):
        return [] if any(not faults(value, each, document) for each in choices) else [f"{value} is none of {choices}"]
    known = {"type", "title", "description", "default", "properties", "required", "additionalProperties", "items"}
    assert set(schema) <= known | {"minimum", "maximum"}, schema
    kinds: dict[str, tuple[type, ...]] = {
        "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
        "boolean": (bool,), "null": (type(None),),
    }  # fmt: skip
    if not isinstance(value, kinds[schema["type"]]):
        return [f"{value} is no {schema['type']}"]
    if isinstance(value, list):
        return [fault for each in value for fault in faults(each, schema["items"], document)]
    if not isinstance(value, dict):
        return []
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    found = [f"{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, each in value.items():
        if name in properties or isinstance(others, dict):
            found += faults(each, properties.get(name, others), document)
        else:
            # More than it says would be allowed, and is not meant.
            found.append(f"{name} is not described")
    return found


def test_a_schema_finds_faults() -> None:
    document: dict[str, Any] = {"components": {"schemas": {"A": {"type": "object", "required": ["a"]}}}}
    assert faults({}, {"$ref": "#/components/schemas/A"}, document) == ["a is missing"]
    assert faults(["x"], {"type": "array", "items": {"type": "integer"}}, document) == ["x is no integer"]
    assert faults({"b": 1}, {"type": "object", "properties": {}}, document) == ["b is not described"]


def test_every_operation_answers_as_its_document_says(server: Server) -> None:
    wait_until(lambda: published(server, "front") > 2)
    document = ask(server.url, "/openapi.json").body
    bodies: dict[tuple[str, str], object] = {
        ("put", "/api/streams/{name}"): {"source": SOURCE, "crf": 30},
        ("post", "/api/streams/{name}/settings"): {"strength": 0.5},
    }
    seen = set()
    # Last of all it is deleted.
    operations = [(path, *each) for path, methods in document["paths"].items() for each in methods.items()]
    for path, method, operation in sorted(operations, key=lambda each: each[1] == "delete"):
        endless = path.endswith(".mjpg")
        if path.endswith("snapshot.jpg"):
            wait_until(lambda: published(server, "front") > 0)
        answer = ask(
            server.url, path.replace("{name}", "front"), method.upper(), bodies.get((method, path)),
            most=9 if endless else -1,
        )  # fmt: skip
        seen.add((answer.status, path, method))
        told = operation["responses"].get(str(answer.status)) or operation["responses"]["default"]
        if answer.status == 204:
            assert answer.body == ""
            continue
        schema = told["content"][answer.type].get("schema")
        assert not (schema and faults(answer.body, schema, document)), (path, method)
    refused = {(path, method) for status, path, method in seen if status >= 400}
    # There is no file here, nor a recording, and a GET of the page makes no offer.
    nothing_there = ("/streams/{name}/recordings/{number}/{file}", "get")
    no_viewer = {("/streams/{name}/whep", "post"), ("/streams/{name}/whep/{viewer}", "delete")}
    no_viewer |= {("/streams/{name}/whip", "post"), ("/streams/{name}/whip/{publisher}", "delete")}
    assert refused == {("/api/reload", "post"), ("/offer", "post"), nothing_there, *no_viewer}


def test_a_snapshot_of_a_stream_that_nobody_watched_is_derained_all_the_same() -> None:
    asked = StreamConfig(SOURCE, settings={"on_demand": True})
    with serving(Darker(by=0.4), front=asked) as server:
        wait_until(lambda: published(server, "front") > 2)
        for _ in range(4):
            rainy, clean = (
                ask(server.url, f"/streams/front/snapshot.jpg{query}").body.encode("latin-1")
                for query in ("?rainy=1", "")
            )
            brightness = [
                float(cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR).mean()) for each in (rainy, clean)
            ]
            assert brightness[1] < brightness[0] - 20


def test_every_route_is_in_the_document_and_nothing_else(server: Server) -> None:
    from streamderain.preview.handlers import ASSETS, Handlers, Streams

    routes = [*Api(server).routes(), *Handlers(Streams(1), None, 1.0).routes()]
    served = {(route.method, route.path) for route in routes if route.path not in ASSETS}
    assert {(each.method, each.path) for each in OPERATIONS} == served


def test_without_the_token_nothing_is_told_but_health(server: Server) -> None:
    for each in OPERATIONS:
        answer = ask(server.url, each.path.replace("{name}", "front"), each.method, token=None)
        if each.path == "/healthz":
            assert answer.status == 200
        else:
            refusal(answer, 401)
    refusal(ask(server.url, "/metrics", token="only for them"), 401)
    document = ask(server.url, "/openapi.json").body
    open_to_all = [path for path, methods in document["paths"].items() if methods.get("get", {}).get("security") == []]
    assert open_to_all == ["/healthz"]
    assert ask(server.url, "/api/streams").body[0]["name"] == "front"


def test_a_stream_is_put_changed_restarted_and_deleted(server: Server) -> None:
    assert server.fleet
    body = {"source": SOURCE, "outputs": []}
    new = ask(server.url, "/api/streams/back", "PUT", body)
    assert (new.status, new.body["name"], new.body["numbers"]["source"]) == (201, "back", SOURCE)
    run = server.fleet["back"].run
    assert ask(server.url, "/api/streams/back", "PUT", body).status == 200
    assert server.fleet["back"].run is run
    changed = ask(server.url, "/api/streams/back", "PUT", {**body, "strength": 0.5, "segment": None})
    assert (changed.status, changed.body["settings"]["strength"]) == (200, 0.5)
    assert server.fleet["back"].run is not run
    assert ask(server.url, "/api/streams/back/settings", "POST", {"blend": 0.25}).body["blend"] == 0.25
    run = server.fleet["back"].run
    assert ask(server.url, "/api/streams/back/restart", "POST").status == 202
    assert server.fleet["back"].run is not run
    wait_until(lambda: published(server, "back") > 2)
    assert ask(server.url, "/api/streams/back", "DELETE").status == 204
    assert [each["name"] for each in ask(server.url, "/api/streams").body] == ["front"]
    assert "did you mean front?" in refusal(ask(server.url, "/api/streams/fromt", "DELETE"), 404)
    assert "did you mean front?" in refusal(ask(server.url, "/api/streams/fromt/restart", "POST"), 404)
    refusal(ask(server.url, "/api/streams/back"), 404)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body: Invalid JSON"),
        (b"[" * 5000, "the body: Invalid JSON"),
        (b"\xff", "the body: Invalid JSON"),
        ([], "the body: "),
        ({}, "source: Field required"),
        ({"source": 0}, "source: Input should be a valid string"),
        ({"source": "test", "strength": "1"}, "strength: Input should be a valid number"),
        ({"source": "test", "sauce": 1}, "no setting is called sauce; did you mean source?"),
        ({"source": "test", "model": "fast"}, "no setting is called model"),
        ({"source": "test", "strength": 2}, "stream x: strength is 2.0; allowed: 0 to 1"),
        ({"source": "x" * 300}, "stream x: " + "x" * 300 + " is a file, not live"),
        ({"source": "none.mp4"}, "stream x: none.mp4 is a file, not live"),
        ({"source": "test", "outputs": ["none/x.mkv"]}, "stream x: none is no folder that exists"),
        ({"source": "test", "outputs": ["x"] * 17}, "outputs: List should have at most 16 items"),
        ({"source": "test", "outputs": ["udp://127.0.0.1:1"]}, "udp://127.0.0.1:1 is an output of front and of x"),
        ({"source": "http://me:hunter2@x/y.mp4"}, "stream x: http://***@x/y.mp4 is a file"),
    ],
)
def test_what_cannot_be_put_is_refused_in_a_line(body: object, reason: str) -> None:
    with serving(front=StreamConfig(SOURCE, ("udp://127.0.0.1:1",))) as server:
        why = refusal(ask(server.url, "/api/streams/x", "PUT", body), 400)
        assert why.startswith(reason)
        assert "hunter2" not in why
        assert [each["name"] for each in ask(server.url, "/api/streams").body] == ["front"]


def test_other_requests_are_refused_in_a_line_too(server: Server) -> None:
    assert "a b is no name" in refusal(ask(server.url, "/api/streams/a%20b", "PUT", {"source": "test"}), 400)
    refusal(ask(server.url, "/api/streams/x", "PUT", b"x" * 100_000), 413)
    refusal(ask(server.url, "/api/streams/x", "POST", b"{}"), 405)
    refusal(ask(server.url, "/nothing"), 404)
    assert "no file to read again" in refusal(ask(server.url, "/api/reload", "POST"), 400)


def test_reload_reads_again_and_a_bad_file_changes_nothing(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    front, bad = StreamConfig(SOURCE), StreamConfig(SOURCE, (str(tmp_path / "none" / "x.mkv"),))
    answers: list[ServeConfig | ConfigError] = [
        ServeConfig({"front": front, "back": StreamConfig(SOURCE)}, QUICK),
        ServeConfig({"bad": bad}, QUICK),
        ConfigError("serve.yaml: it is no YAML"),
        ServeConfig({"front": front}, LiveConfig(preset="ultrafast", blend=0.0, model="best"), max_batch=2),
    ]

    def reread(streams: int) -> ServeConfig:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    with serving(reread=reread, front=front) as server:
        assert server.fleet
        run = server.fleet["front"].run
        reloaded = ask(server.url, "/api/reload", "POST")
        assert reloaded.status == 200
        assert reloaded.body["streams"] == ["front", "back"]
        assert "stream bad: " in refusal(ask(server.url, "/api/reload", "POST"), 400)
        assert refusal(ask(server.url, "/api/reload", "POST"), 400) == "serve.yaml: it is no YAML"
        assert len(ask(server.url, "/api/streams").body) == 2
        assert ask(server.url, "/api/reload", "POST").body == {"streams": ["front"], "failed": {}}
        assert "port, token, max_batch, model will change at the next start" in caplog.text
        assert server.fleet["front"].run is run
        assert server.fleet.defaults.model == "default"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"encoder": "libx246"}, "no encoder is called libx246"),
        ({"crf": 99}, "crf is 99; allowed: 0 to 63"),
        ({"preset": "warp"}, "libx264 refuses"),
        ({"encoder_option": {"turbo": "1"}}, "libx264 has no option turbo"),
        ({"outputs": ["none/out.mkv"]}, "is no folder that exists"),
        ({"outputs": ["/proc/out.mkv"]}, "cannot be written"),
        ({"outputs": ["/proc/hls/"]}, "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_alike_by_put_reload_and_check(
    fault: dict[str, Any], reason: str, server: Server, tmp_path: Path
) -> None:
    stream = {"source": SOURCE, **fault}
    assert reason in refusal(ask(server.url, "/api/streams/front", "PUT", stream), 400)
    assert list(server.fleet.asked if server.fleet else ()) == ["front"]
    path = tmp_path / "serve.yaml"
    path.write_text(yaml.safe_dump({"streams": {"front": stream}}))
    assert reason in str(CliRunner().invoke(app, ["serve", str(path), "--check"]).exception)
    server._reread = lambda streams: read_again(path, streams, lambda seconds: None)
    assert server.fleet
    run = server.fleet["front"].run
    assert reason in refusal(ask(server.url, "/api/reload", "POST"), 400)
    assert server.fleet["front"].run is run


@pytest.mark.parametrize("text", ["", "\n", "# all of it\n", "port: 8090\n", "streams:\n", "streams:\n  front:\n"])
def test_a_file_that_lists_nothing_stops_nothing(text: str, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(text)
    server._reread = lambda streams: read_again(path, streams, lambda seconds: None)
    assert str(path) in refusal(ask(server.url, "/api/reload", "POST"), 400)
    assert [each["name"] for each in ask(server.url, "/api/streams").body] == ["front"]
    path.write_text("streams: {}\n")
    assert ask(server.url, "/api/reload", "POST").body == {"streams": [], "failed": {}}


def test_a_file_that_is_still_written_is_waited_for(tmp_path: Path) -> None:
    """A half of a file may well be a whole one by its looks."""
    path, whole = tmp_path / "serve.yaml", "streams:\n  a: {source: test}\n  b: {source: 'test:64x48'}\n"
    pieces = iter(whole[:end] for end in (32, len(whole)))
    path.write_text(whole[:30])

    def writes(seconds: float) -> None:
        path.write_text(next(pieces, whole))

    assert list(read_again(path, 2, writes).streams) == ["a", "b"]
    sizes = itertools.count(16)
    with pytest.raises(ConfigError, match="still being written"):
        read_again(path, 2, lambda seconds: path.write_text(f"port: {next(sizes)}") and None)


def test_a_body_repeats_none_of_its_values() -> None:
    with pytest.raises(ConfigError) as caught:
        schemas.checked(schemas.AskedStream, b'{"source": 5, "outputs": "rtsp://me:hunter2@x"}')
    assert "hunter2" not in str(caught.value)


def test_nothing_that_is_served_tells_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    # Streams whose sources and outputs find nobody.
    local = [form.replace("10.0.0.5:554", "127.0.0.1:9").replace("media.example.org", "127.0.0.1:9") for form in FORMS]
    forms = [form for form in local if "127.0.0.1" in form and form.startswith("rt")][::8]
    with caplog.at_level(logging.DEBUG), serving() as server:
        for number, form in enumerate(forms):
            body = {"source": form if number % 3 else "test:64x48@5", "outputs": [form]}
            answers = [
                ask(server.url, f"/api/streams/s{number}", "PUT", each) for each in (body, {**body, "crf": form})
            ]
            assert (answers[0].status, answers[1].status) == (201, 400)
            assert SECRET not in str(answers)
        wait_until(lambda: any(published(server, f"s{number}") > 1 for number in range(0, len(forms), 3)))
        told = [f"/api/streams/s{number}" for number in range(len(forms))]
        for path in ("/api/streams", "/metrics", "/readyz", "/healthz", *told):
            assert SECRET not in str(ask(server.url, path).body)
        assert len(forms) >= 8
    assert SECRET not in caplog.text
