"""A campaign goes through its stages, and a stop at any moment costs what came after the last save."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from streamderain.errors import ConfigError, TrainingError
from streamderain.evaluation.judge.material import Material
from streamderain.networks import weights
from streamderain.networks.drsformer.variant import Variant
from streamderain.training.campaign import read_plan, run_campaign
from streamderain.training.growth import can_grow
from streamderain.training.milestones import Milestones
from streamderain.training.trainer import variant_of
from tests.pictures import write_image

PLANS = Path(__file__).parents[2] / "configs" / "campaign"
SMALL = {
    "device": "cpu", "blocks": [0, 0, 0, 1], "expansion": 1.0, "dense": [0, 0], "steps": 3, "batch": 1, "patch": 16,
    "window": 16, "cache": 2, "workers": 0, "validate_every": 1, "held_out_samples": 1, "held_out_photos": 1,
}  # fmt: skip

CAMPAIGN = """
import pathlib, sys
from streamderain.training.campaign import read_plan, run_campaign
run_campaign(read_plan(pathlib.Path(sys.argv[1])), lambda stage, row: print(row["step"], flush=True))
"""


def plan_of(tmp_path: Path, stages: list[dict[str, Any]], **settings: Any) -> Path:
    for number in range(2):
        picture = torch.randint(0, 255, (3, 24, 32), dtype=torch.uint8)
        write_image(tmp_path / "photos" / f"{number}.png", picture)
    common = {**SMALL, "photos": str(tmp_path / "photos"), **settings}
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({"folder": str(tmp_path / "made"), "settings": common, "stages": stages}))
    return path


def test_stages_run_in_their_order_and_start_from_each_other(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [{"name": "first"}, {"name": "second", "start": "first", "steps": 1, "rate": 1e-9}])
    seen: list[tuple[str, float]] = []
    run_campaign(read_plan(plan), lambda stage, row: seen.append((stage, row["step"])))
    assert seen == [("first", 1), ("first", 2), ("first", 3), ("second", 1)]
    first, second = (load_file(tmp_path / "made" / name / "weights.safetensors") for name in ("first", "second"))
    assert all(torch.allclose(first[name], second[name].to(first[name]), atol=1e-6) for name in first)
    seen.clear()
    run_campaign(read_plan(plan), lambda stage, row: seen.append((stage, row["step"])))
    assert seen == []


def test_a_stage_may_be_taught_by_one_before_it_or_by_others(tmp_path: Path) -> None:
    stages = [{"name": "first"}, {"name": "second", "teacher": "first"}, {"name": "third", "teacher": "best"}]
    made = str(tmp_path / "made" / "first" / "weights.safetensors")
    assert [stage.config.teacher for stage in read_plan(plan_of(tmp_path, stages))] == [None, made, "best"]


def test_a_stage_with_seeds_is_one_for_each(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [{"name": "narrow", "seeds": [3, 8], "rate": 1e-4}])
    stages = read_plan(plan)
    assert [(stage.name, stage.config.seed, stage.config.rate) for stage in stages] == [
        ("narrow-3", 3, 1e-4),
        ("narrow-8", 8, 1e-4),
    ]
    assert [stage.config.folder for stage in stages] == [tmp_path / "made" / stage.name for stage in stages]


def test_a_stage_may_be_the_mean_of_others_and_is_made_and_judged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    monkeypatch.setattr(Milestones, "reach", lambda self, path, row: judged.append(path.parent.name))
    stages = [
        {"name": "first"},
        {"name": "second", "seed": 2},
        {"name": "both", "mean": {"first": 1, "second": 3}},
        {"name": "third", "start": "both", "rate": 1e-9},
    ]
    plan, seen = read_plan(plan_of(tmp_path, stages, steps=1)), []
    for _ in range(2):
        run_campaign(plan, lambda stage, row: seen.append((stage, row["step"])), judged_on=Material([], None, "digest"))
        assert seen == [("first", 1), ("second", 1), ("both", 0), ("third", 1)]
        assert judged == ["first", "second", "both", "third"]
    first, second, both, third = (load_file(stage.config.folder / "weights.safetensors") for stage in plan)
    for name, value in both.items():
        torch.testing.assert_close(value, (first[name] / 4 + second[name] * 3 / 4).to(value), msg=name)
        torch.testing.assert_close(value, third[name], atol=1e-6, rtol=0, msg=name)
    (plan[2].config.folder / "state.json").unlink()
    run_campaign(plan, judged_on=Material([], None, "digest"))
    assert judged == ["first", "second", "both", "third", "both"], "a mean that nobody judged is no stage that is done"


def test_what_is_given_for_all_wins(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [{"name": "a", "rate": 1e-4}, {"name": "b"}])
    assert [stage.config.rate for stage in read_plan(plan, {"rate": 3e-4})] == [3e-4, 3e-4]


def begun(model: str, made: dict[str, Variant]) -> Variant:
    return made.get(Path(model).parent.name) or Variant.of(weights.read(weights.find(model)))


def test_each_stage_of_our_own_plans_can_begin_with_what_it_names() -> None:
    for plan in sorted(PLANS.glob("*.yaml")):
        made: dict[str, Variant] = {}
        for stage in read_plan(plan):
            start, mean = stage.config.start, [begun(model, made) for model in stage.mean]
            made[stage.name] = wanted = mean[0] if mean else variant_of(stage.config)
            assert set(mean) <= {wanted}, (plan.name, stage.name)
            if start:
                first = begun(start, made)
                assert first == wanted or can_grow(first, wanted), (plan.name, stage.name)


def test_kill_9_costs_what_came_after_the_last_save(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [{"name": "long"}], steps=10**6)
    process = subprocess.Popen([sys.executable, "-c", CAMPAIGN, str(plan)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line == "2\n":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (stage,) = read_plan(plan)
    # The checkpoint's own: it may have been killed before it could say so in state.json.
    step = torch.load(stage.config.folder / "checkpoint.pt", weights_only=True)["step"]
    assert step >= 2
    shorter = plan_of(tmp_path, [{"name": "long"}], steps=step + 2)
    seen: list[float] = []
    run_campaign(read_plan(shorter), lambda _, row: seen.append(row["step"]))
    assert seen == [step + 1, step + 2]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[]", TrainingError, "is no plan of a campaign; it needs folder and stages"),
        ("folder: x", TrainingError, "is no plan of a campaign"),
        ("folder: [", TrainingError, "is no plan that can be read"),
        ("{folder: x, stages: [{rate: 1}]}", TrainingError, "needs a name of its own"),
        ("{folder: x, stages: [{name: a}, {name: a}]}", TrainingError, "needs a name of its own"),
        ("{folder: x, stages: [{name: a, widht: 3}]}", ConfigError, "no setting is called widht"),
        (
            "{folder: x, stages: [{name: a, mean: fast}]}",
            TrainingError,
            "the mean of the stage a is fast; it needs names",
        ),
        ("{folder: x, stages: [{name: a, mean: {fast: 1, best: 0}}]}", TrainingError, "with shares above 0"),
        ("{folder: x, stages: [{name: a, mean: {fast: much}}]}", TrainingError, "with shares above 0"),
    ],
)
def test_what_is_no_plan_is_refused_in_words(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(error, match=words):
        read_plan(path)
    with pytest.raises(TrainingError, match="is no plan that can be read"):
        read_plan(tmp_path / "none.yaml")
