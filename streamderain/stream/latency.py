"""How late frames are: quantiles of the latest, and a histogram of all."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from itertools import accumulate

from streamderain.stream.stats import REMEMBERED

BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, math.inf)
"""Upper bounds of the histogram's buckets, in seconds."""


@dataclass(frozen=True)
class Histogram:
    """All latencies so far: for each upper bound in seconds how many were at most that, their sum, and their number."""

    buckets: tuple[tuple[float, int], ...]
    sum: float
    count: int


class LatencyMeter:
    """Takes latencies in seconds from any thread. Its size does not grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: deque[float] = deque()
        # The same ones in order, as quantiles are asked for as often as frames come.
        self._sorted: list[float] = []
        self._buckets = [0] * len(BOUNDS)
        self._sum = 0.0
        self._moment = -math.inf
        self._count = 0

    def add(self, seconds: float, moment: float) -> None:
        """Book the latency of the frame of that `moment`, unless it, or a later one, is booked already: the first of
        many outputs counts.
        """
        with self._lock:
            if moment <= self._moment:
                return
            self._moment = moment
            if len(self._latest) == REMEMBERED:
                del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
            self._latest.append(seconds)
            insort(self._sorted, seconds)
            self._buckets[bisect_left(BOUNDS, seconds)] += 1
            self._sum += seconds
            self._count += 1

    @property
    def count(self) -> int:
        """How many were booked, ever."""
        return self._count

    def quantiles(self) -> tuple[float, float, float] | None:
        """Seconds that 50, 95 and 99 per cent of the latest 4096 did not exceed; None before there is one."""
        with self._lock:
            last = len(self._sorted)
            if not last:
                return None
            p50, p95, p99 = (self._sorted[-(-last * percent // 100) - 1] for percent in (50, 95, 99))
            return p50, p95, p99

    def histogram(self) -> Histogram:
        """All that were booked, for Prometheus."""
        with self._lock:
            return Histogram(tuple(zip(BOUNDS, accumulate(self._buckets), strict=True)), self._sum, self._count)
