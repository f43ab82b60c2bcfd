"""Milestones of a stage: weights that stay, what the judge says of them, and whether they may take others' place.

Weights that gain here and lose there are tried once more half-way to those that they are to beat, which mostly keeps
the gain and loses less; see training.mean.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from streamderain.config import TrainConfig
from streamderain.evaluation.judge.judge import judge
from streamderain.evaluation.judge.material import Material
from streamderain.evaluation.judge.verdict import Verdict, compare
from streamderain.networks import weights as files
from streamderain.networks.restorer import Restorer
from streamderain.training.mean import are_alike, mean_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Milestones:
    """Judges a network in training every `core_hours` and at its end, on `material`, one case of `every`.

    `rival` names weights, bundled ones or a file's, that are to be beaten: what beats them by the judge's rule goes
    into `folder` under their name, with its verdict, and is then to be beaten itself, until the judge asks other
    questions: then the rival is the one to beat again.
    """

    material: Material
    folder: Path
    rival: str | None = None
    core_hours: float = 1.0
    every: int = 1

    def at_row_of(self, config: TrainConfig, state: Mapping[str, float]) -> Callable[[Mapping[str, float]], None]:
        """What takes each row of a run's log, and judges the run's weights where one is due; `state` is the run's
        before it goes on.
        """
        hours = self._hours(state.get("core_seconds", 0.0))

        def at_row(row: Mapping[str, float]) -> None:
            nonlocal hours
            now = self._hours(row["core_seconds"])
            if now > hours or row["step"] == config.steps:
                self.reach(config.folder / "weights.safetensors", row)
            hours = now

        return at_row

    def _hours(self, core_seconds: float) -> int:
        """How many milestones lie behind."""
        return int(core_seconds / (3600 * self.core_hours))

    def reach(self, weights: Path, row: Mapping[str, float]) -> Verdict:
        """Judge the file `weights`, keep it beside what was said of it, and where it is better, put it forward."""
        verdict = self._judged(str(weights))
        kept = weights.parent / "milestones" / f"step-{row['step']:.0f}"
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(weights, kept.with_suffix(".safetensors"))
        _write(kept.with_suffix(".json"), {**row, **verdict.as_json()})
        gains, dry = verdict.gains(), verdict.dry()
        logger.info(
            "judge: %s; dry %s",
            ", ".join(f"{name} {gain.mean:+.2f} / {gain.worst_tenth:+.2f}" for name, gain in gains.items()),
            ", ".join(f"{name} {harm.mean:.1f} / {harm.lowest:.1f}" for name, harm in dry.items()),
        )
        if self.rival:
            self._put_forward(weights, verdict, self.rival)
        return verdict

    def _put_forward(self, weights: Path, verdict: Verdict, rival: str) -> None:
        champion = self.folder / f"{Path(rival).stem}.safetensors"
        said = champion.with_suffix(".json")
        best = Verdict.of_json(json.loads(said.read_text())) if said.exists() else None
        if not best or not best.is_comparable(verdict):
            best = self._judged(rival)
            _write(said, best.as_json())
        to_beat = champion if champion.exists() else files.find(rival)
        for words, candidate, its in self._candidates(weights, verdict, to_beat):
            found = compare(its, best)
            outcome = "better" if found.better else "not better"
            logger.info("%s%s than %s so far: %s", words, outcome, rival, "; ".join(found.reasons))
            if found.better:
                shutil.copyfile(candidate, champion)
                _write(said, its.as_json())
                return

    def _candidates(self, weights: Path, verdict: Verdict, to_beat: Path) -> Iterator[tuple[str, Path, Verdict]]:
        yield "", weights, verdict
        states = [files.read(weights), files.read(to_beat)]
        if are_alike(states):
            path = weights.with_name("half-way.safetensors")
            save_file(mean_of(states, (1, 1)), path)
            yield "half-way, ", path, self._judged(str(path))

    def _judged(self, model: str) -> Verdict:
        return judge(Restorer.load(model, "cpu", "torch", "float32"), self.material, self.every)


def _write(path: Path, found: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(found))
    beside.replace(path)
