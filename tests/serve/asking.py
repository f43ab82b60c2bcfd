"""A server with its API, and somebody who asks it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

from streamderain.config import LiveConfig
from streamderain.frames import Network
from streamderain.serve.config import ServeConfig, StreamConfig
from streamderain.serve.server import Server
from tests.live.networks import Darker

TOKEN = "only for us"
SOURCE = "test:64x48@20"
QUICK = LiveConfig(preset="ultrafast", blend=0.0)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    """JSON where it is, else text."""
    type: str


def ask(
    url: str, path: str, method: str = "GET", body: object = None, token: str | None = TOKEN, most: int = -1
) -> Answer:
    """One request; `body` is bytes as they are, or anything else as JSON. At most `most` bytes are read."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url.rstrip("/") + path, data, headers, method=method)
    try:
        reply = urllib.request.urlopen(request, timeout=60)
    except HTTPError as error:
        reply = error
    with reply:
        text, kind = reply.read(most), reply.headers.get_content_type()
        return Answer(reply.status, json.loads(text) if kind == "application/json" else text.decode("latin-1"), kind)


def refusal(answer: Answer, status: int) -> str:
    """Why the answer is no; it is one line."""
    assert answer.status == status, answer
    assert set(answer.body) == {"error"}
    assert "\n" not in answer.body["error"]
    return str(answer.body["error"])


@contextmanager
def serving(
    network: Network | None = None,
    reread: Callable[[int], ServeConfig] | None = None,
    defaults: LiveConfig = QUICK,
    **streams: StreamConfig,
) -> Iterator[Server]:
    """A server on a free port, with a token."""
    config = ServeConfig(streams, defaults, port=0, token=TOKEN)
    with Server(config, network or Darker(), reread) as server:
        yield server


def published(server: Server, name: str) -> int:
    assert server.fleet
    return server.fleet[name].numbers().published
