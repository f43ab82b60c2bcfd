"""The meter of a rate, by a clock that is set by hand."""

from __future__ import annotations

import pytest

from streamderain.stream.rate import WINDOW_SECONDS, Rate


def test_what_is_counted_at_once_counts_as_often_and_what_is_old_not_at_all() -> None:
    now = 0.0
    rate = Rate(lambda: now)
    assert rate.per_second == 0
    rate.count()
    assert rate.per_second == 0
    for _ in range(20):
        now += 0.1
        rate.count(3)
    assert rate.per_second == pytest.approx(30)
    now += WINDOW_SECONDS / 2
    assert rate.per_second == pytest.approx(60 / (2 + WINDOW_SECONDS / 2))
    now += WINDOW_SECONDS
    assert rate.per_second == 0
