"""A campaign: many stages of training in a row, resumed wherever they were, as often as they are stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from streamderain.config import TrainConfig, build
from streamderain.errors import TrainingError, first_line
from streamderain.evaluation.judge.material import Material
from streamderain.training.mean import write_mean
from streamderain.training.milestones import Milestones
from streamderain.training.trainer import Trainer

logger = logging.getLogger(__name__)

Report = Callable[[str, Mapping[str, float]], None]
"""Takes the name of a stage and a row of its log."""


@dataclass(frozen=True)
class Stage:
    """One network's training in a campaign; `config.folder` holds all that it leaves. `rival` names the weights whose
    place it is meant to take. One with a `mean` is not trained: it is that of the weights that are named there, each by
    its share.
    """

    name: str
    config: TrainConfig
    rival: str | None = None
    mean: Mapping[str, float] = field(default_factory=dict)

    @property
    def state(self) -> Mapping[str, float]:
        """How far it is: step, steps and core_seconds; nothing before its first save."""
        path = self.config.folder / "state.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @property
    def is_done(self) -> bool:
        """Whether all of its steps are done."""
        return self.state.get("step", -1) >= self.config.steps


def read_plan(path: Path, overlay: Mapping[str, Any] | None = None) -> list[Stage]:
    """The stages of a plan, a YAML file, in their order.

    `folder` is where their folders go, `settings` hold for all stages, each of `stages` has a `name` and settings of
    its own; those of `overlay` win over all. One with `seeds` is as many stages, NAME-SEED. `rival` and `mean` are
    those of Stage; `start`, `teacher` and the names of a `mean` may be earlier stages, whose weights are taken. What
    else stands in a plan is for its own use, as are `shapes` of networks that stages take over by YAML's `<<`. Raises
    TrainingError for what is no plan, ConfigError for settings that there are not.
    """
    try:
        plan = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f"{path} is no plan that can be read: {first_line(error)}") from error
    if not isinstance(plan, dict) or not plan.get("stages") or "folder" not in plan:
        raise TrainingError(f"{path} is no plan of a campaign; it needs folder and stages")
    folders: dict[str, Path] = {}
    stages = []

    def weights_of(model: str) -> str:
        return str(folders[model] / "weights.safetensors") if model in folders else model

    for given in _expanded(plan["stages"]):
        settings = {**plan.get("settings", {}), **given, **(overlay or {})}
        name = settings.pop("name", None)
        if not name or name in folders:
            raise TrainingError(f"a stage of {path} is called {name}; each needs a name of its own")
        for key in ("start", "teacher"):
            if key in settings:
                settings[key] = weights_of(settings[key])
        rival, mean = settings.pop("rival", None), _shares(name, settings.pop("mean", {}))
        if mean:
            settings["steps"] = 0
        of_files = {weights_of(model): share for model, share in mean.items()}
        folders[name] = Path(plan["folder"]) / name
        stages.append(Stage(name, build(TrainConfig, folder=folders[name], **settings), rival, of_files))
    return stages


def _shares(name: str, mean: Any) -> Mapping[str, float]:
    if not isinstance(mean, dict) or not all(isinstance(share, int | float) and share > 0 for share in mean.values()):
        raise TrainingError(f"the mean of the stage {name} is {mean}; it needs names of weights with shares above 0")
    return mean


def _expanded(stages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for stage in stages:
        seeds = stage.get("seeds")
        rest = {key: value for key, value in stage.items() if key != "seeds"}
        if not seeds:
            yield rest
        for seed in seeds or ():
            yield {**rest, "name": f"{stage.get('name')}-{seed}", "seed": seed}


def run_campaign(
    stages: Iterable[Stage],
    report: Report = lambda stage, row: None,
    rest: Callable[[], None] = lambda: None,
    judged_on: Material | None = None,
) -> None:
    """Do the stages that are not done yet, one after the other, and go on where the last run was stopped.

    `report` gets the name of a stage and each row of its log; `rest` is called before each step. Milestones are judged
    on the material that is given. Raises what `train`, `write_mean` and `judge` do.
    """
    for stage in stages:
        if not stage.is_done:
            _run(stage, report, rest, judged_on)


def _run(stage: Stage, report: Report, rest: Callable[[], None], judged_on: Material | None) -> None:
    looks: list[Callable[[Mapping[str, float]], None]] = [partial(report, stage.name)]
    if judged_on:
        champions = stage.config.folder.parent / "champions"
        looks.append(Milestones(judged_on, champions, stage.rival).at_row_of(stage.config, stage.state))

    def at_row(row: Mapping[str, float]) -> None:
        for look in looks:
            look(row)

    if stage.mean:
        logger.info("stage %s: the mean of %s", stage.name, ", ".join(stage.mean))
        _average(stage, at_row)
    else:
        steps = stage.state.get("step", 0), stage.config.steps
        logger.info("stage %s: %d of %d steps are done", stage.name, *steps)
        Trainer.prepared(stage.config).run(at_row, rest)


def _average(stage: Stage, at_row: Callable[[Mapping[str, float]], None]) -> None:
    folder, row = stage.config.folder, {"step": 0, "core_seconds": 0.0}
    write_mean(stage.mean, folder / "weights.safetensors")
    at_row(row)
    # Not before it is judged, which a stop would else leave out.
    beside = folder / "new"
    beside.write_text(json.dumps(row))
    beside.replace(folder / "state.json")
