"""Streaks are as long, wide and bright as they say, and lean as they say."""

from __future__ import annotations

import math

import pytest
import torch

from streamderain.evaluation.judge.material import PRESENT, present
from streamderain.evaluation.judge.streaks import Streaks
from streamderain.evaluation.metrics import luma, psnr
from tests.evaluation.judge.conftest import busy


@pytest.mark.parametrize(("lean", "length", "width"), [(0, 60, 0.8), (15, 60, 1.3), (-35, 110, 2.0), (90, 25, 0.8)])
def test_a_streak_has_the_shape_that_is_asked_for(lean: float, length: float, width: float) -> None:
    light = Streaks(lean, length, width, 0.3).picture()
    offsets = torch.arange(len(light)) - len(light) // 2
    down, right = torch.meshgrid(offsets, offsets, indexing="ij")
    share = light / light.sum()
    cos, sin = math.cos(math.radians(lean)), math.sin(math.radians(lean))
    along = float((share * (down * cos + right * sin) ** 2).sum()) ** 0.5
    across = float((share * (right * cos - down * sin) ** 2).sum()) ** 0.5
    assert along * 12**0.5 == pytest.approx(length, rel=0.2)
    assert across == pytest.approx(width, rel=0.05)
    assert float(light.max()) == 1


@pytest.mark.parametrize("brightness", [0.12, 0.3, 0.7])
@pytest.mark.parametrize(("length", "width"), [(8, 0.4), (110, 2.0)])
def test_there_are_as_many_as_the_picture_is_to_lose(brightness: float, length: float, width: float) -> None:
    window = busy(1, 192, 192).expand(5, -1, -1, -1)
    for wanted in (22.0, 27.0):
        rainy = Streaks(15, length, width, brightness).on(window, wanted, seed=1)
        untouched = psnr(luma(present(rainy)), luma(present(window)))
        assert wanted - 2.5 < untouched < wanted + 0.6


def test_light_is_added_and_each_frame_has_streaks_of_its_own() -> None:
    window = busy(1, 192, 192).expand(5, -1, -1, -1)
    streaks = Streaks(-35, 25, 0.8, 0.3)
    rainy = streaks.on(window, 24.0, seed=1)
    assert rainy.dtype == torch.uint8
    assert bool((rainy >= window).all())
    light = (rainy.float() - window.float()).mean(dim=1)
    assert float(light.max()) > 0.15 * 255
    same = torch.corrcoef(torch.stack((light[PRESENT].flatten(), light[PRESENT + 1].flatten())))[0, 1]
    assert abs(float(same)) < 0.2
    assert torch.equal(rainy, streaks.on(window, 24.0, seed=1))
    assert not torch.equal(rainy, streaks.on(window, 24.0, seed=2))
