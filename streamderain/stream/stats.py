"""How long each station worked and waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class StationStats:
    """One station's account in seconds; written by its thread, read by any.

    `working` is time in the station's own code, `starved` time waiting for its input, `blocked` time
    waiting for room in its output. `items` counts what it has handed on.
    """

    name: str
    items: int = 0
    working: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0


def slowest(stations: Sequence[StationStats]) -> StationStats:
    """The station that worked longest, which is the one that sets the pace."""
    return max(stations, key=lambda station: station.working)
