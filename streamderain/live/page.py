"""What the live page sees of a run: its numbers, its dials and its pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streamderain.engine.colour import to_rgb
from streamderain.errors import ConfigError
from streamderain.frames import Frame, Restored
from streamderain.live.keeping import recordings
from streamderain.live.run import LiveRun
from streamderain.preview.sink import Preview
from streamderain.stream.intake import Intake

_EXTRA = ("aiohttp", "aiortc", "prometheus_client", "pydantic")


def check_extra() -> None:
    """Raise ConfigError where what pages and servers need is not installed."""
    for library in _EXTRA:
        if importlib.util.find_spec(library) is None:
            raise ConfigError(f"the live page needs {library}; pip install 'streamderain[live]'")


class Watch:
    """The run that `run` returns, which may be another one later, as the page's Watchable."""

    def __init__(self, run: Callable[[], LiveRun], more: Callable[[], dict[str, Any]] = dict) -> None:
        """`more` adds to the numbers."""
        self._run, self._more = run, more

    def numbers(self) -> dict[str, Any]:
        """LiveNumbers as JSON can carry it."""
        return asdict(self._run().numbers()) | self._more()

    def history(self) -> list[dict[str, Any]]:
        """What happened, oldest first."""
        return self._run().events.as_json()

    def recordings(self) -> dict[str, Path]:
        """What was recorded, as far as it is there; looks at the disk."""
        return recordings(self._run().outputs)

    def intake(self) -> Intake[Any] | None:
        """Where who publishes to it begins."""
        return self._run().intake

    def settings(self) -> dict[str, float]:
        """What may be turned."""
        return self._run().settings()

    def adjust(self, **settings: float) -> None:
        """Turn it. Raises ConfigError."""
        self._run().adjust(**settings)


def shown_on(preview: Preview) -> Callable[[Restored], None]:
    """What puts each pair on the page that arrived while somebody watches, and costs nothing else: what was on its way
    before may have been left as it was.
    """

    def show(pair: Restored) -> None:
        if preview.watched and (pair.clean.arrived is None or pair.clean.arrived >= preview.since):
            preview.show(picture(pair.rainy), picture(pair.clean))

    return show


def picture(frame: Frame) -> Tensor:
    """(3, H, W) uint8 in RGB, upright."""
    with torch.inference_mode():
        rgb = to_rgb(frame.data[None], frame.layout)
        return rgb.clamp_(0, 1).mul_(255).round_().to(torch.uint8)[0]
