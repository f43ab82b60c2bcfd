"""Lucas and Kanade find where a camera went."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from streamderain.temporal.lucas_kanade import lucas_kanade
from tests.scenery import inner, scene


def test_motion_is_where_a_pixel_went() -> None:
    here, there = (F.avg_pool2d(scene(x, y).mean(0)[None, None], 2) for x, y in ((0, 0), (6, -4)))
    flow = inner(lucas_kanade(here, there), 12)
    # The camera went right and up, so the scene goes left and down, by half as many of the halved picture's pixels.
    torch.testing.assert_close(flow.mean(dim=(0, 2, 3)), torch.tensor([-3.0, 2.0]), rtol=0, atol=0.1)
