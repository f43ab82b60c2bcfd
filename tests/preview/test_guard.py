"""Who may talk to the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import aiohttp
import pytest
from aiohttp import web

from streamderain.errors import ConfigError
from streamderain.preview.guard import Guard
from streamderain.preview.server import PreviewServer
from tests.preview.conftest import Camera

TOKEN = "päss word;"
SETTINGS = "api/streams/cam/settings"


def ask(url: str, headers: Mapping[str, str] | None = None, **options: object) -> tuple[int, str, Mapping[str, str]]:
    """GET, or POST where there is `json`."""

    async def run() -> tuple[int, str, Mapping[str, str]]:
        async with aiohttp.ClientSession(headers=headers) as session:
            method = "POST" if "json" in options else "GET"
            async with session.request(method, url, **options) as reply:  # type: ignore[arg-type]
                return reply.status, await reply.text(), reply.headers.copy()

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "", "camera.lan"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="set a token, or listen on 127"):
        Guard(host, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", "::1"])
def test_this_machine_needs_none(host: str) -> None:
    Guard(host, None)


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_no_token(token: str) -> None:
    with pytest.raises(ConfigError, match="token is empty"):
        Guard("0.0.0.0", token)


def test_another_name_for_this_machine_is_refused() -> None:
    with PreviewServer(port=0) as server:
        port = server.url.split(":")[-1].strip("/")
        for host, status in [
            ("localhost", 200), (f"localhost:{port}", 200), (f"127.0.0.1:{port}", 200), (f"[::1]:{port}", 200),
            ("evil.example", 403), (f"evil.example:{port}", 403), ("127.0.0.1.evil.example", 403),
            ("[", 403), ("", 403),
        ]:  # fmt: skip
            assert ask(server.url, {"Host": host})[0] == status, host


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "SAME"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ],
)
def test_other_sites_change_nothing(headers: dict[str, str], status: int) -> None:
    camera = Camera()
    with PreviewServer(port=0) as server:
        server.add("cam", camera)
        given = {name: server.url.rstrip("/") if value == "SAME" else value for name, value in headers.items()}
        assert ask(server.url + SETTINGS, given, json={"strength": 0.5})[0] == status
    assert bool(camera.adjusted) == (status == 200)


def test_other_sites_may_link_to_the_page_and_not_embed_it() -> None:
    with PreviewServer(port=0) as server:
        site = {"Sec-Fetch-Site": "cross-site"}
        assert ask(server.url, site | {"Sec-Fetch-Mode": "navigate"})[0] == 200
        assert ask(server.url, site | {"Sec-Fetch-Mode": "no-cors"})[0] == 403
        _, _, headers = ask(server.url)
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_the_token_opens_everything_and_nothing_opens_without() -> None:
    async def ok(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    routes = [web.get("/healthz", ok), web.get("/metrics", ok)]
    with PreviewServer("0.0.0.0", 0, TOKEN, routes=routes, public=["/healthz"]) as server:
        server.add("cam", Camera())
        for path in ("", "page.js", "api/streams", "streams/cam.mjpg", "metrics", "nonsense"):
            status, body, headers = ask(server.url + path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "token" in body
            assert TOKEN not in body
        assert ask(server.url + SETTINGS, json={"strength": 0.5})[0] == 401
        assert ask(server.url + "healthz")[0] == 200
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(server.url + "metrics", bearer)[0] == 200
        assert ask(server.url + SETTINGS, bearer, json={"strength": 0.5})[0] == 200
        for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", TOKEN):
            assert ask(server.url + "metrics", {"Authorization": wrong})[0] == 401


def test_the_page_takes_the_token_and_gives_a_cookie() -> None:
    with PreviewServer("0.0.0.0", 0, TOKEN) as server:
        assert ask(server.url, params={"token": "wrong"})[0] == 401
        assert ask(server.url + "api/streams", params={"token": TOKEN})[0] == 401
        status, _, headers = ask(server.url, params={"token": TOKEN})
        assert status == 200
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "word" not in cookie
        given = cookie.split(";")[0]
        assert ask(server.url + "api/streams", {"Cookie": given})[0] == 200
        assert ask(server.url + "api/streams", {"Cookie": given[:-1]})[0] == 401


def method(url: str, headers: Mapping[str, str], name: str) -> int:
    async def run() -> int:
        async with aiohttp.ClientSession(headers=headers) as session, session.request(name, url, data=b"{}") as reply:
            return reply.status

    return asyncio.run(run())


def test_who_may_look_changes_nothing() -> None:
    camera = Camera()
    changed: list[str] = []

    async def change(request: web.Request) -> web.Response:
        changed.append(request.method)
        return web.Response(text="ok")

    routes = [web.route(each, "/api/streams/{name}", change) for each in ("PUT", "DELETE")]
    routes += [web.post("/api/reload", change), web.post("/api/whepp", change)]
    with PreviewServer("0.0.0.0", 0, TOKEN, routes=routes, view_token="a guest") as server:
        server.add("cam", camera)
        guest, owner = ({"Authorization": f"Bearer {each}"} for each in ("a guest", TOKEN))
        for path in ("", "grid", "api/streams", "api/streams/cam", "api/streams/cam/events"):
            assert ask(server.url + path, guest)[0] == 200
        # Both are heard, and refused for what they bring.
        assert method(server.url + "offer", guest, "POST") == 400
        assert method(server.url + "streams/cam/whep", guest, "POST") == 415
        assert method(server.url + "streams/cam/whep/7", guest, "DELETE") == 404
        status, body, _ = ask(server.url + SETTINGS, guest, json={"strength": 0.5})
        assert status == 403
        assert "may look and change nothing" in body
        for name, path in [
            ("PUT", "api/streams/new"), ("DELETE", "api/streams/cam"), ("POST", "api/reload"), ("POST", "api/whepp"),
            ("DELETE", "api/streams/whep"), ("PUT", "streams/cam/whep"), ("PATCH", "api/streams/cam"),
        ]:  # fmt: skip
            assert method(server.url + path, guest, name) == 403, path
        assert (camera.adjusted, changed) == ([], [])
        assert ask(server.url + SETTINGS, owner, json={"strength": 0.5})[0] == 200
        assert method(server.url + "api/reload", owner, "POST") == 200
        may = [json.loads(ask(server.url + "api/streams/cam", each)[1])["may_change"] for each in (guest, owner)]
        assert may == [False, True]


def test_the_cookie_of_who_may_look_is_not_that_of_who_may_change() -> None:
    with PreviewServer("0.0.0.0", 0, TOKEN, view_token="a guest") as server:
        server.add("cam", Camera())
        for token, status in (("a guest", 403), (TOKEN, 200)):
            cookie = ask(server.url, params={"token": token})[2]["Set-Cookie"].split(";")[0]
            assert ask(server.url + SETTINGS, {"Cookie": cookie}, json={"strength": 0.5})[0] == status


@pytest.mark.parametrize("token", [None, "the same"])
def test_a_token_to_look_needs_another_one_to_change(token: str | None) -> None:
    with pytest.raises(ConfigError, match="set another token"):
        Guard("127.0.0.1", token, view_token="the same")
