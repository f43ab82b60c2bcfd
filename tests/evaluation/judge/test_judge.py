"""Networks that are known to be good or bad get the verdict that they deserve."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from streamderain.errors import EvaluationError
from streamderain.evaluation.baselines import MedianOfThree, Nothing
from streamderain.evaluation.judge.cases import Case, Windows, all_cases
from streamderain.evaluation.judge.judge import EQUAL_DB, judge
from streamderain.evaluation.judge.material import Material, present
from streamderain.evaluation.judge.verdict import Verdict, compare
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer
from streamderain.rain.falling import blur

EVERY = 61
CPU = torch.device("cpu")
SMALL = Variant(widths=(8, 16, 32, 64), blocks=(0, 0, 0, 1), mefc=False, scale=2, past=1, future=1)


class Made:
    """A network of one line that reads `past` and `future` frames around the present one."""

    device = CPU

    def __init__(self, answer: Callable[[Tensor], Tensor], past: int = 0, future: int = 0) -> None:
        self.answer, self.past, self.future = answer, past, future

    def restore(self, windows: Tensor) -> Tensor:
        assert windows.shape[:3] == (1, self.past + 1 + self.future, 3)
        assert windows.dtype == torch.float32
        return self.answer(windows[0])[None]


@pytest.fixture(autouse=True, scope="module")
def drawn_once() -> Iterator[None]:
    """All tests here share what is drawn, which takes most of their time; that it is drawn the same again, the tests of
    cases see to.
    """
    drawn: dict[tuple[str, ...], Windows] = {}

    def draw(case: Case, material: Material) -> Windows:
        key = (case.group, case.kind, case.name, material.digest, str(len(material.photos)), str(material.clip is None))
        if key not in drawn:
            drawn[key] = case.draw(material)
        return drawn[key]

    def cases(material: Material, every: int = 1) -> list[Case]:
        return [replace(case, draw=partial(draw, case)) for case in all_cases(material, every)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamderain.evaluation.judge.judge.all_cases", cases)
        yield


def perfect(material: Material) -> Made:
    """Knows the clean window of every rainy one."""
    known = {}
    for case in all_cases(material, EVERY):
        rainy, clean = case.draw(material)
        known[present(rainy).numpy().tobytes()] = present(clean)[0].float() / 255
    return Made(lambda window: known[(window * 255).round().to(torch.uint8).numpy().tobytes()])


def test_a_network_that_does_nothing_gains_and_harms_nothing(material: Material) -> None:
    found = judge(Nothing(CPU), material, EVERY)
    assert all(gain.mean == gain.worst_tenth == 0 for gain in found.gains().values())
    assert all(harm.lowest == EQUAL_DB for harm in found.dry().values())
    assert found.passes_gate


def test_a_network_that_knows_the_clean_picture_gains_all_there_is(material: Material) -> None:
    nothing, found = judge(Nothing(CPU), material, EVERY), judge(perfect(material), material, EVERY)
    assert all(score.derained == EQUAL_DB for score in found.scores)
    assert found.gains()["grid"].mean == pytest.approx(EQUAL_DB - found.gains()["grid"].untouched)
    assert compare(found, nothing).better
    assert not compare(nothing, found).better


def test_a_network_that_blurs_fails_the_dry_gate(material: Material) -> None:
    found = judge(Made(lambda window: blur(window[0], 1.0)), material, EVERY)
    assert not found.passes_gate
    assert not compare(found, judge(Nothing(CPU), material, EVERY)).better


def test_the_median_gains_where_the_scene_stands_or_rain_moves_on(material: Material) -> None:
    found = judge(MedianOfThree(CPU), material, EVERY)
    assert found.gains()["grid, still"].mean == 0, "streaks of a still stay where they are"
    assert found.gains()["grid, moving"].mean != 0


def test_scores_are_the_same_twice_and_in_a_quick_look(material: Material) -> None:
    network = Made(lambda window: window[0] * 0.98)
    found = judge(network, material, EVERY)
    assert found == judge(network, material, EVERY)
    fewer = judge(network, material, 3 * EVERY)
    assert len(fewer.scores) < len(found.scores)
    assert set(map(str, fewer.scores)) <= set(map(str, found.scores))


def test_a_network_gets_the_frames_that_it_reads(material: Material) -> None:
    """The present is the last of those that look back alone; the nearest stand for frames that there are not."""
    live = judge(Made(lambda window: window[-1], past=2), material, EVERY)
    assert all(score.gain == 0 for score in live.scores)
    late = judge(Made(lambda window: window[-2], past=2), material, EVERY)
    assert late.gains()["grid, moving"].mean != 0
    far = judge(Made(lambda window: window[4] + window[0] - window[2], past=4, future=1), material, EVERY)
    assert all(score.gain == 0 for score in far.scores), "before the first frame comes the first frame"


def test_of_a_past_alone_no_frame_after_the_present_is_seen(material: Material) -> None:
    found = judge(Made(lambda window: window[1], past=0, future=1), material, EVERY).gains()
    assert found["falling, past alone"].mean == 0, "the present frame stands for the one after it"
    assert found["falling, moving"].mean != 0
    assert found["falling, past alone"].untouched == pytest.approx(found["falling, moving"].untouched)


def test_what_is_done_is_reported(material: Material) -> None:
    reports: list[tuple[int, int]] = []
    judge(Nothing(CPU), material, 240, lambda done, of: reports.append((done, of)))
    assert reports == [(number + 1, len(reports)) for number in range(len(reports))]


@pytest.mark.parametrize("answer", [lambda window: window[0] * torch.nan, lambda window: window[0, :, 1:]])
def test_an_answer_that_is_no_picture_is_refused(material: Material, answer: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(EvaluationError, match="the network's answer to"):
        judge(Made(answer), material, 240)


def test_a_network_in_training_is_judged_and_left_as_it_is(material: Material) -> None:
    network = DRSformer(SMALL).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = judge(Restorer(network, "cpu", "torch"), material, 240)
    assert first == judge(Restorer(network, "cpu", "torch"), material, 240)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.requires_grad for value in network.parameters())


def test_the_command_prints_a_table_writes_json_and_compares(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from streamderain.cli.app import app

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("streamderain.evaluation.judge.judge.QUICK", 240)
    first, second = (str(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    for seed, path in enumerate((first, second)):
        torch.manual_seed(seed)
        save_file(DRSformer(SMALL).state_dict(), path)
    options = ["--quick", "--device", "cpu", "--photos", str(photos), "--set", "clip=null", "--json"]
    done = CliRunner().invoke(app, ["judge", first, second, *options, str(tmp_path / "v.json")])
    assert done.exit_code == 0, done.output
    for words in ("grid, still (1)", "dry gate", "lean 0"):
        assert words in done.output
    written = json.loads((tmp_path / "v.json").read_text())
    assert written[first]["every"] == 240
    found = compare(*(Verdict.of_json(written[name]) for name in (second, first)))
    assert not found.better, "weights that were never trained fail the gate"
    assert f"{second} is not better than {first}: {'; '.join(found.reasons)}" in done.output.splitlines()


def test_the_command_refuses_what_is_not_there(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from streamderain.cli.app import app

    refused = CliRunner().invoke(app, ["judge", "fast", "--device", "cpu", "--photos", str(tmp_path)])
    assert "no photos to judge on in" in str(refused.exception)
