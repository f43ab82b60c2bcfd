"""When streams are due, by a clock that is set by hand."""

from __future__ import annotations

from streamderain.engine.habits import FORGOTTEN_SECONDS, Habits


def test_a_stream_is_due_after_as_long_as_it_was_away_the_time_before() -> None:
    now = 0.0
    habits = Habits(lambda: now)
    assert not habits.expects(-100, 100)
    habits.comes(7)
    assert not habits.expects(-100, 100)
    now = 1.0
    habits.leaves(7)
    assert habits.expects(1.0, 1.0)
    now = 3.0
    habits.comes(7)
    now = 4.0
    habits.leaves(7)
    assert habits.expects(5.9, 6.1)
    assert not habits.expects(4.0, 5.9)
    assert not habits.expects(6.1, 100)


def test_each_stream_has_habits_of_its_own_and_one_that_is_gone_is_forgotten() -> None:
    now = 0.0
    habits = Habits(lambda: now)
    for who, away in ((1, 0.5), (2, 2.0)):
        now = 10.0
        habits.comes(who)
        habits.leaves(who)
        now += away
        habits.comes(who)
        now = 20.0
        habits.leaves(who)
    assert habits.expects(20.4, 20.6)
    assert habits.expects(21.9, 22.1)
    assert not habits.expects(20.6, 21.9)
    now = 20.6 + FORGOTTEN_SECONDS
    habits.comes(3)
    assert not habits.expects(20.4, 20.6)
    assert habits.expects(21.9, 22.1)
