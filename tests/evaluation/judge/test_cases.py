"""Every combination once, and every case a function of its name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from streamderain.evaluation.judge.cases import (
    CLIP,
    CRFS,
    DOWNPOUR,
    DRY,
    FALLING_KINDS,
    FILMED,
    FILMED_PACES,
    FOREIGN,
    FOREIGN_KINDS,
    GRID,
    LOOK_ALIKES,
    MOVING,
    PAST_ALONE,
    STILL,
    Case,
    all_cases,
    rendered,
)
from streamderain.evaluation.judge.material import FRAMES, Material, present
from streamderain.evaluation.metrics import luma, psnr


def test_the_grid_has_every_combination_once_still_and_moving(material: Material) -> None:
    grid = [case for case in all_cases(material) if case.group == GRID]
    seen = Counter((case.kind, *case.axes.values()) for case in grid)
    assert len(seen) == 2 * 5 * 4 * 4 * 3
    assert set(seen.values()) == {1}


def test_every_case_has_a_name_of_its_own(material: Material) -> None:
    names = Counter((case.group, case.kind, case.name) for case in all_cases(material))
    assert set(names.values()) == {1}


def test_a_quick_look_takes_some_of_each_group_and_every_value_of_the_axes(material: Material) -> None:
    every, quick = all_cases(material), all_cases(material, 7)
    whole = {(case.group, case.kind, case.name) for case in every}
    assert {(case.group, case.kind, case.name) for case in quick} <= whole
    assert {(case.group, case.kind) for case in quick} == {(case.group, case.kind) for case in every}
    assert len(quick) < len(whole) / 6
    for axis in ("lean", "length", "width", "brightness"):
        assert {case.axes[axis] for case in quick if case.axes} == {case.axes[axis] for case in every if case.axes}


def test_without_a_clip_its_cases_are_left_out(material: Material) -> None:
    groups = {(case.group, case.kind) for case in all_cases(Material(material.photos, None, ""))}
    assert (CLIP, MOVING) not in groups
    assert (DRY, CLIP) not in groups
    assert (DRY, STILL) in groups


def test_rain_is_drawn_as_the_case_says(material: Material) -> None:
    for case in all_cases(material, 61):
        rainy, clean = case.draw(material)
        assert len(rainy) == len(clean) == FRAMES
        assert rainy.dtype == clean.dtype == torch.uint8
        stands = all(torch.equal(frame, rainy[0]) for frame in rainy)
        assert stands == (case.kind == STILL)
        if case.group in (DRY, LOOK_ALIKES):
            assert torch.equal(rainy, clean)
        else:
            assert (10 if case.group == DOWNPOUR else 16) < psnr(luma(present(rainy)), luma(present(clean))) < 38


def test_what_is_dry_is_so_in_a_mirror_too(material: Material) -> None:
    dry = {(case.kind, case.name): case for case in all_cases(material) if case.group == DRY}
    straight = [key for key in dry if not key[1].endswith(", mirrored")]
    assert 2 * len(straight) == len(dry)
    for kind, name in straight[:: len(straight) // 4]:
        (rainy, _), (turned, clean) = (dry[kind, each].draw(material) for each in (name, f"{name}, mirrored"))
        assert torch.equal(turned, rainy.flip(-1))
        assert torch.equal(turned, clean)
        assert not torch.equal(turned, rainy)


def test_drawing_a_case_again_gives_the_same_window(material: Material) -> None:
    for case in all_cases(material, 97):
        assert all(torch.equal(*each) for each in zip(case.draw(material), case.draw(material), strict=True))


def test_foreign_rain_is_asked_for_in_a_group_of_its_own(material: Material) -> None:
    asked = Counter((case.kind, case.name.rsplit(" ", 1)[0]) for case in all_cases(material) if case.group == FOREIGN)
    assert asked == {(kind, name): 4 for kind in (STILL, MOVING, PAST_ALONE) for name in FOREIGN_KINDS}


def test_every_rain_is_recorded_at_every_pace_and_quality(material: Material) -> None:
    cases = [case for case in all_cases(material) if case.group == FILMED]
    assert Counter(case.kind for case in cases) == dict.fromkeys(
        (MOVING, PAST_ALONE), len(FALLING_KINDS) * len(FILMED_PACES) * len(CRFS)
    )


def test_a_recording_camera_moves_as_its_pace_says_and_loses_more_at_a_worse_quality(material: Material) -> None:
    drawn = {
        case.name: case.draw(material) for case in all_cases(material) if case.group == FILMED and _is_drizzle(case)
    }
    moved = {
        pace: [_motion(clean) for name, (_, clean) in drawn.items() if f"pace {pace:g}," in name]
        for pace in FILMED_PACES
    }
    assert max(moved[0.0]) < min(moved[25.0])
    grain = {crf: [_grain(clean) for name, (_, clean) in drawn.items() if name.endswith(f"crf {crf}")] for crf in CRFS}
    assert sum(grain[CRFS[0]]) > sum(grain[CRFS[-1]])


def _is_drizzle(case: Case) -> bool:
    return case.kind == MOVING and case.name.startswith("drizzle")


def _motion(window: Tensor) -> float:
    """The mean difference of neighbouring frames, in codes."""
    return float((window[1:].float() - window[:-1].float()).abs().mean())


def _grain(window: Tensor) -> float:
    """The mean difference of neighbouring pixels, in codes."""
    return float((window[..., 1:].float() - window[..., :-1].float()).abs().mean())


def test_streaks_alone_fall_in_foreign_rain_leaning_as_the_seed_chooses() -> None:
    grey = torch.full((3, 192, 192), 0.3)
    for rain in FOREIGN_KINDS.values():
        left, right = (rain(192, 192, seed).on(grey, 1.0) - grey for seed in (1, 2))
        assert not torch.equal(left, right)
        assert float((left.abs() < 1 / 255).float().mean()) > 0.2, "mist would lie over all of it"


@dataclass
class Snow:
    """White below a row that depends on the seed."""

    row: int

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        return torch.cat((clean[:, : self.row], torch.ones_like(clean[:, self.row :])), dim=1)


@pytest.mark.parametrize("kind", [STILL, MOVING, PAST_ALONE])
def test_another_renderer_enters_as_a_group_of_kinds(material: Material, kind: str) -> None:
    cases = [
        case
        for case in rendered("weather", {"snow": lambda height, width, seed: Snow(seed % height)})
        if case.kind == kind
    ]
    assert [case.name for case in cases] == ["snow 1", "snow 2", "snow 3", "snow 4"]
    rainy, clean = cases[0].draw(material)
    changed = (rainy != clean).any(dim=1).any(dim=-1)
    assert bool((rainy[..., -1, :] == 255).all())
    assert 0 < float(changed.float().mean()) <= 1
