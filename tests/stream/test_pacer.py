"""The pacer before networks whose times vary: what is possible is reached, nothing is late, and busy spells end."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from .world import STEP, World, possible

Network = Callable[[float], float]
"""How long a frame takes that begins at a moment, in seconds."""

RECORDED = [each / 1000 for each in json.loads(Path(__file__).with_name("service_times.json").read_text())["ms"]]


def in_turn(*times: float) -> Network:
    turns = itertools.cycle(times)
    return lambda now: next(turns)


def lognormal(median: float, sigma: float) -> Network:
    chance = random.Random(3)
    return lambda now: median * math.exp(sigma * chance.gauss(0, 1))


def spell(quick: float, slow: float) -> Network:
    return lambda now: slow if 30 <= now < 50 else quick


PATTERNS: dict[str, Callable[[], Network]] = {
    "constant": lambda: in_turn(0.2625),
    "every fourth slow": lambda: in_turn(0.2, 0.2, 0.2, 0.45),
    "lognormal": lambda: lognormal(0.08, 0.5),
    "slow lognormal": lambda: lognormal(0.2, 0.5),
    "wild lognormal": lambda: lognormal(0.04, 1.0),
    "busy spell": lambda: spell(0.05, 0.35),
    "drift": lambda: lambda now: 0.25 - 0.15 * math.cos(2 * math.pi * now / 60),
    "recorded": lambda: in_turn(*RECORDED),
    "recorded, twice as slow": lambda: in_turn(*(2 * each for each in RECORDED)),
}


@pytest.mark.parametrize(("step", "limit"), [(STEP, 0.5), (0.2, 0.5), (0.2, 1.0), (1 / 15, 0.4)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_nine_tenths_of_what_is_possible_get_out_and_none_late(pattern: str, step: float, limit: float) -> None:
    network = PATTERNS[pattern]
    world = World(120, network(), limit, step=step, capacity=8).run()
    world.check_counts()
    within = possible(world, network(), limit)
    in_time = sum(each.at >= 5 and each.latency <= limit + 1e-9 for each in world.out)
    assert in_time >= 0.9 * sum(at >= 5 for at in within)
    assert world.p99 <= limit


@pytest.mark.parametrize("slow", [0.3, 0.45, 0.49, 1.0, 3.0])
@pytest.mark.parametrize(("quick", "step"), [(0.05, STEP), (0.2, STEP), (0.1, 0.2)])
def test_a_busy_spell_costs_what_it_lasts(quick: float, step: float, slow: float) -> None:
    world = World(100, spell(quick, slow), step=step, capacity=8).run()
    world.check_counts()
    # Of the spell's last frames some may be on their way.
    over = 50 + 2 * slow
    within = possible(world, spell(quick, slow))
    assert world.count(over + 0.5, over + 5) >= 0.9 * sum(over + 0.5 <= at < over + 5 for at in within)
    assert world.count(over + 5, 99) >= 0.95 * sum(over + 5 <= at < 99 for at in within)


def test_writing_takes_time_too_and_that_is_part_of_the_promise() -> None:
    chance = random.Random(11)
    network = lognormal(0.2, 0.4)
    world = World(300, network, capacity=8, writing=lambda: chance.uniform(0.02, 0.12)).run()
    world.check_counts()
    assert world.p99 <= 0.5
    assert world.gate.dropped["late"] > 0
    assert len(world.out) > 600


def test_many_outputs_may_tell_of_one_frame() -> None:
    world = World(10, lambda now: 0.01).run()
    # The second output is as late as it likes.
    for arrived in world.arrivals:
        world.gate.written(arrived)
    assert world.gate.keeps(world.frame(len(world.arrivals), arrived=world.now - 0.49))


def test_where_no_frame_can_be_in_time_all_go_out_and_it_is_said() -> None:
    world = World(100, lambda now: 0.7).run()
    world.check_counts()
    assert len(world.out) >= 0.97 * 100 / 0.7
    assert any("the network takes 0.7 s, more than the 0.5 s" in line for _, line in world.lines)


def test_a_picture_does_not_stand_still_for_long_however_late_it_is() -> None:
    chance = random.Random(5)
    world = World(200, lambda now: chance.choice((0.2, 0.9, 0.9, 0.9, 0.9))).run()
    gaps = [later.at - sooner.at for sooner, later in itertools.pairwise(world.out)]
    assert max(gaps) < 2.0 + 0.9 + STEP
