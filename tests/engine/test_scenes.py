"""Scenes: cuts are found, fades, flashes, rain and shaking are none; repeated frames are known."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.engine.scenes import mark_scenes
from streamderain.frames import Frame, PixelLayout

HEIGHT, WIDTH = 120, 160


def place(seed: int) -> Tensor:
    """A place of its own, larger than the picture: (2 * HEIGHT, 2 * WIDTH) in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 1, 16, 20, generator=generator)
    return F.interpolate(rough, (2 * HEIGHT, 2 * WIDTH), mode="bicubic", align_corners=False)[0, 0].clamp(0, 1)


def view(seed: int, x: int = 0, y: int = 0) -> Tensor:
    return place(seed)[30 + y : 30 + y + HEIGHT, 30 + x : 30 + x + WIDTH]


def film(pictures: Sequence[Tensor], times: Sequence[float] | None = None, bits: int = 8) -> list[Frame]:
    layout = PixelLayout(HEIGHT, WIDTH, chroma="gray", bits=bits)
    dtype = torch.uint8 if bits == 8 else torch.int16
    times = times or [number / 25 for number in range(len(pictures))]
    return [
        Frame((picture * (2**bits - 1)).round().to(dtype).flatten(), layout, round(time * 1000), Fraction(1, 1000))
        for picture, time in zip(pictures, times, strict=True)
    ]


def scenes_of(frames: Sequence[Frame]) -> list[int]:
    marked = list(mark_scenes(frames))
    assert [frame.pts for frame in marked] == [frame.pts for frame in frames]
    assert all(new.data is old.data for new, old in zip(marked, frames, strict=True))
    return [frame.scene for frame in marked]


@pytest.mark.parametrize("bits", [8, 10])
def test_a_hard_cut_begins_a_scene(bits: int) -> None:
    pictures = [*(view(1, x) for x in range(4)), *(view(2, x) for x in range(3)), *(view(1, x) for x in range(2))]
    assert scenes_of(film(pictures, bits=bits)) == [0, 0, 0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("seed", range(2, 12))
def test_cuts_between_many_places_are_found(seed: int) -> None:
    assert scenes_of(film([view(seed), view(seed, 1), view(seed + 100), view(seed + 100, 1)])) == [0, 0, 1, 1]


def test_a_pan_a_jolt_and_heavy_rain_are_no_cut() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [view(1, x, y).clone() for x, y in ((0, 0), (5, 0), (10, 1), (24, -6), (12, 3), (17, 3))]
    for picture in pictures:
        for x, y in torch.randint(0, HEIGHT - 20, (30, 2), generator=generator).tolist():
            picture[y : y + 20, x] += 0.4
    assert scenes_of(film([picture.clamp(0, 1) for picture in pictures])) == [0] * 6


def test_a_fade_to_black_and_back_is_no_cut() -> None:
    levels = [1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0.2, 0.4, 0.6, 0.8, 1]
    assert scenes_of(film([level * view(1) for level in levels])) == [0] * 12


def test_a_slow_dissolve_is_no_cut() -> None:
    assert scenes_of(film([torch.lerp(view(1), view(2), step / 24) for step in range(25)])) == [0] * 25


@pytest.mark.parametrize("flash", ["brighter", "white", "two white frames"])
def test_a_flash_is_no_cut(flash: str) -> None:
    lit = (0.5 * view(1) + 0.5) if flash == "brighter" else torch.ones(HEIGHT, WIDTH)
    flashes = [lit] * (2 if "two" in flash else 1)
    pictures = [view(1), view(1, 1), *flashes, view(1, 3), view(1, 4)]
    assert scenes_of(film(pictures)) == [0] * len(pictures)


def test_a_gap_in_time_begins_a_scene_but_a_slow_camera_does_not() -> None:
    pictures = [view(1, x) for x in range(5)]
    assert scenes_of(film(pictures, [0, 0.04, 0.08, 3.0, 3.04])) == [0, 0, 0, 1, 1]
    assert scenes_of(film(pictures, [0, 1, 2, 3, 4])) == [0] * 5
    assert scenes_of(film(pictures, [0, 0.04, 0.08, 0.2, 0.24])) == [0] * 5, "two frames were dropped"


def test_another_size_begins_a_scene() -> None:
    other = PixelLayout(4, 6, chroma="gray")
    frames = [*film([view(1), view(1)]), Frame(torch.zeros(24, dtype=torch.uint8), other, 90, Fraction(1, 1000))]
    assert scenes_of(frames) == [0, 0, 1]


def repeats(pictures: Sequence[Tensor]) -> list[bool]:
    return [frame.repeats for frame in mark_scenes(film(pictures))]


def test_a_frame_sent_twice_repeats_even_when_it_was_encoded_anew() -> None:
    generator = torch.Generator().manual_seed(0)
    again = view(1) + 0.004 * torch.randn(HEIGHT, WIDTH, generator=generator)
    assert repeats([view(1), again.clamp(0, 1), view(1, 2), view(1, 2)]) == [False, True, False, True]


def test_one_streak_more_is_no_repetition() -> None:
    rainy = view(1).clone()
    rainy[40:60, 70] += 0.15
    assert repeats([view(1), rainy.clamp(0, 1)]) == [False, False]


def test_a_picture_that_stands_still_for_long_repeats_at_most_twice_in_a_row() -> None:
    assert repeats([view(1)] * 7) == [False, True, True, False, True, True, False]


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (16, 16)])
def test_tiny_frames_are_taken(size: tuple[int, int]) -> None:
    layout = PixelLayout(*size, chroma="gray")
    frames = [Frame(torch.randint(0, 255, (layout.samples,)).byte(), layout, n, Fraction(1, 25)) for n in range(5)]
    assert len(list(mark_scenes(frames))) == 5
