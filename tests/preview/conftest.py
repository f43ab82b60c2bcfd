"""A page with one stream, and somebody who feeds it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.errors import ConfigError
from streamderain.preview.server import PreviewServer
from streamderain.preview.sink import Preview

RED, BLUE = (200, 30, 30), (30, 30, 200)


class Camera:
    """A stream that never runs, and remembers what was adjusted."""

    def __init__(self, **numbers: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.files: dict[str, Path] = {}
        self.adjusted: list[dict[str, float]] = []
        self._settings = {"strength": 1.0, "blend": 0.5}
        self._numbers = {
            "connected": True, "size": "96x64", "fps_in": 25.0, "fps_out": 24.8, "held_fps": None,
            "latency_ms": {"p50": 41.2, "p95": 63.0, "p99": 88.4}, "dropped": {"late": 3, "source": 2}, "reconnects": 1,
        } | numbers  # fmt: skip

    def numbers(self) -> dict[str, Any]:
        return self._numbers

    def history(self) -> list[dict[str, Any]]:
        return self.events

    def recordings(self) -> dict[str, Path]:
        return self.files

    def intake(self) -> None:
        return None

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def adjust(self, **settings: float) -> None:
        if settings.get("blend") == 0.13:
            raise ConfigError("blend is 0.13; allowed: luckier numbers")
        self.adjusted.append(settings)
        self._settings.update(settings)


class Feeder(threading.Thread):
    """Shows a pair of pictures fifty times a second."""

    def __init__(self, preview: Preview, pair: Callable[[int], tuple[Tensor, Tensor]]) -> None:
        super().__init__(name="feeder")
        self._preview, self._pair = preview, pair
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(0.02):
            self._preview.show(*self._pair(number))
            number += 1

    def stop(self) -> None:
        self._ended.set()
        self.join()


def plain(colour: tuple[int, int, int], height: int = 64, width: int = 96) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, height, width).contiguous()


def red_and_blue(number: int) -> tuple[Tensor, Tensor]:
    """Plain pictures that grow lighter and darker."""
    more = number % 40
    return plain((RED[0], RED[1] + more, RED[2] + more)), plain((BLUE[0] + more, BLUE[1] + more, BLUE[2]))


def noise(number: int) -> tuple[Tensor, Tensor]:
    """Pictures that no encoder makes small."""
    random = torch.Generator().manual_seed(number % 3)
    picture = torch.randint(0, 256, (3, 360, 640), dtype=torch.uint8, generator=random)
    return picture, picture


def make_frame(pixels: np.ndarray) -> Any:
    import av

    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def server() -> Iterator[PreviewServer]:
    with PreviewServer(port=0, make_frame=make_frame, stalled_seconds=1.0) as server:
        yield server


@pytest.fixture
def preview(server: PreviewServer, camera: Camera) -> Preview:
    return server.add("front/door 1", camera)


@pytest.fixture
def feed(preview: Preview) -> Iterator[Callable[[Callable[[int], tuple[Tensor, Tensor]]], None]]:
    feeders: list[Feeder] = []
    yield lambda pair: feeders.append(Feeder(preview, pair))
    for feeder in feeders:
        feeder.stop()
