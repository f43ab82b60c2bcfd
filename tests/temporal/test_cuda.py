"""Blending on a GPU is what it is on a CPU, given the same way of measuring motion."""

from __future__ import annotations

import pytest
import torch

from streamderain.engine.blend import Moment, TemporalBlender
from streamderain.temporal.motion import Gauge
from tests.scenery import SIZE, scene

pytestmark = pytest.mark.cuda


def test_blending_agrees_with_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [(scene(2 * n, n) + 0.01 * torch.randn(3, SIZE, SIZE, generator=generator))[None] for n in range(5)]
    made = []
    for name in ("cpu", "cuda"):
        device = torch.device(name)
        row = [Moment.of((each + 0.05).to(device), each.to(device)) for each in pictures]
        blender = TemporalBlender(1.0, device)
        # Lucas and Kanade on both, as DIS runs on CPUs alone.
        blender._gauge = Gauge(torch.device("cuda"))
        made.append(blender(row[:2], row[2], row[3:]).cpu())
    torch.testing.assert_close(made[1], made[0], rtol=0, atol=2e-3)
    assert not torch.equal(made[0], pictures[2])
