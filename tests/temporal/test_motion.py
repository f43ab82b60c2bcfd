"""Motion between frames, by either method, with what came between left out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.temporal.motion import LARGEST_SIDE, Gauge, luma
from tests.scenery import SIZE, inner, scene

CPU = torch.device("cpu")


class Elsewhere(Gauge):
    """Measures as on a device that has no DIS."""

    def __init__(self) -> None:
        super().__init__(torch.device("meta"))


@pytest.fixture(params=["dis", "lucas-kanade"])
def gauge(request: pytest.FixtureRequest) -> Gauge:
    return Gauge(CPU) if request.param == "dis" else Elsewhere()


def seen_from(x: float, y: float) -> Tensor:
    return luma(scene(x, y)[None])


def cloud(height: int, width: int, seed: int) -> Tensor:
    """A soft pattern of its own: (1, 1, height, width) in 0..1."""
    rough = torch.rand(1, 1, height // 12, width // 12, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(rough, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def test_both_ways_are_opposite(gauge: Gauge) -> None:
    forth, back = gauge.both_ways(seen_from(0, 0), seen_from(4, -3))
    for flow, expected in ((forth, [-4.0, 3.0]), (back, [4.0, -3.0])):
        torch.testing.assert_close(inner(flow.vectors).mean(dim=(0, 2, 3)), torch.tensor(expected), rtol=0, atol=0.25)
        assert inner(flow.seen).mean() > 0.95


def test_what_leaves_the_picture_is_not_seen_there(gauge: Gauge) -> None:
    forth, _ = gauge.both_ways(seen_from(0, 0), seen_from(10, 0))
    assert forth.seen[..., :6].mean() < 0.1
    assert forth.seen[..., 24:-24].mean() > 0.95


def test_what_a_thing_hides_is_not_seen_there(gauge: Gauge) -> None:
    before, thing = cloud(128, 160, seed=1), cloud(48, 48, seed=2)
    after = before.clone()
    before[..., 40:88, 30:78] = thing
    after[..., 40:88, 46:94] = thing
    forth, _ = gauge.both_ways(before, after)
    assert forth.seen[..., 46:82, 86:94].mean() < 0.6, "the thing lands here"
    assert forth.seen[..., 100:, :].mean() > 0.9


def test_two_flows_in_a_row_are_one(gauge: Gauge) -> None:
    first, second, third = seen_from(0, 0), seen_from(3, 1), seen_from(6, 2)
    joined = gauge.both_ways(first, second)[0].then(gauge.both_ways(second, third)[0])
    torch.testing.assert_close(inner(joined.vectors).mean(dim=(0, 2, 3)), torch.tensor([-6.0, -2.0]), rtol=0, atol=0.35)


def test_a_frame_is_brought_to_where_it_is_looked_at_from(gauge: Gauge) -> None:
    here, there = scene(0, 0)[None], scene(5, 2)[None]
    flow = gauge.both_ways(luma(here), luma(there))[0].enlarged(SIZE, SIZE)
    moved = flow.bring(there, "bicubic")
    error = (inner(moved - here).abs() * inner(flow.seen)).mean()
    assert error < 0.1 * inner(there - here).abs().mean()
    # Some of the rows are the same rows.
    assert torch.equal(flow.bring(there, "bicubic", slice(10, 30)), moved[..., 10:30, :])


def test_motion_is_looked_for_at_a_bounded_size() -> None:
    assert luma(torch.rand(1, 3, 320, 480)).shape == (1, 1, 320, 480)
    assert luma(torch.rand(1, 3, 480, 640)).shape == (1, 1, 240, 320)
    large = luma(torch.rand(1, 3, 1083, 1921))
    assert max(large.shape[-2:]) <= LARGEST_SIDE
    flow, _ = Gauge(CPU).both_ways(large, large)
    flow = flow.enlarged(1083, 1921)
    assert flow.bring(torch.rand(1, 3, 1083, 1921)).shape == (1, 3, 1083, 1921)
    assert flow.seen.shape == (1, 1, 1083, 1921)


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (8, 8), (15, 40), (40, 15)])
def test_tiny_pictures_are_taken(gauge: Gauge, size: tuple[int, int]) -> None:
    forth, back = gauge.both_ways(torch.rand(1, 1, *size), torch.rand(1, 1, *size))
    assert forth.vectors.shape == back.vectors.shape == (1, 2, *size)
    assert forth.vectors.isfinite().all()
