"""Drops that stick to the lens: out of focus, each a small wide-angle view of the scene, upside down.

A drop is a spherical cap of water on flat glass. A ray that reaches the camera has left the scene at another
angle, which Snell's law gives for each place in the cap; the lens, focused far away, blurs what it sees of the
drop (after Roser and Geiger, 2009). Drops keep their places for the whole clip.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.rain.falling import blur

WATER_INDEX = 1.333
CONTACT_DEGREES = (25.0, 45.0)
"""Between glass and the rim of a drop; clean glass is wetted more, waxed glass less."""

MEDIAN_RADIUS_HEIGHTS = 0.025
RADIUS_SPREAD = 0.5
RADIUS_HEIGHTS = (0.007, 0.08)
BLUR_HEIGHTS = 0.006
"""Standard deviation of the blur of a thing on the lens, in heights of the picture; one for all drops, as they
are equally far away.
"""

COARSENESS = 2
"""Drops are drawn at one over this of the picture's size: they are blurred anyway."""


class LensDroplets:
    """`count` drops on the lens of a camera whose pictures are `height` by `width` pixels, drawn from `seed`."""

    def __init__(self, count: int, height: int, width: int, focal_heights: float = 1.2, seed: int = 0) -> None:
        self.height, self.width = math.ceil(height / COARSENESS), math.ceil(width / COARSENESS)
        self._focal_px = focal_heights * self.height
        self._sharp_cover = torch.zeros(self.height, self.width)
        rows, columns = torch.arange(self.height) + 0.5, torch.arange(self.width) + 0.5
        self._straight = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        self._seen = self._straight.clone()
        generator = torch.Generator().manual_seed(seed)
        for _ in range(count):
            self._add(torch.rand(10, generator=generator).tolist(), float(torch.randn(1, generator=generator)))
        self._blur_px = BLUR_HEIGHTS * self.height
        cover = blur(self._sharp_cover, self._blur_px)
        self.cover = self._enlarged(cover[None], height, width)[0]
        """How much of each pixel drops take, (H, W), 0..1."""
        self._seen = self._seen / torch.tensor([self.width, self.height]) * 2 - 1

    def _add(self, draws: list[float], size: float) -> None:
        """Let another drop cover what is there: note where its rays come from."""
        low, high = RADIUS_HEIGHTS
        radius = min(max(MEDIAN_RADIUS_HEIGHTS * math.exp(RADIUS_SPREAD * size), low), high) * self.height
        contact = math.radians(CONTACT_DEGREES[0] + draws[2] * (CONTACT_DEGREES[1] - CONTACT_DEGREES[0]))
        offset = self._straight - torch.tensor([draws[0] * self.width, draws[1] * self.height])
        distance = offset.norm(dim=-1).clamp(min=1e-3)
        angle = torch.atan2(offset[..., 1], offset[..., 0])
        rim = torch.full_like(angle, radius)
        # Drops on glass are round only roughly, and hang down a little.
        for lobes, depth, phase in zip((2, 3, 4), draws[3:6], draws[6:9], strict=True):
            rim += radius * 0.3 / lobes * depth * torch.cos(lobes * angle + 2 * math.pi * phase)
        rim += radius * 0.15 * draws[9] * torch.sin(angle)
        across = distance / rim
        inside = across < 1
        normal = torch.asin(across.clamp(max=1) * math.sin(contact))
        bent = torch.asin(WATER_INDEX * torch.sin(normal)) - normal
        reach = self._focal_px * torch.tan(bent) / distance
        self._seen[inside] = (self._straight - offset * reach[..., None])[inside]
        self._sharp_cover[inside] = 1

    def on(self, scene: Tensor) -> Tensor:
        """`scene`, (3, H, W) float RGB in 0..1, through the wet lens; same shape."""
        # A drop shows a large part of the picture in few pixels, so coarse ones are enough, and do not flicker.
        height, width = scene.shape[-2:]
        coarse = F.adaptive_avg_pool2d(scene[None], (math.ceil(height / 8), math.ceil(width / 8)))
        sharp = F.grid_sample(coarse, self._seen[None], padding_mode="reflection", align_corners=False)[0]
        light = blur(sharp * self._sharp_cover, self._blur_px)
        return (scene * (1 - self.cover) + self._enlarged(light, height, width)).clamp(0, 1)

    @staticmethod
    def _enlarged(picture: Tensor, height: int, width: int) -> Tensor:
        """(C, h, w) -> (C, H, W)."""
        return F.interpolate(picture[None], (height, width), mode="bilinear", align_corners=False)[0]
