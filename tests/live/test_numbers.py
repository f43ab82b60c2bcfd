"""What is said of a live run in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamderain.live.numbers import LiveNumbers

PLAIN = LiveNumbers(
    name="yard", connected=False, away=False, reason=None, age=None, size="", received=0, published=0, in_flight=0,
    dropped={}, fps_in=0.0, fps_out=0.0, latency_ms=None, held_fps=None, reconnects=0, filled=0,
    rain_level=None, raining=None, dry=False, effort="full", efforts={}, events={}, outputs=(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "state"),
    [
        (PLAIN, "waiting for the source"),
        (replace(PLAIN, away=True), "source away"),
        (replace(PLAIN, away=True, reason="refused, 401"), "source away (refused, 401)"),
        (replace(PLAIN, connected=True, size="64x48"), "64x48"),
        (replace(PLAIN, away=True, size="64x48"), "source away"),
        # Over, as a file that has ended and a run that was stopped.
        (replace(PLAIN, size="64x48"), "64x48"),
    ],
)
def test_the_source_is_away_only_when_it_is(numbers: LiveNumbers, state: str) -> None:
    assert numbers.line().startswith(f"yard: {state}, 0.0 fps in")
