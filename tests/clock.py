"""A clock for what must not depend on how busy a machine is."""

from __future__ import annotations


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        """Be later by so much."""
        self.now += seconds
