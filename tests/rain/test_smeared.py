"""SmearedNoise: a texture with a direction, as long, dense and bright as it says."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamderain.rain.smeared import SmearedNoise

NOISE = SmearedNoise(dots=0.05, grain_px=1.0, length_px=20, lean=0.0, cover=0.3, brightness=0.6)


def light(seed: int = 1, **changed: float) -> npt.NDArray[np.float32]:
    return dataclasses.replace(NOISE, **changed).light(120, 150, np.random.default_rng(seed))


def direction(picture: npt.NDArray[np.float32]) -> float:
    """Along which it changes least, radians from the vertical, positive to the lower right."""
    # Differences of neighbours turn thin lines towards the diagonal.
    down, right = np.gradient(cv2.GaussianBlur(picture, (0, 0), 1.5))
    return 0.5 * math.atan2(2 * -float((down * right).sum()), float((right**2 - down**2).sum()))


def test_it_is_the_generators_alone_and_in_range() -> None:
    assert light().shape == (120, 150)
    np.testing.assert_array_equal(light(), light())
    assert not np.array_equal(light(), light(seed=2))
    assert light().min() >= 0
    assert light().max() == pytest.approx(0.6)


@pytest.mark.parametrize("lean", [0.0, 0.5, -0.9, 1.4])
@pytest.mark.parametrize("grain", [0.8, 1.0, 2.5])
def test_it_smears_where_it_says(lean: float, grain: float) -> None:
    assert direction(light(lean=lean, grain_px=grain, length_px=40)) == pytest.approx(lean, abs=0.12)


@pytest.mark.parametrize("cover", [0.05, 0.3, 0.8])
def test_contrast_leaves_the_share_that_is_asked_for(cover: float) -> None:
    # Dots enough for each pixel to have been lit.
    assert (light(cover=cover, dots=1.0) > 0).mean() == pytest.approx(cover, abs=0.05)


@pytest.mark.parametrize("length", [8, 30, 60])
def test_light_reaches_as_far_as_the_smear_is_long(length: int) -> None:
    picture = light(length_px=length, dots=0.02, cover=0.9)
    picture = picture - picture.mean()

    def likeness(step: int) -> float:
        return float((picture[step:] * picture[:-step]).mean() / picture.var())

    assert likeness(length // 4) > 0.5
    assert likeness(length + 4) < 0.2


def test_a_coarse_grain_is_wider() -> None:
    fine, coarse = light(grain_px=1.0), light(grain_px=3.0)

    def change(picture: npt.NDArray[np.float32]) -> float:
        return float(np.abs(np.diff(picture, axis=1)).mean() / picture.std())

    assert change(coarse) < 0.6 * change(fine)
