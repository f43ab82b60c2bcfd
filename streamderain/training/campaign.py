"""A campaign: many stages of training in a row, resumed wherever they were, as often as they are stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from streamderain.config import TrainConfig, build
from streamderain.errors import TrainingError
from streamderain.training.trainer import Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One network's training in a campaign; `config.folder` holds all that it leaves."""

    name: str
    config: TrainConfig

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
    its own; those of `overlay` win over all. One with `seeds` is as many stages, NAME-SEED. `start` may name an earlier
    stage, whose weights it begins with. Raises TrainingError for what is no plan, ConfigError for settings that there
    are not.
    """
    try:
        plan = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f"{path} is no plan that can be read: {str(error).splitlines()[0]}") from error
    if not isinstance(plan, dict) or not plan.get("stages") or "folder" not in plan:
        raise TrainingError(f"{path} is no plan of a campaign; it needs folder and stages")
    folders: dict[str, Path] = {}
    stages = []
    for given in _expanded(plan["stages"]):
        settings = {**plan.get("settings", {}), **given, **(overlay or {})}
        name = settings.pop("name", None)
        if not name or name in folders:
            raise TrainingError(f"a stage of {path} is called {name}; each needs a name of its own")
        if settings.get("start") in folders:
            settings["start"] = str(folders[settings["start"]] / "weights.safetensors")
        folders[name] = Path(plan["folder"]) / name
        stages.append(Stage(name, build(TrainConfig, folder=folders[name], **settings)))
    return stages


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
    report: Callable[[str, dict[str, float]], None] = lambda stage, row: None,
    rest: Callable[[], None] = lambda: None,
) -> None:
    """Train the stages that are not done yet, one after the other, and go on where the last run was stopped.

    `report` gets the name of a stage and each row of its log; `rest` is called before each step. Raises what `train`
    does.
    """
    for stage in stages:
        if stage.is_done:
            continue
        logger.info("stage %s: %d of %d steps are done", stage.name, stage.state.get("step", 0), stage.config.steps)
        Trainer.prepared(stage.config).run(partial(report, stage.name), rest)
