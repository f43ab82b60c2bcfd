"""Blending on a GPU is what it is on a CPU, given the same way of measuring motion."""

from __future__ import annotations

import pytest
import torch

from streamderain.engine.blend_on_device import DeviceBlender, DeviceMoment
from streamderain.temporal.motion import Gauge, Ways
from tests.scenery import SIZE, scene

pytestmark = pytest.mark.cuda


def test_blending_agrees_with_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [(scene(2 * n, n) + 0.01 * torch.randn(3, SIZE, SIZE, generator=generator))[None] for n in range(5)]
    made = []
    for name in ("cpu", "cuda"):
        device = torch.device(name)
        row = [DeviceMoment.of((each + 0.05).to(device), each.to(device)) for each in pictures]
        # Lucas and Kanade on both, as DIS runs on CPUs alone.
        ways = Ways(Gauge(torch.device("cuda"))).between([each.luma for each in row])
        made.append(DeviceBlender(1.0)(row[:2], row[2], row[3:], ways).cpu())
    torch.testing.assert_close(made[1], made[0], rtol=0, atol=2e-3)
    assert not torch.equal(made[0], pictures[2])
