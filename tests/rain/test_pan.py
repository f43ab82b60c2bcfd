"""How a camera turns, read from its pictures."""

from __future__ import annotations

import pytest
import torch

from streamderain.rain.falling import STEADY
from streamderain.rain.pan import Pan
from tests.training.conftest import photo

LARGE = photo(1, 320, 400).float() / 255


def seen(left: int, top: int) -> torch.Tensor:
    """A camera's picture of the part of LARGE from there."""
    return LARGE[:, top : top + 200, left : left + 240]


def test_a_camera_that_stands_still_does_not_turn() -> None:
    pan = Pan()
    assert pan.follow(seen(50, 50), 0.0) == STEADY
    noisy = (seen(50, 50) + 0.02 * torch.randn(3, 200, 240, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    assert pan.follow(noisy, 0.04) == STEADY


def test_a_pan_is_measured_and_adds_up() -> None:
    pan = Pan()
    views = [pan.follow(seen(20 + 8 * step, 60 - 4 * step), step / 25) for step in range(5)]
    assert views[0] == STEADY
    assert (views[4].x_px, views[4].y_px) == pytest.approx((-32, 16), abs=1.5)
    assert (views[4].x_px_per_s, views[4].y_px_per_s) == pytest.approx((-200, 100), abs=15)


def test_the_time_that_has_passed_makes_the_pace() -> None:
    pan = Pan()
    pan.follow(seen(20, 20), 1.0)
    assert pan.follow(seen(30, 20), 1.5).x_px_per_s == pytest.approx(-20, abs=2)


def test_a_cut_is_no_turn() -> None:
    pan = Pan()
    pan.follow(seen(20, 20), 0.0)
    other = photo(2, 200, 240).float() / 255
    assert pan.follow(other, 0.04) == STEADY


def test_a_picture_with_nothing_in_it_is_no_turn() -> None:
    pan = Pan()
    for step in range(3):
        assert pan.follow(torch.full((3, 31, 47), 0.5), step / 25) == STEADY
