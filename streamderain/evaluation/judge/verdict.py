"""What the judge found of one network: its score in each case, what follows from them, and which of two is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from streamderain.errors import EvaluationError
from streamderain.evaluation.judge.cases import DOWNPOUR, DRY, GRID, LOOK_ALIKES, MOVING, PAST_ALONE, STILL

GATE_DB = 42.0
"""What each dry window must reach."""

MARGIN_DB = 0.05
"""Changes of what weighs most, and of their sum, under this are those of one training step and the next."""

MARGIN_OF_FEW_DB = 0.15
"""The same for the means of a few dozen cases each."""

SAME_DB = 0.05
"""By which an untouched window's PSNR may differ where processors round differently."""


ASKED = ("version", "digest", "every")
"""What of two verdicts is equal where they can be compared."""


@dataclass(frozen=True)
class Score:
    """PSNR on Y in dB of a case: `untouched` that of what came in, `derained` that of what came out."""

    group: str
    kind: str
    name: str
    untouched: float
    derained: float
    axes: Mapping[str, float] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """In dB; negative where harm was done."""
        return self.derained - self.untouched


@dataclass(frozen=True)
class Gain:
    """Over `cases`: the mean PSNR in dB of what came in, the mean gain, and that of the worst tenth of the cases."""

    cases: int
    untouched: float
    mean: float
    worst_tenth: float

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Gain:
        """Of at least one score; a tenth is rounded up."""
        gains = sorted(score.gain for score in scores)
        worst = gains[: -(-len(gains) // 10)]
        return cls(len(scores), fmean(score.untouched for score in scores), fmean(gains), fmean(worst))


@dataclass(frozen=True)
class Harm:
    """Over dry `cases`: PSNR in dB of what came out against what came in."""

    cases: int
    mean: float
    lowest: float

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Harm:
        """Of at least one score."""
        return cls(len(scores), fmean(each.derained for each in scores), min(each.derained for each in scores))


@dataclass(frozen=True)
class Verdict:
    """All scores of one network, by a judge of that `version`, on the material of that `digest`, where `every` is 1 on
    all cases, else on one of so many.
    """

    version: int
    digest: str
    every: int
    scores: tuple[Score, ...]

    def gains(self) -> dict[str, Gain]:
        """Of each group of rain: each kind of its windows, and all."""
        found: dict[str, Gain] = {}
        for group in dict.fromkeys(score.group for score in self.scores if score.group not in (DRY, LOOK_ALIKES)):
            for kind in (STILL, MOVING, PAST_ALONE):
                if chosen := self._of(group, kind):
                    found[f"{group}, {kind}"] = Gain.of(chosen)
            found[group] = Gain.of(self._of(group))
        return found

    def axes(self) -> dict[str, dict[float, dict[str, float]]]:
        """Mean gain in dB over the grid: by axis, by value on it, of stills and of moving windows."""
        grid = self._of(GRID)
        return {
            axis: {
                value: {
                    kind: fmean(score.gain for score in grid if score.axes[axis] == value and score.kind == kind)
                    for kind in (STILL, MOVING)
                }
                for value in sorted({score.axes[axis] for score in grid})
            }
            for axis in (grid[0].axes if grid else ())
        }

    def dry(self) -> dict[str, Harm]:
        """Of dry stills, moving windows and the clip, which the gate is for."""
        scores = self._of(DRY)
        return {kind: Harm.of(self._of(DRY, kind)) for kind in dict.fromkeys(score.kind for score in scores)}

    def look_alikes(self) -> dict[str, dict[str, float]]:
        """PSNR in dB of drawn dry scenes that look like rain, by name, still and moving; not gated."""
        found: dict[str, dict[str, float]] = {}
        for score in self._of(LOOK_ALIKES):
            found.setdefault(score.name, {})[score.kind] = score.derained
        return found

    @property
    def passes_gate(self) -> bool:
        """Whether no dry window was harmed."""
        return all(harm.lowest >= GATE_DB for harm in self.dry().values())

    def is_comparable(self, other: Verdict) -> bool:
        """Whether both were asked the same, by the same version of the judge."""
        return all(getattr(self, what) == getattr(other, what) for what in ASKED)

    def _of(self, group: str, kind: str | None = None) -> list[Score]:
        return [score for score in self.scores if score.group == group and kind in (None, score.kind)]

    def summary(self) -> dict[str, Any]:
        """All figures, without the scores that they come from, for JSON."""
        axes = {axis: {f"{value:g}": gains for value, gains in values.items()} for axis, values in self.axes().items()}
        return {
            "version": self.version,
            "digest": self.digest,
            "every": self.every,
            "gains": {name: asdict(gain) for name, gain in self.gains().items()},
            "axes": axes,
            "dry": {kind: asdict(harm) for kind, harm in self.dry().items()},
            "passes_gate": self.passes_gate,
            "look_alikes": self.look_alikes(),
        }

    def as_json(self) -> dict[str, Any]:
        """The summary and every score; `of_json` reads it."""
        return {**self.summary(), "scores": [asdict(score) for score in self.scores]}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Verdict:
        """What `as_json` gave. Raises EvaluationError for anything else."""
        try:
            scores = tuple(Score(**score) for score in found["scores"])
            return cls(found["version"], found["digest"], found["every"], scores)
        except (KeyError, TypeError) as error:
            raise EvaluationError(f"this is no verdict of the judge ({error}); expected what --json writes") from error


@dataclass(frozen=True)
class Comparison:
    """Whether weights may take the place of others, and why; each reason is a line."""

    better: bool
    reasons: tuple[str, ...]


def compare(new: Verdict, old: Verdict) -> Comparison:
    """Better is what passes the gate, or where the old one does not harms no more, loses nowhere more than the margin,
    and gains more than it in the sum of what weighs most: the grid's mean, that of its worst tenth, and the mean of
    downpours. As the sum rises each time, nothing is lost little by little.

    Raises EvaluationError where the two were not asked the same.
    """
    _check_same(new, old)
    weighty, others = _weighty(new, old), _others(new, old)
    changes = {**weighty, **others}
    lost = [
        f"{name} falls by {-change:.2f} dB"
        for name, change in changes.items()
        if change < -(MARGIN_DB if name in weighty else MARGIN_OF_FEW_DB)
    ]
    gained = sum(weighty.values())
    asked = {kind: min(GATE_DB, harm.lowest) for kind, harm in old.dry().items()}
    harm = [
        f"dry {kind} falls to {found.lowest:.1f} dB, under {asked[kind]:.4g}"
        for kind, found in new.dry().items()
        if found.lowest < asked[kind]
    ]
    idle = [f"what weighs most gains {gained:.2f} dB, not more than {MARGIN_DB}"]
    reasons = [*lost, *harm] or (idle if gained <= MARGIN_DB else [])
    if reasons:
        return Comparison(False, tuple(reasons))
    return Comparison(True, tuple(f"{name} {change:+.2f} dB" for name, change in changes.items()))


def _weighty(new: Verdict, old: Verdict) -> dict[str, float]:
    """The changes in dB that weigh most."""
    now, before = new.gains(), old.gains()
    changes = {}
    if GRID in now:
        changes[f"{GRID}, mean"] = now[GRID].mean - before[GRID].mean
        changes[f"{GRID}, worst tenth"] = now[GRID].worst_tenth - before[GRID].worst_tenth
    if DOWNPOUR in now:
        changes[f"{DOWNPOUR}, mean"] = now[DOWNPOUR].mean - before[DOWNPOUR].mean
    return changes


def _others(new: Verdict, old: Verdict) -> dict[str, float]:
    """The changes in dB of the means of a few dozen cases each: the kinds of windows of all groups but the grid."""
    before = old.gains()
    return {
        f"{name}, mean": gain.mean - before[name].mean
        for name, gain in new.gains().items()
        if "," in name and not name.startswith(GRID)
    }


def _check_same(new: Verdict, old: Verdict) -> None:
    for what in ASKED:
        here, there = getattr(new, what), getattr(old, what)
        if here != there:
            raise EvaluationError(f"verdicts differ in {what}, {here} and {there}; judge both weights anew")
    untouched = [_untouched(verdict.scores) for verdict in (new, old)]
    if untouched[0].keys() != untouched[1].keys():
        raise EvaluationError("verdicts are of other cases; judge both weights anew")
    for case, psnr in untouched[0].items():
        if abs(psnr - untouched[1][case]) > SAME_DB:
            raise EvaluationError(f"the window of {', '.join(case)} is another; judge both weights anew")


def _untouched(scores: Iterable[Score]) -> dict[tuple[str, str, str], float]:
    return {(score.group, score.kind, score.name): score.untouched for score in scores}
