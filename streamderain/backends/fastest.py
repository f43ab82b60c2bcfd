"""Which of several ways to do the same is the fastest here: tried, as no list of processors tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

ROUNDS = 5


def fastest(
    ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> str:
    """The name of the way whose least time of `rounds` is the least; of equals the first.

    They take turns, and each runs once before it counts, so that what else the machine does, and what is made on first
    use, falls on none alone. Raises ValueError where there is no way.
    """
    if not ways:
        raise ValueError("there is nothing to choose from; name at least one way")
    if len(ways) == 1:
        return next(iter(ways))
    least = dict.fromkeys(ways, float("inf"))
    for number in range(rounds + 1):
        for name, run in ways.items():
            began = clock()
            run()
            if number:
                least[name] = min(least[name], clock() - began)
    return min(least, key=lambda name: least[name])
