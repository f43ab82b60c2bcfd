"""Camera: what it records of a scene, the same for the same seed, rainy or clean."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from streamderain.rain.camera import Camera, draw_camera


@pytest.fixture
def scene() -> Tensor:
    ramp = torch.linspace(0.2, 0.8, 48).expand(3, 3, 32, 48)
    return ramp + 0.1 * torch.sin(torch.arange(32.0) / 2).view(1, 1, 32, 1)


def test_a_studio_camera_changes_nothing(scene: Tensor) -> None:
    assert torch.equal(Camera().film(scene), scene)


def test_noise_grows_with_the_root_of_the_light_and_comes_from_the_seed() -> None:
    camera = Camera(shot_noise=0.04, read_noise=0.003, seed=4)
    for light in (0.0, 0.16, 0.64):
        flat = torch.full((2, 3, 128, 128), light)
        noise = camera._noisy(flat) - flat
        assert float(noise.std()) == pytest.approx((0.04**2 * light + 0.003**2) ** 0.5, rel=0.03)
        assert abs(float(noise.mean())) < 0.001
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert torch.equal(camera.film(flat), camera.film(flat))
    assert not torch.equal(camera.film(flat), Camera(shot_noise=0.04, read_noise=0.003, seed=5).film(flat))


def test_rainy_and_clean_get_the_same_noise(scene: Tensor) -> None:
    camera = Camera(read_noise=0.01, seed=1)
    brighter = scene + 0.05
    torch.testing.assert_close(camera.film(brighter) - brighter, camera.film(scene) - scene, rtol=0, atol=1e-6)


def test_sharpening_overshoots_at_an_edge() -> None:
    edge = torch.cat((torch.full((1, 3, 8, 8), 0.3), torch.full((1, 3, 8, 8), 0.6)), dim=-1)
    sharp = Camera(sharpening=1.0).film(edge)
    assert float(sharp.max()) == pytest.approx(0.7)
    assert float(sharp.min()) == pytest.approx(0.2)
    torch.testing.assert_close(sharp[..., :6], edge[..., :6])


def test_compression_loses_more_at_a_higher_crf_and_shifts_no_colour(scene: Tensor) -> None:
    coloured = scene * torch.tensor([1.0, 0.8, 0.5]).view(1, 3, 1, 1)
    losses = []
    for crf in (5, 15, 25):
        recorded = Camera(crf=crf).film(coloured)
        assert recorded.shape == coloured.shape
        assert float((recorded - coloured).mean(dim=(0, 2, 3)).abs().max()) < 0.01
        losses.append(float(((recorded - coloured) ** 2).mean()))
    assert losses == sorted(losses)
    assert losses[0] < 1e-4


def test_cameras_are_drawn_from_the_number_alone() -> None:
    cameras = [draw_camera(random.Random(number)) for number in range(50)]
    assert cameras == [draw_camera(random.Random(number)) for number in range(50)]
    assert {camera.crf is None for camera in cameras} == {True, False}
    assert {camera.shot_noise > 0 for camera in cameras} == {True, False}
