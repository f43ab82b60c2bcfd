"""What a camera does to the light that reaches it: sharpening, sensor noise, compression.

Rainy and clean go through the same camera, noise and all, so a network learns to take the rain away and to
leave everything else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.media.images import compressed


@dataclass(frozen=True)
class Camera:
    """`sharpening` is the share of what a blur takes away that is added once more. `shot_noise` and
    `read_noise` are standard deviations in units of 0..1, the first at white, where it falls with the root of
    the light. `crf` is the quality of the H.264 that follows, None for none. `seed` is the noise's.
    """

    sharpening: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    crf: int | None = None
    seed: int = 0

    def film(self, scene: Tensor) -> Tensor:
        """`scene`, (T, 3, H, W) float RGB in 0..1, as this camera records it; the same shape.

        H and W are even where there is a `crf`.
        """
        recorded = self._noisy(self._sharpened(scene)).clamp(0, 1)
        if self.crf is None:
            return recorded
        return compressed((recorded * 255).round().to(torch.uint8), self.crf).float() / 255

    def _sharpened(self, scene: Tensor) -> Tensor:
        if not self.sharpening:
            return scene
        blurred = F.avg_pool2d(scene, 3, 1, 1, count_include_pad=False)
        return (scene + self.sharpening * (scene - blurred)).clamp(0, 1)

    def _noisy(self, scene: Tensor) -> Tensor:
        if not self.shot_noise and not self.read_noise:
            return scene
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(scene.shape, generator=generator)
        return scene + noise * (self.shot_noise**2 * scene.clamp(min=0) + self.read_noise**2).sqrt()


def draw_camera(rng: random.Random) -> Camera:
    """A camera from a good one to a cheap one behind a starved encoder."""
    noise = 10 ** rng.uniform(-2.7, -1.7) if rng.random() < 0.5 else 0.0
    return Camera(
        sharpening=rng.uniform(0.2, 1.2) if rng.random() < 0.4 else 0.0,
        shot_noise=noise,
        read_noise=noise * rng.uniform(0.1, 0.5),
        crf=rng.randint(14, 32) if rng.random() < 0.6 else None,
        seed=rng.randrange(2**31),
    )
