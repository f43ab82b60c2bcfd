"""Measures for rain without a clean version."""

from __future__ import annotations

import pytest
import torch

from streamderain.evaluation.unpaired import lab_difference, median_over_time, still_and_dry, unpaired


def grey(value: int, height: int = 4, width: int = 6) -> torch.Tensor:
    return torch.full((3, height, width), value, dtype=torch.uint8)


def test_black_and_white_are_a_hundred_apart() -> None:
    assert lab_difference(grey(0), grey(255)).flatten().tolist() == pytest.approx([100.0] * 24, abs=0.01)
    assert float(lab_difference(grey(77), grey(77)).abs().max()) == 0


def test_a_known_colour_has_its_known_place() -> None:
    """Red of sRGB is L 53.24, a 80.09, b 67.20."""
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1)
    assert float(lab_difference(red, grey(0, 1, 1))) == pytest.approx((53.24**2 + 80.09**2 + 67.20**2) ** 0.5, abs=0.1)


def test_a_streak_is_neither_in_the_median_nor_dry() -> None:
    clip = grey(100).repeat(12, 1, 1, 1)
    clip[5, :, :, 2] = 180
    clip[7, :, 0, 0] += 2
    assert torch.equal(median_over_time(clip, 5), grey(100))
    assert still_and_dry(clip, 5).sum(dim=0).tolist() == [4, 4, 0, 4, 4, 4]
    assert bool(still_and_dry(clip, 7).all())


def test_a_perfect_derainer_changes_no_dry_pixel_and_a_darkening_one_does() -> None:
    rainy = grey(100).repeat(12, 1, 1, 1)
    rainy[5, :, :, 2] = 180
    perfect = unpaired(rainy, grey(100).repeat(12, 1, 1, 1))
    assert perfect.frames == 12
    assert perfect.dry_lab == 0
    assert perfect.dry_share == pytest.approx(1 - 4 / (12 * 24))
    # The streak lifts one frame by 80 codes on a sixth of its pixels, of which Y has 219/255.
    assert perfect.input_change == pytest.approx(2 / 11 * 80 / 6 * 219 / 255, abs=0.01)
    assert perfect.output_change == 0
    pumping = grey(100).repeat(12, 1, 1, 1)
    pumping[::2] = 90
    worse = unpaired(grey(100).repeat(12, 1, 1, 1), pumping)
    assert worse.dry_lab == pytest.approx(2.0, abs=0.3)
    assert worse.most_pumping == pytest.approx(10 * 219 / 255, abs=0.01)
