"""Alignment: frames of a moving camera fall onto each other, rain or not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from streamderain.networks.drsformer.alignment import aligned, candidate_count, medians
from tests.scenery import SIZE, inner, scene


def test_a_still_window_stays_as_it_is() -> None:
    window = scene(0, 0).expand(1, 5, -1, -1, -1)
    torch.testing.assert_close(aligned(window, 2), window, rtol=0, atol=1e-4)


@pytest.mark.parametrize("pace", [(1.0, 0.0), (-2.5, 1.5), (5.0, -3.0), (0.0, 8.0)])
def test_frames_of_a_moving_camera_fall_onto_the_current_one(pace: tuple[float, float]) -> None:
    window = torch.stack([scene(pace[0] * step, pace[1] * step) for step in range(-2, 3)])[None]
    moved = aligned(window, 2)
    assert torch.equal(moved[:, 2], window[:, 2])
    for neighbour in (0, 1, 3, 4):
        before = F.mse_loss(inner(window[0, neighbour]), inner(window[0, 2]))
        after = F.mse_loss(inner(moved[0, neighbour]), inner(window[0, 2]))
        assert after < 0.05 * before


def test_streaks_do_not_drag_the_scene_along() -> None:
    rainy = scene(0, 0).expand(1, 3, -1, -1, -1).clone()
    generator = torch.Generator().manual_seed(1)
    for frame in range(3):
        for x, y in torch.randint(0, SIZE - 14, (12, 2), generator=generator).tolist():
            rainy[0, frame, :, y : y + 14, x] += 0.4
    restored = medians(aligned(rainy, 1), rainy[:, 1], 1)[0, 0]
    rain, left = (F.mse_loss(each, scene(0, 0)) for each in (rainy[0, 1], restored))
    assert left < 0.2 * rain


@pytest.mark.parametrize(("past", "future"), [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 3)])
def test_candidates_are_medians_of_the_frames(past: int, future: int) -> None:
    unmoved, *moved = torch.rand(past + 2 + future, 1, 3, 4, 6).unbind(0)
    together = torch.stack(moved, dim=1)
    found = medians(together, unmoved, past)
    assert found.shape == (1, candidate_count(past) - 1, 3, 4, 6)
    expected = [together.median(dim=1).values, unmoved]
    if past >= 2:
        expected.insert(0, together[:, past - 2 : past + 1].median(dim=1).values)
    assert torch.equal(found, torch.stack(expected, dim=1))
