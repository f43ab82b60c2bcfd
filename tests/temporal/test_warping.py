"""Warping reads where a flow points, and says where that is outside."""

from __future__ import annotations

import torch

from streamderain.temporal.warping import enlarged, inside, warped


def test_warping_by_whole_pixels_is_a_shift_and_repeats_the_edge() -> None:
    picture = torch.rand(1, 2, 8, 10)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 8, 10)
    moved = warped(picture, flow)
    torch.testing.assert_close(moved[..., 2:, :7], picture[..., :6, 3:], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[..., 2:, 7:], picture[..., :6, 9:].expand(-1, -1, -1, 3), rtol=0, atol=1e-5)


def test_a_flow_that_leaves_the_picture_is_outside_there() -> None:
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 8, 10)
    expected = torch.zeros(1, 1, 8, 10, dtype=torch.bool)
    expected[..., 2:, :7] = True
    assert torch.equal(inside(flow), expected)


def test_a_flow_for_a_larger_picture_is_longer_by_as_much() -> None:
    flow = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 4, 5)
    larger = enlarged(flow, (12, 10))
    assert larger.shape == (1, 2, 12, 10)
    torch.testing.assert_close(larger[0, :, 5, 5], torch.tensor([2.0, -6.0]))
