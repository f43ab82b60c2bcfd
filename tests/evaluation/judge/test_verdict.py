"""What follows from scores, and when weights may take the place of others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streamderain.errors import EvaluationError
from streamderain.evaluation.judge.verdict import Gain, Harm, Score, Verdict, compare

GAINS = tuple(float(number) for number in range(20))


def scores(gains: tuple[float, ...] = GAINS, dry: float = 50.0, foreign: float = 3.0) -> tuple[Score, ...]:
    """Twenty cases of a grid, half of them stills, one of another renderer, one that is dry and one that looks wet."""
    grid = tuple(
        Score(
            "grid",
            "still" if number < 10 else "moving",
            f"case {number % 10}",
            25.0,
            25.0 + gain,
            {"lean": float(number % 2)},
        )
        for number, gain in enumerate(gains)
    )
    others = (
        Score("foreign", "moving", "a", 20.0, 20.0 + foreign),
        Score("dry", "clip", "b", 100.0, dry),
        Score("look-alikes", "still", "hair", 100.0, 14.0),
    )
    return grid + others


def verdict(gains: tuple[float, ...] = GAINS, dry: float = 50.0, foreign: float = 3.0) -> Verdict:
    return Verdict(1, "abc", 1, scores(gains, dry, foreign))


def test_the_worst_tenth_is_the_mean_of_the_lowest_gains() -> None:
    assert Gain.of(scores()[:20]) == Gain(20, 25.0, 9.5, 0.5)
    assert Gain.of(scores()[:10]).worst_tenth == 0.0
    assert Gain.of(scores()[:11]).worst_tenth == 0.5, "a tenth is rounded up"


def test_gains_are_by_group_and_kind_and_dry_material_is_apart() -> None:
    found = verdict()
    assert list(found.gains()) == ["grid, still", "grid, moving", "grid", "foreign, moving", "foreign"]
    assert found.gains()["grid, moving"] == Gain(10, 25.0, 14.5, 10.0)
    assert found.dry() == {"clip": Harm(1, 50.0, 50.0)}
    assert (verdict(dry=42.0).passes_gate, verdict(dry=41.9).passes_gate) == (True, False)
    assert found.look_alikes() == {"hair": {"still": 14.0}}
    assert found.axes() == {"lean": {0.0: {"still": 4.0, "moving": 14.0}, 1.0: {"still": 5.0, "moving": 15.0}}}


def test_what_json_keeps_is_the_same_verdict() -> None:
    kept = json.loads(json.dumps(verdict().as_json()))
    assert Verdict.of_json(kept) == verdict()
    assert kept["gains"]["grid"]["worst_tenth"] == 0.5
    with pytest.raises(EvaluationError, match="no verdict of the judge"):
        Verdict.of_json({"version": 1})


def changed(by: dict[int, float]) -> tuple[float, ...]:
    return tuple(gain + by.get(number, 0.0) for number, gain in enumerate(GAINS))


def test_a_gain_of_the_mean_or_of_the_worst_tenth_is_better() -> None:
    mean = compare(verdict(changed({19: 2.0})), verdict())
    assert mean.better
    assert mean.reasons == ("grid, mean +0.10 dB", "grid, worst tenth +0.00 dB", "foreign, moving, mean +0.00 dB")
    assert compare(verdict(changed({0: 0.5})), verdict()).better, "worst tenth +0.25, mean +0.025"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (verdict(), "what weighs most gains 0.00 dB, not more than 0.05"),
        (verdict(changed({19: 0.8})), "what weighs most gains 0.04 dB, not more than 0.05"),
        (verdict(changed({0: -1.0, 19: 9.0})), "grid, worst tenth falls by 0.50 dB"),
        (verdict(changed({0: 2.0, 19: -6.0})), "grid, mean falls by 0.20 dB"),
        (verdict(changed({19: 2.0}), foreign=2.0), "foreign, moving, mean falls by 1.00 dB"),
        (verdict(changed({19: 2.0}), dry=41.9), "dry clip falls to 41.9 dB, under 42"),
    ],
)
def test_worse_ones_are_refused_with_the_reason(new: Verdict, reason: str) -> None:
    found = compare(new, verdict())
    assert not found.better
    assert found.reasons == (reason,)


@pytest.mark.parametrize(("new", "old", "reasons"), [
    (35.0, 34.9, None), (34.9, 34.9, None), (34.8, 34.9, ("dry clip falls to 34.8 dB, under 34.9",)),
    (41.9, 60.0, ("dry clip falls to 41.9 dB, under 42",)), (42.1, 60.0, None),
])  # fmt: skip
def test_what_failed_the_gate_may_be_followed_by_what_harms_no_more(
    new: float, old: float, reasons: tuple[str, ...] | None
) -> None:
    found = compare(verdict(changed({19: 2.0}), dry=new), verdict(dry=old))
    assert (found.better, None if found.better else found.reasons) == (reasons is None, reasons)


def test_what_one_kind_of_window_loses_another_does_not_make_good() -> None:
    past = (Score("foreign", "past alone", "a", 20.0, 23.0),)
    old = replace(verdict(), scores=scores() + past)
    new = replace(verdict(), scores=(*scores(changed({19: 2.0}), foreign=9.0), replace(past[0], derained=22.0)))
    assert compare(new, old).reasons == ("foreign, past alone, mean falls by 1.00 dB",)


def test_weights_cannot_get_worse_step_by_step_within_the_margin() -> None:
    """What one gains at the other's cost cannot be gained back the same way."""
    shifted = verdict(changed({0: -0.098, 19: 3.1}))
    there, back = compare(shifted, verdict()), compare(verdict(), shifted)
    assert there.reasons[:2] == ("grid, mean +0.15 dB", "grid, worst tenth -0.05 dB")
    assert (there.better, back.better) == (True, False)
    traded = compare(verdict(changed({0: -0.098, 19: 1.1})), verdict())
    assert not traded.better, "+0.05 and -0.05"


def test_a_gain_in_downpours_alone_is_better() -> None:
    def with_downpours(gain: float, gains: tuple[float, ...] = GAINS) -> Verdict:
        poured = Score("downpour", "still", "a", 14.0, 14.0 + gain)
        return replace(verdict(), scores=(*scores(gains), poured))

    assert compare(with_downpours(2.0), with_downpours(1.0)).better
    worse = compare(with_downpours(0.9, changed({19: 4.0})), with_downpours(1.0))
    assert worse.reasons == ("downpour, mean falls by 0.10 dB",)


@pytest.mark.parametrize("change", [{"version": 2}, {"digest": "abd"}, {"every": 7}, {"scores": scores()[1:]}])
def test_verdicts_on_other_windows_are_not_compared(change: dict[str, object]) -> None:
    with pytest.raises(EvaluationError, match="judge both weights anew"):
        compare(replace(verdict(), **change), verdict())  # type: ignore[arg-type]


def test_a_window_that_was_drawn_otherwise_is_noticed() -> None:
    first, *rest = scores()
    other = replace(verdict(), scores=(replace(first, untouched=25.1), *rest))
    with pytest.raises(EvaluationError, match="the window of grid, still, case 0 is another"):
        compare(other, verdict())
