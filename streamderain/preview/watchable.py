"""One stream as the page sees it, and the one setting that comes back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from streamderain.errors import ConfigError, nearest


class Publication(Protocol):
    """What a publisher sends goes here, from any thread."""

    @property
    def is_wanted(self) -> bool:
        """Whether more of it is."""

    def put(self, frame: Any) -> None:
        """Take an av.VideoFrame or an av.AudioFrame."""

    def end(self) -> None:
        """There is no more."""


class Intake(Protocol):
    """Where publishers begin."""

    def begin(self, has_sound: bool) -> Publication:
        """One is there; who was there before it is not wanted any more."""


class Watchable(Protocol):
    """A stream that can be watched. All but `recordings` is called in the page's thread and must return at once."""

    def numbers(self) -> dict[str, Any]:
        """How it stands, as JSON can carry it; what is missing or None is shown as a dash.

        The page knows `connected` (bool), `size` ("640x360"), `fps_in`, `fps_out`, `held_fps` (per second),
        `latency_ms` ({"p50", "p95", "p99"}), `dropped` ({reason: count}), `reconnects`, `reason` (why the source is
        away), `age` (of the last frame, in seconds), `outputs` ([{"name", "state", "reason"}]), `rain_level` (0 to 1),
        `dry`, and `effort` ("full", "half", "none").
        """

    def history(self) -> list[dict[str, Any]]:
        """What happened, oldest first: [{"at" (seconds since 1970), "kind", "subject", "reason", "times"}]."""

    def recordings(self) -> dict[str, Path]:
        """Files that may be seen, by names that stand in URLs; may look at the disk."""

    def intake(self) -> Intake | None:
        """Where who publishes to it begins; None where it has its pictures from elsewhere."""

    def settings(self) -> dict[str, float]:
        """What can be adjusted, and its value, 0 to 1: `strength` and `blend`."""

    def adjust(self, **settings: float) -> None:
        """Change settings while the stream runs. Raises ConfigError for bad ones."""


def checked(asked: object, known: dict[str, float]) -> dict[str, float]:
    """What a client asked to set, when each name is known and each value is a number from 0 to 1; else ConfigError."""
    if not isinstance(asked, dict) or not asked:
        raise ConfigError(
            f'the body is no JSON object of settings; send for example {{"{next(iter(known), "name")}": 0.5}}'
        )
    for name, value in asked.items():
        if name not in known:
            raise ConfigError(f"no setting is called {name[:40]!r}; allowed: {', '.join(known)}{nearest(name, known)}")
        # A NaN is in no range; a bool is an int to Python, and not to whoever sent it.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"{name} is {str(value)[:40]!r}; allowed: a number from 0 to 1")
    return {name: float(value) for name, value in asked.items()}
