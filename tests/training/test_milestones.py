"""Milestones: judged when due, and put forward only where they are better."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streamderain.config import TrainConfig
from streamderain.evaluation.judge import judge as judging
from streamderain.evaluation.judge.cases import DRY, FALLING, GRID, MOVING, STILL
from streamderain.evaluation.judge.material import Material
from streamderain.evaluation.judge.verdict import Score, Verdict
from streamderain.networks import weights as files
from streamderain.training import milestones
from streamderain.training.milestones import Milestones


def verdict(gain: float, dry: float = 50.0) -> Verdict:
    rain = [Score(GRID, kind, "streaks", 20.0, 20.0 + gain, {"width": 1.0}) for kind in (STILL, MOVING)]
    return Verdict(1, "digest", 1, (*rain, Score(DRY, STILL, "photo", 100.0, dry)))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Verdict]:
    """What the judge is to say of weights, by name or by what the file holds."""
    said: dict[str, Verdict] = {"fast": verdict(2.0)}

    def judge(self: Milestones, model: str) -> Verdict:
        return said[model if model in said else Path(model).read_bytes().decode()]

    monkeypatch.setattr(Milestones, "_judged", judge)
    # Networks of other shapes, of which there is no mean.
    monkeypatch.setattr(files, "read", lambda path: {path.name: torch.zeros(1)})
    return said


def weights(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "stage" / "weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def made(tmp_path: Path, rival: str | None = "fast", core_hours: float = 1.0) -> Milestones:
    return Milestones(Material([], None, "digest"), tmp_path / "champions", rival, core_hours)


def row(step: int, core_seconds: float = 1.0) -> dict[str, float]:
    return {"step": step, "core_seconds": core_seconds}


def test_the_best_so_far_is_put_forward_and_never_a_worse_one(tmp_path: Path, judged: dict[str, Verdict]) -> None:
    judged |= {"worse": verdict(1.9), "better": verdict(3.0), "harmful": verdict(9.0, dry=30.0), "last": verdict(3.5)}
    champion = tmp_path / "champions" / "fast.safetensors"
    seen = []
    for step, name in enumerate(("worse", "better", "harmful", "worse", "last"), 1):
        made(tmp_path).reach(weights(tmp_path, name), row(step))
        seen.append(champion.read_text() if champion.exists() else None)
    assert seen == [None, "better", "better", "better", "last"]
    said = Verdict.of_json(json.loads(champion.with_suffix(".json").read_text()))
    assert said == judged["last"]


def test_a_judge_that_asks_something_else_begins_with_the_rival_again(
    tmp_path: Path, judged: dict[str, Verdict]
) -> None:
    judged["easily"] = verdict(5.0)
    made(tmp_path).reach(weights(tmp_path, "easily"), row(1))
    judged |= {name: replace(verdict(gain), version=2) for name, gain in (("fast", 1.0), ("worse", 0.9), ("new", 1.5))}
    champion = tmp_path / "champions" / "fast.safetensors"
    made(tmp_path).reach(weights(tmp_path, "worse"), row(2))
    assert Verdict.of_json(json.loads(champion.with_suffix(".json").read_text())) == judged["fast"]
    made(tmp_path).reach(weights(tmp_path, "new"), row(3))
    assert champion.read_text() == "new"


def test_a_milestone_stays_with_what_was_said_of_it(tmp_path: Path, judged: dict[str, Verdict]) -> None:
    judged["a"] = verdict(1.0)
    made(tmp_path, rival=None).reach(weights(tmp_path, "a"), row(400, 77.0))
    kept = tmp_path / "stage" / "milestones" / "step-400.safetensors"
    assert kept.read_text() == "a"
    found = json.loads(kept.with_suffix(".json").read_text())
    assert (found["step"], found["core_seconds"]) == (400, 77.0)
    assert Verdict.of_json(found) == judged["a"]
    assert not (tmp_path / "champions").exists()


def test_one_is_due_every_so_many_core_hours_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[float] = []
    monkeypatch.setattr(Milestones, "reach", lambda self, weights, row: reached.append(row["step"]))
    config = TrainConfig(folder=tmp_path, steps=60)
    half_hours = made(tmp_path, core_hours=0.5)
    at_row = half_hours.at_row_of(config, {})
    for step in range(10, 40, 10):
        at_row(row(step, core_seconds=90.0 * step))
    assert reached == [20]
    # Stopped, and gone on: the hours that lie behind are not judged again.
    at_row = half_hours.at_row_of(config, {"core_seconds": 2700.0})
    for step in range(40, 70, 10):
        at_row(row(step, core_seconds=90.0 * step))
    assert reached == [20, 40, 60]


@pytest.mark.parametrize(("value", "expected"), [(0.25, 0.25), (1.0, 0.5), (3.0, None)])
def test_what_loses_too_much_is_tried_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, expected: float | None
) -> None:
    def judge(self: Milestones, model: str) -> Verdict:
        """More of the network gains on streaks, and loses more and more of what falls."""
        now = float(files.read(files.find(model))["share"])
        gains = {GRID: 2 + now, FALLING: 5 - 0.3 * now**2}
        return Verdict(
            1, "digest", 1, tuple(Score(each, STILL, "a", 20.0, 20.0 + gain, {}) for each, gain in gains.items())
        )

    monkeypatch.setattr(Milestones, "_judged", judge)
    paths = {name: tmp_path / name / f"{name}.safetensors" for name in ("rival", "weights")}
    for path, share in zip(paths.values(), (0.0, value), strict=True):
        path.parent.mkdir()
        save_file({"share": torch.tensor([share]), "version": torch.tensor([3])}, path)
    made(tmp_path, str(paths["rival"])).reach(paths["weights"], row(1))
    champion = tmp_path / "champions" / "rival.safetensors"
    assert (float(files.read(champion)["share"]) if champion.exists() else None) == expected


def test_the_judge_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With real weights and a real network; its cases are counted elsewhere."""
    from streamderain.networks.drsformer import DRSformer
    from streamderain.networks.drsformer.variant import Variant

    small = DRSformer(Variant((8, 16, 32, 64), blocks=(0, 0, 0, 1), expansion=1.0, mefc=False, past=1, future=1))
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in small.state_dict().items()}, path)
    monkeypatch.setattr(judging, "all_cases", lambda material, every: [])
    picture = torch.zeros(3, 192, 192, dtype=torch.uint8)
    asked = Milestones(Material([picture], None, "digest"), tmp_path, None)._judged(str(path))
    assert asked == Verdict(judging.VERSION, "digest", 1, ())
    assert milestones.Restorer.load(str(path), "cpu").past == 1
