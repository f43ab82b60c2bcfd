"""LatencyMeter: the right quantiles of the latest, and a histogram of all."""

from __future__ import annotations

import math
import random

import pytest

from streamderain.stream.latency import BOUNDS, LatencyMeter
from streamderain.stream.stats import REMEMBERED


def booked(*values: float) -> LatencyMeter:
    meter = LatencyMeter()
    for moment, value in enumerate(values):
        meter.add(value, moment)
    return meter


def test_nothing_is_known_of_nothing() -> None:
    meter = LatencyMeter()
    assert meter.quantiles() is None
    assert meter.histogram().count == meter.count == 0
    assert meter.histogram().buckets == tuple((bound, 0) for bound in BOUNDS)


def test_quantiles_are_those_that_so_many_do_not_exceed() -> None:
    values = [number / 100 for number in range(1, 101)]
    random.Random(1).shuffle(values)
    assert booked(*values).quantiles() == (0.5, 0.95, 0.99)


def test_of_one_all_quantiles_are_the_same() -> None:
    assert booked(0.2).quantiles() == (0.2, 0.2, 0.2)


def test_old_ones_are_forgotten_but_counted() -> None:
    meter = booked(*[9.0] * 1000, *[0.1, 0.3] * (REMEMBERED // 2))
    assert meter.quantiles() == (0.1, 0.3, 0.3)
    assert len(meter._latest) == len(meter._sorted) == REMEMBERED
    assert meter.count == 1000 + REMEMBERED


def test_the_histogram_counts_up_to_each_bound() -> None:
    histogram = booked(0.01, 0.011, 0.4, 60.0).histogram()
    counts = dict(histogram.buckets)
    assert [counts[bound] for bound in (0.01, 0.025, 0.3, 0.5, 5.0, math.inf)] == [1, 2, 2, 3, 3, 4]
    assert (histogram.count, histogram.sum) == (4, pytest.approx(60.421))


def test_of_several_outputs_the_first_that_has_written_a_frame_counts() -> None:
    meter = LatencyMeter()
    for moment, value in ((1.0, 0.1), (1.0, 0.4), (2.0, 0.2), (1.5, 0.9), (2.0, 0.9)):
        meter.add(value, moment)
    assert meter.count == 2
    assert meter.quantiles() == (0.1, 0.2, 0.2)
