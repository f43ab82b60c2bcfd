"""TemporalBlender: calms what stands still, lets go of what moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from streamderain.temporal.blend import TemporalBlender


def noisy(count: int, sigma: float = 0.015) -> Tensor:
    """A gray wall, filmed `count` times."""
    generator = torch.Generator().manual_seed(0)
    return 0.5 + sigma * torch.randn(count, 3, 24, 32, generator=generator)


def moving_edge(count: int) -> Tensor:
    """Black on the left, white on the right; black gains three pixels a frame."""
    column = torch.arange(48.0)
    return torch.stack([(column >= 3 * number).float().expand(3, 16, 48) for number in range(count)])


def test_strength_zero_is_the_identity() -> None:
    frames = noisy(3)
    assert torch.equal(TemporalBlender(0)(frames), frames)


def test_a_still_scene_gets_less_noise_and_the_more_the_stronger() -> None:
    frames = noisy(12)
    left = [TemporalBlender(strength)(frames)[6:].std().item() for strength in (0.0, 0.3, 0.6, 1.0)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.85 * left[0]


def test_a_still_scene_keeps_its_brightness() -> None:
    assert TemporalBlender(1.0)(noisy(12)).mean().item() == pytest.approx(0.5, abs=0.001)


def test_a_moving_edge_leaves_no_trail() -> None:
    frames = moving_edge(10)
    blended = TemporalBlender(1.0)(frames)
    assert (blended - frames).abs().max() < 0.002


def test_nothing_comes_over_a_cut() -> None:
    before, after = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.6)
    blender = TemporalBlender(1.0)
    blender(before)
    torch.testing.assert_close(blender(after), after, rtol=0, atol=1e-6)


def test_it_makes_no_difference_how_frames_are_batched() -> None:
    frames = noisy(7)
    together = TemporalBlender(0.8)(frames)
    blender = TemporalBlender(0.8)
    apart = torch.cat([blender(part) for part in frames.split(3)])
    assert torch.equal(together, apart)


def test_another_size_begins_anew() -> None:
    blender = TemporalBlender(1.0)
    blender(noisy(3))
    other = noisy(2)[:, :, :10]
    assert torch.equal(blender(other)[:1], other[:1])
    assert not torch.equal(TemporalBlender(1.0)(noisy(2))[1:], noisy(2)[1:])


def test_the_frames_are_left_as_they_were() -> None:
    frames = noisy(3)
    TemporalBlender(1.0)(frames)
    assert torch.equal(frames, noisy(3))


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="allowed from 0 to 1"):
        TemporalBlender(strength)
