"""Drops on the lens: the same for the same seed, in their places, and upside down."""

from __future__ import annotations

import torch

from streamderain.rain.droplets import LensDroplets

HEIGHT, WIDTH = 240, 320


def scene() -> torch.Tensor:
    """A bright sky over dark ground."""
    picture = torch.full((3, HEIGHT, WIDTH), 0.1)
    picture[:, : HEIGHT // 2] = 0.9
    return picture


def test_a_seed_means_the_same_drops() -> None:
    one, same, other = (LensDroplets(8, HEIGHT, WIDTH, seed=seed).cover for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_more_drops_cover_more_and_those_of_fewer_stay() -> None:
    few, many = (LensDroplets(count, HEIGHT, WIDTH, seed=1).cover for count in (4, 20))
    assert (many >= few - 1e-6).all()
    assert few.sum() < many.sum()
    assert few.min() >= 0
    assert many.max() <= 1 + 1e-6


def test_drops_are_soft_and_what_is_beside_them_stays() -> None:
    droplets = LensDroplets(6, HEIGHT, WIDTH, seed=3)
    wet = droplets.on(scene())
    assert wet.shape == (3, HEIGHT, WIDTH)
    assert wet.min() >= 0
    assert wet.max() <= 1
    dry = droplets.cover == 0
    assert dry.float().mean() > 0.5
    assert torch.equal(wet[:, dry], scene()[:, dry])
    assert ((droplets.cover > 0.2) & (droplets.cover < 0.8)).any()


def test_a_drop_shows_the_scene_upside_down() -> None:
    droplets = LensDroplets(40, HEIGHT, WIDTH, seed=5)
    wet = droplets.on(scene())[0]
    covered = droplets.cover > 0.9
    sky, ground = covered[: HEIGHT // 2], covered[HEIGHT // 2 :]
    assert wet[: HEIGHT // 2][sky].min() < 0.4
    assert wet[HEIGHT // 2 :][ground].max() > 0.6


def test_an_even_scene_does_not_show_the_drops() -> None:
    grey = torch.full((3, HEIGHT, WIDTH), 0.5)
    assert torch.allclose(LensDroplets(12, HEIGHT, WIDTH, seed=1).on(grey), grey, atol=1e-4)


def test_any_size_will_do() -> None:
    for height, width in ((1, 1), (7, 9), (33, 48)):
        picture = torch.rand(3, height, width)
        assert LensDroplets(3, height, width, seed=1).on(picture).shape == picture.shape
