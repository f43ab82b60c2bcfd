"""Times of sources on the run's clock, and the pace of files."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from streamderain.media.wall import Pace, RunClock, units

SECOND = 90000


@pytest.fixture
def clock() -> RunClock:
    """A run that began at 100."""
    clock = RunClock(lambda: 100.0)
    clock.begin()
    return clock


def placed(clock: RunClock, *pairs: tuple[float | None, float]) -> list[float]:
    """Seconds that `clock` gives for (the source's seconds, seconds of arrival since the run began)."""
    return [
        clock.place(None if source is None else round(source * SECOND), 100 + arrived) / SECOND
        for source, arrived in pairs
    ]


def test_units() -> None:
    assert units(1001, Fraction(1, 30000)) == 3003
    assert units(None, Fraction(1, 25)) is None
    assert units(3, None) is None


def test_the_first_picture_is_shown_when_it_came_and_the_others_keep_their_distance(clock: RunClock) -> None:
    assert placed(clock, (50, 1), (50.5, 1.6), (51, 1.9)) == [1, 1.5, 2]


def test_a_picture_without_a_time_is_shown_when_it_came(clock: RunClock) -> None:
    assert placed(clock, (None, 1), (7, 1.5), (8, 2.6)) == [1, 1.5, 2.5]


@pytest.mark.parametrize(
    ("second", "at"),
    [
        ((49, 2), 2),  # backwards
        ((60, 2), 2),  # too far ahead
        ((51, 6), 6),  # too far behind
        ((51, 3.5), 2),  # late, as pictures are now and then
    ],
)
def test_times_that_jump_are_placed_anew(second: tuple[float, float], at: float, clock: RunClock) -> None:
    assert placed(clock, (50, 1), second) == [1, at]


def test_what_was_buffered_and_comes_in_a_burst_does_not_run_ahead_of_the_wall(clock: RunClock) -> None:
    burst = placed(clock, *[(number / 25, 1.0) for number in range(50)])
    assert all(after > before for before, after in pairwise(burst))
    assert burst[-1] < 1.3
    assert placed(clock, (2.96, 2)) == pytest.approx([2], abs=0.3)


def test_after_a_reconnect_the_first_picture_is_shown_when_it_came(clock: RunClock) -> None:
    assert placed(clock, (50, 1)) == [1]
    clock.anew()
    assert clock.moved(50 * SECOND) is None
    assert placed(clock, (50.3, 1.5), (50.4, 1.6)) == pytest.approx([1.5, 1.6])


def test_sound_moves_with_the_picture(clock: RunClock) -> None:
    assert clock.moved(50 * SECOND) is None
    placed(clock, (50, 1))
    assert clock.moved(51 * SECOND) == 2 * SECOND


def test_sound_that_has_jumped_waits_for_the_pictures_to_follow() -> None:
    now = 100.0
    clock = RunClock(lambda: now)
    clock.begin()
    clock.place(0, 100.0)
    for jump in (3600, -3600, 11):
        now += 1
        assert clock.moved(round((now - 100) * SECOND)) == round((now - 100) * SECOND)
        assert clock.moved(round((now - 100 + jump) * SECOND)) is None
        jumps = clock.jumps
        clock.place(round((now - 100 + jump) * SECOND), now)
        assert clock.jumps == jumps + 1
        assert clock.moved(round((now - 99.5 + jump) * SECOND)) == pytest.approx((now - 99.5) * SECOND, abs=2)
        clock.place(round((now - 100) * SECOND), now)


def test_sound_with_a_clock_of_its_own_is_heard_when_it_comes() -> None:
    now = 100.0
    clock = RunClock(lambda: now)
    clock.begin()
    heard = []
    for number in range(100):
        now = 100 + number / 10
        clock.place(number * SECOND // 10, now)
        heard.append(clock.moved((number + 40000) * SECOND // 10))
    assert heard[:20] == [None] * 20
    assert heard[21:] == pytest.approx([number * SECOND / 10 for number in range(21, 100)], abs=1)


def test_a_run_that_has_not_begun_is_at_zero() -> None:
    assert RunClock().place(7 * SECOND, 100.0) == 0


def test_a_file_keeps_its_pace() -> None:
    now = 10.0
    pace = Pace(lambda: now)
    assert pace.wait(None) == 0
    assert pace.wait(5 * SECOND) == 0
    assert pace.wait(6 * SECOND) == 1
    now = 11.5
    assert pace.wait(6 * SECOND) == 0
    assert pace.wait(7 * SECOND) == 0.5


def test_a_file_goes_on_after_a_pause() -> None:
    now = 10.0
    pace = Pace(lambda: now)
    pace.go_on()
    assert pace.wait(5 * SECOND) == 0
    now = 10.6
    pace.go_on()
    assert pace.wait(5.5 * SECOND) == pytest.approx(0.5)
    now = 99.0
    pace.go_on()
    assert pace.wait(6 * SECOND) == pytest.approx(0.5)


@pytest.mark.parametrize("jump", [99, 1])
def test_a_file_whose_times_jump_goes_on_at_once(jump: int) -> None:
    now = 10.0
    pace = Pace(lambda: now)
    pace.wait(5 * SECOND)
    now = 12.0
    assert pace.wait(jump * SECOND) == 0
    assert pace.wait((jump + 1) * SECOND) == 1
