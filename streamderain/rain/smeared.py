"""Rain by the recipe of picture editors: noise, a threshold, motion blur, more contrast.

Rather a texture with a direction than streaks that could be counted; with short smears and little contrast it is
dense thin rain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BRIGHTEST_QUANTILE = 0.995
"""Of the smeared noise; what is brighter is white, so that one dot does not darken all others."""


@dataclass(frozen=True)
class SmearedNoise:
    """`dots` is the share of the noise that passes the threshold, 1 for all of it, in its own shades; `grain_px`
    the size of a dot, `length_px` that of the smear, `lean` its direction from the vertical in radians. `cover` is
    the share of the picture that is lit once the contrast is raised, `brightness` that of the brightest.
    """

    dots: float
    grain_px: float
    length_px: float
    lean: float
    cover: float
    brightness: float

    def light(self, height: int, width: int, generator: np.random.Generator) -> Floats:
        """The light of one moment: (height, width), 0..`brightness`."""
        import cv2

        smear = max(1, round(self.length_px / self.grain_px))
        side = math.ceil(math.hypot(height, width) / self.grain_px) + 2
        noise = generator.random((side + smear, side), dtype=np.float32)
        if self.dots < 1:
            noise = np.where(noise < self.dots, noise / self.dots, np.float32(0))
        smeared = cv2.blur(noise, (1, smear))
        turned = cv2.warpAffine(smeared, self._turn(height, width, smeared.shape), (width, height), flags=_turning())
        low, high = np.quantile(turned[::2, ::2], (1 - self.cover, BRIGHTEST_QUANTILE))
        contrast = (turned - np.float32(low)) / np.float32(max(high - low, 1e-6))
        return np.asarray(contrast.clip(0, 1) * np.float32(self.brightness), np.float32)

    def _turn(self, height: int, width: int, noise: tuple[int, ...]) -> Floats:
        """Where in the noise each pixel of the picture looks: (2, 3)."""
        cos, sin = math.cos(self.lean) / self.grain_px, math.sin(self.lean) / self.grain_px
        x, y = (width - 1) / 2, (height - 1) / 2
        middle_x, middle_y = (noise[1] - 1) / 2, (noise[0] - 1) / 2
        return np.array(
            [[cos, -sin, middle_x - cos * x + sin * y], [sin, cos, middle_y - sin * x - cos * y]], np.float32
        )


def _turning() -> int:
    import cv2

    return cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
