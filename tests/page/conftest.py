"""A page for files with a small network, and what is asked of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp
import pytest
import torch
from torch import Tensor
from yarl import URL

from streamderain.config import DerainConfig
from streamderain.page.run import serve_files
from tests.waiting import wait_until

CONFIG = DerainConfig(preset="ultrafast", blend=0.0)


class Darker:
    """Takes a tenth of the light; works while its gate is open."""

    device, past, future = torch.device("cpu"), 1, 1

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def restore(self, windows: Tensor) -> Tensor:
        assert self.gate.wait(120)
        return windows[:, 1] - 0.1


class Running:
    """A page in a thread of its own."""

    def __init__(self, folder: Path, network: Darker, address: str = "0", token: str | None = None) -> None:
        self.folder, self.network = folder, network
        self._token = {"Authorization": f"Bearer {token}"} if token else None
        opened: Queue[str] = Queue()
        self._thread = threading.Thread(
            target=serve_files, args=(CONFIG, folder, address, token, opened.put, network), name="page", daemon=True
        )
        self._thread.start()
        self.url = opened.get(timeout=60)

    def ask(self, path: str, method: str = "GET", headers: Any = None, **options: Any) -> tuple[int, Any]:
        """What is answered: the status, and JSON, or else bytes."""

        async def run() -> tuple[int, Any]:
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.request(method, URL(self.url + path, encoded=True), **options) as reply,
            ):
                is_json = reply.content_type == "application/json"
                return reply.status, await reply.json() if is_json else await reply.read()

        # Not in this thread, which may be in the loop of a browser's driver.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(run())).result()

    def send(self, name: str, data: bytes | BinaryIO) -> tuple[int, Any]:
        return self.ask(f"api/clips?name={quote(name)}", "POST", data=data)

    def clip(self, number: int) -> Any:
        """What is told of it, or None."""
        return next((each for each in self.ask("api/clips")[1]["clips"] if each["id"] == number), None)

    def until(self, number: int, condition: Callable[[Any], object]) -> Any:
        """The clip, once the condition holds of it."""
        wait_until(lambda: (told := self.clip(number)) and condition(told))
        return self.clip(number)

    def files(self) -> list[str]:
        """What is in the folder, but for uploads."""
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> None:
        self.network.gate.set()
        if not self.has_ended:
            assert self.ask("api/quit", "POST", self._token, json={"even_if_busy": True})[0] == 200
        self._thread.join(60)
        assert self.has_ended


@pytest.fixture
def network() -> Darker:
    return Darker()


@pytest.fixture
def page(tmp_path: Path, network: Darker) -> Iterator[Running]:
    running = Running(tmp_path / "derained", network)
    yield running
    running.end()
