"""How long each station worked and waited."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

REMEMBERED = 4096
"""Durations that are kept, the latest ones, so that memory does not grow with the length of a video."""


@dataclass
class StationStats:
    """One station's account in seconds; written by its thread, read by any.

    `working` is time in the station's own code, `starved` time waiting for its input, `blocked` time
    waiting for room in its output. `items` counts what it has handed on; `durations` is the work that went into each
    of the latest ones, which the first item's may have more of: whatever had to come in before it.
    """

    name: str
    items: int = 0
    working: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED), repr=False, compare=False)

    def totals(self) -> dict[str, str | float]:
        """The account without the single durations, for JSON."""
        return {
            "name": self.name,
            "items": self.items,
            "working": self.working,
            "starved": self.starved,
            "blocked": self.blocked,
        }


def slowest(stations: Sequence[StationStats]) -> StationStats:
    """The station that worked longest, which is the one that sets the pace."""
    return max(stations, key=lambda station: station.working)
