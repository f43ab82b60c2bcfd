"""The fastest way is found by a clock that the test holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from streamderain.backends.fastest import fastest


class Watch:
    """Time that passes only where something is said to take it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def way(self, *seconds: float) -> Callable[[], object]:
        """A way that takes these times, one after the other."""
        left: Iterator[float] = iter(seconds)

        def run() -> None:
            self.now += next(left)

        return run


def test_the_least_time_decides_and_the_first_run_does_not_count() -> None:
    watch = Watch()
    ways = {"steady": watch.way(0, 3, 3, 3), "disturbed": watch.way(90, 80, 2, 70), "slow": watch.way(1, 4, 4, 4)}
    assert fastest(ways, 3, watch) == "disturbed"


def test_of_equals_the_first_is_taken() -> None:
    watch = Watch()
    assert fastest({"one": watch.way(2, 2), "other": watch.way(2, 2)}, 1, watch) == "one"


def test_one_way_needs_no_trial_and_none_is_an_error() -> None:
    assert fastest({"only": Watch().way()}) == "only"
    with pytest.raises(ValueError, match="nothing to choose"):
        fastest({})
