"""Aligning by the motion of consecutive frames: found once for each pair, composed for the others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from streamderain.temporal.aligning import (
    LARGEST_SIDE,
    Field,
    Picture,
    Ways,
    WaysByOne,
    aligned_window,
    composed,
    flows_from,
    luma_of,
    median_of,
    moved,
    opencv,
    picture_moved,
    places_of,
)
from tests.scenery import inner, scene


def seen_from(x: float, y: float) -> Picture:
    """The scene as a picture, (H, W, 3) uint8."""
    return (scene(x, y) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def ways_through(pictures: list[Picture]) -> list[Ways]:
    lumas = [luma_of(picture) for picture in pictures]
    return [Ways(*pair) for pair in pairwise(lumas)]


def apart(first: Picture, second: Picture) -> float:
    """Mean squared difference away from the border."""
    planes = [torch.from_numpy(each).permute(2, 0, 1).float() for each in (first, second)]
    return float((inner(planes[0]) - inner(planes[1])).square().mean())


@pytest.mark.parametrize("pace", [(1.0, 0.0), (-2.5, 1.5), (5.0, -3.0), (0.0, 8.0)])
@pytest.mark.parametrize("current", [0, 2, 4])
def test_frames_of_a_moving_camera_fall_onto_the_current_one(pace: tuple[float, float], current: int) -> None:
    pictures = [seen_from(pace[0] * step, pace[1] * step) for step in range(-2, 3)]
    aligned = aligned_window(pictures, current, ways_through(pictures))
    assert aligned[current] is pictures[current]
    for number in {0, 1, 2, 3, 4} - {current}:
        if abs(number - current) > 2:
            continue  # too little of the picture is in both
        assert apart(aligned[number], pictures[current]) < 0.05 * apart(pictures[number], pictures[current])


def test_copies_at_the_end_of_a_scene_are_moved_like_what_they_are_copies_of() -> None:
    first, second = seen_from(0, 0), seen_from(3, -2)
    (ways,) = ways_through([first, second])
    aligned = aligned_window([first, first, first, second, second], 2, [None, None, ways, None])
    assert aligned[0] is aligned[1] is aligned[2] is first
    assert aligned[4] is aligned[3]
    assert apart(aligned[3], first) < 0.05 * apart(second, first)
    aligned = aligned_window([first, first, second], 2, [None, ways])
    assert np.array_equal(aligned[0], aligned[1])
    assert apart(aligned[0], second) < 0.05 * apart(first, second)


@pytest.mark.parametrize("size", [(48, 64), (45, 63)])
def test_a_moved_picture_has_the_light_of_cubic_interpolation(size: tuple[int, int]) -> None:
    height, width = size
    picture = np.random.default_rng(1).integers(60, 190, (height, width, 3), np.uint8)
    still, half = (places_of(np.full((height // 2, width // 2, 2), by, np.float32), height, width) for by in (0, 0.25))
    assert np.array_equal(picture_moved(picture, still), picture)

    def light_apart(other: Picture) -> float:
        weights = np.array([0.299, 0.587, 0.114])
        cubic = moved(picture, half, cubic=True)
        return float(np.abs((other @ weights) - (cubic @ weights)).mean())

    assert light_apart(picture_moved(picture, half)) < 0.1 * light_apart(moved(picture, half))


@pytest.mark.parametrize("pace", [(1.0, 0.0), (-2.5, 1.5), (0.0, 8.0)])
@pytest.mark.parametrize("known", [False, True])
def test_one_search_tells_both_ways(pace: tuple[float, float], known: bool) -> None:
    first, second = (luma_of(seen_from(pace[0] * step, pace[1] * step)) for step in range(2))
    both = Ways(first, second)
    by_one = WaysByOne(first, second, both.forth if known else None)
    for expected, found in ((both.forth, by_one.forth), (both.back, by_one.back)):
        assert np.abs(expected - found)[8:-8, 8:-8].mean() < 0.1


def uniform(right: float, down: float) -> Field:
    return np.full((8, 10, 2), (right, down), np.float32)


def test_ways_to_farther_frames_are_composed_of_those_between() -> None:
    blank = np.zeros((8, 10), np.uint8)
    ways = [Ways(blank, blank) for _ in range(3)]
    for each, (right, down) in zip(ways, [(1, 0), (0, 2), (4, 0)], strict=True):
        each.forth, each.back = uniform(right, down), uniform(-right, -down)
    ends = [None if flow is None else tuple(flow[4, 5]) for flow in flows_from(1, ways)]
    assert ends == [(-1, 0), None, (0, 2), (4, 2)]


def test_the_second_flow_is_read_where_the_first_one_ends() -> None:
    second = np.zeros((8, 10, 2), np.float32)
    second[:, 6:] = (0, 3)
    assert composed(uniform(4, 0), second)[4, 1].tolist() == [4, 0]
    assert composed(uniform(4, 0), second)[4, 2].tolist() == [4, 3]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((360, 640), (180, 320)), ((1080, 1920), (270, 480)), ((35, 21), (18, 11)), ((2160, 3840), (270, 480))],
)
def test_motion_is_looked_for_at_half_the_size_or_less(size: tuple[int, int], expected: tuple[int, int]) -> None:
    luma = luma_of(np.zeros((*size, 3), np.uint8))
    assert luma.shape == expected
    assert max(luma.shape) <= LARGEST_SIDE


def test_nothing_moves_in_pictures_too_small_to_say() -> None:
    tiny = np.zeros((4, 7), np.uint8)
    assert not Ways(tiny, tiny).forth.any()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_the_median_is_torch_s(count: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 6, 9, 3), np.uint8)
    expected = torch.from_numpy(pictures).median(dim=0).values.numpy()
    assert np.array_equal(median_of(list(pictures)), expected)


@pytest.mark.parametrize("others", [2, 3, 4])
def test_copies_of_the_present_are_not_sorted(others: int) -> None:
    random = np.random.default_rng(0)
    rows = list(random.integers(0, 256, (others, 6, 9, 3), np.uint8))
    present = random.integers(0, 256, (6, 9, 3), np.uint8)
    rows += [present] * 3
    expected = torch.from_numpy(np.stack(rows)).median(dim=0).values.numpy()
    assert np.array_equal(median_of(rows), expected)
    assert (median_of(rows) is present) == (others == 2)


def test_cubic_interpolation_keeps_to_bytes() -> None:
    """What overshoots at an edge is black or white, and neither wraps around nor turns over."""
    edge = np.zeros((32, 32), np.uint8)
    edge[:, 16:] = 255
    half = places_of(np.full((16, 16, 2), 0.25, np.float32), 32, 32)
    sharp = moved(edge, half, cubic=True)
    assert sharp.dtype == np.uint8
    assert sharp[:, 10:14].max() == 0
    assert sharp[:, 18:22].min() == 255
    assert np.array_equal(sharp, opencv().remap(edge, half, None, opencv().INTER_CUBIC, borderMode=1))
