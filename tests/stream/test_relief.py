"""Relief before networks that are too slow, in made-up time: work is spared first, and given back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from streamderain.stream.relief import FIRST_WAIT, LONGEST_WAIT, UNSURE_SECONDS, Look, Relief

from .world import World


def world(seconds: float, full: Callable[[float], float], half: float = 0.28, steps: int = 2, **more: float) -> World:
    """A network that takes `full` for a frame, that times `half` at the first step, and next to nothing at the last."""
    made = World(seconds, lambda now: full(now) * (1, half, 0.0)[made.step] + 0.002, steps=steps, **more)  # type: ignore
    return made


def test_a_network_that_keeps_up_is_spared_nothing() -> None:
    quick = world(120, lambda now: 0.03).run()
    assert quick.eased == []
    assert len(quick.out) == quick.sent


@pytest.mark.parametrize("steps", [1, 2])
def test_work_is_spared_before_frames(steps: int) -> None:
    slow = world(60, lambda now: 0.1, steps=steps).run()
    slow.check_counts()
    (at, step), *more = slow.eased
    assert (step, more) == (1, [])
    # From then on none is lost, where two of three were; and nobody is told that frames are held.
    assert at < 7
    assert slow.count(at + 2, 59) >= 0.99 * 25 * (57 - at)
    assert slow.lines == []


def test_without_steps_frames_are_lost_as_ever() -> None:
    slow = world(60, lambda now: 0.1, steps=0).run()
    assert slow.eased == []
    assert slow.count(10, 50) == pytest.approx(400, rel=0.05)


def test_where_half_does_not_suffice_the_newest_frames_go_through_it() -> None:
    slow = world(60, lambda now: 0.5).run()
    assert [step for _, step in slow.eased] == [1]
    assert slow.count(20, 55) == pytest.approx(35 / 0.142, rel=0.05)
    assert slow.p99 <= 0.52
    assert [line.split(":")[0] for _, line in slow.lines] == ["too slow for 25 fps"]


@pytest.mark.parametrize(("full", "limit"), [(3.0, 0.5), (5.0, 10.0)])
def test_the_last_step_is_taken_where_next_to_nothing_would_get_through(full: float, limit: float) -> None:
    hopeless = world(200, lambda now: full, max_latency=limit).run()
    hopeless.check_counts()
    assert [step for _, step in hopeless.eased[:2]] == [1, 2]
    # Half is tried again and again, each time later: nearly all the time the picture is there.
    tries = [at for at, step in hopeless.eased[2:] if step == 1]
    assert 2 <= len(tries) <= 6
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert all(longer >= 1.2 * shorter for shorter, longer in itertools.pairwise(gaps[:3]))
    passed = sum(each.latency < 0.1 for each in hopeless.out)
    assert passed > 0.6 * hopeless.sent


@pytest.mark.parametrize("slow", [0.1, 0.3, 3.0])
@pytest.mark.parametrize(("quick", "wait"), [(0.02, FIRST_WAIT), (0.035, UNSURE_SECONDS)])
def test_after_a_busy_spell_all_the_work_is_done_again(slow: float, quick: float, wait: float) -> None:
    spell = world(160, lambda now: slow if 30 <= now < 50 else quick).run()
    assert spell.eased[0] == (pytest.approx(34, abs=6), 1)
    back, step = spell.eased[-1]
    assert step == 0
    # What is beyond doubt is given back soon, the rest after a minute.
    assert back < 50 + 2 * wait + 14
    assert spell.count(back + 3, 159) >= 0.99 * 25 * (156 - back)


def test_one_that_is_just_too_slow_is_tried_rarely() -> None:
    just = world(600, lambda now: 0.048).run()
    assert sum(step == 0 for _, step in just.eased) <= 3
    assert len(just.out) > 0.98 * just.sent


def test_a_time_that_wavers_around_what_there_is_makes_attempts_rarer() -> None:
    chance = random.Random(4)
    level = [0.03 + 0.03 * chance.random() for _ in range(61)]
    wavering = world(600, lambda now: level[int(now / 10)]).run()
    assert len(wavering.eased) < 600 / 40
    assert wavering.p99 <= 0.5


def test_single_looks_change_nothing() -> None:
    relief, bad, good = Relief(2), Look(0.5, 1.0, 8, False), Look(0.0, 0.3, 25, False)
    assert not any(relief.look(2.0 * number, bad if number % 2 else good) for number in range(50))
    assert relief.step == 0


def test_attempts_in_vain_come_ever_more_rarely_and_one_that_lasts_ends_that() -> None:
    relief, now, given = Relief(1), 0.0, []
    too_slow, enough = Look(0.5, 1.0, 10, False), Look(0.0, 0.1, 25, False)
    while now < 6000:
        now += 2
        if relief.look(now, enough if relief.step else too_slow) and not relief.step:
            given.append(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(given)]
    assert all(longer >= 1.8 * shorter or longer > LONGEST_WAIT for shorter, longer in itertools.pairwise(waits))
    assert max(waits) == waits[-1] == pytest.approx(LONGEST_WAIT + 8, abs=4)
    for look, seconds in ((enough, 700), (too_slow, 8), (enough, FIRST_WAIT + 4)):
        for _ in range(int(seconds / 2)):
            now += 2
            relief.look(now, look)
        assert relief.step == (look is too_slow)
