"""Streaks drawn by the thousand: rows of points on a fine canvas, blurred once to the width that is asked for.

Long streaks make large kernels, and a convolution draws all of them alike. Points cost as much as there is rain,
and each streak has a length, a lean, a bend and a brightness of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

POINT_VARIANCE = 2 / 15
"""Square pixels that a point's share among its neighbours spreads it, the mean over all places between pixels."""

PROFILE_STEPS = 64


@dataclass(frozen=True)
class Streaks:
    """Streaks of one width; arrays are (N,) float32, places and lengths in pixels, x to the right and y down.

    `x` and `y` are their middles, `lean` is from the vertical in radians, `bend` is how far the middle stands off
    the straight line between the ends, `brightness` is that of the middle line. `width_px` is the Gaussian's sigma,
    0.37 at the least. `ends` are the powers with which the light falls off towards both: 0 for blunt ones.
    """

    x: Floats
    y: Floats
    length_px: Floats
    lean: Floats
    bend: Floats
    brightness: Floats
    width_px: float
    ends: tuple[float, float] = (0.0, 0.0)

    def light(self, height: int, width: int) -> Floats:
        """All of them added up: (height, width), from 0 on."""
        import cv2

        kernel = _kernel(self.width_px**2 - POINT_VARIANCE)
        border = len(kernel) // 2 + 1
        canvas = self._points(height, width, border)
        blurred = cv2.sepFilter2D(canvas, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred[border:-border, border:-border], np.float32)

    def _points(self, height: int, width: int, border: int) -> Floats:
        """The middle lines, on a canvas with a `border` on all sides."""
        down, right = np.cos(self.lean) * self.length_px, np.sin(self.lean) * self.length_px
        # Blur hides gaps, so wide streaks need fewer points; one to a row or column leaves no beat.
        spacing = max(1, int(2 * self.width_px))
        count = np.maximum(np.rint(np.maximum(np.abs(down), np.abs(right)) / spacing), 1).astype(np.int64)
        streak = np.repeat(np.arange(len(count)), count)
        first = np.cumsum(count) - count
        along = ((np.arange(len(streak)) - first[streak] + 0.5) / count[streak]).astype(np.float32)
        off = (self.bend / self.length_px)[streak] * (4 * along * (1 - along))
        x = self.x[streak] + (along - 0.5) * right[streak] + off * down[streak] + border
        y = self.y[streak] + (along - 0.5) * down[streak] - off * right[streak] + border
        area = math.sqrt(2 * math.pi) * max(self.width_px, math.sqrt(POINT_VARIANCE))
        per_point = (area * self.brightness * self.length_px / count).astype(np.float32)
        value = per_point[streak] * _profile(*self.ends)[(along * PROFILE_STEPS).astype(np.int64)]
        return _shared_out(x, y, value, height + 2 * border, width + 2 * border)


def _kernel(variance: float) -> Floats:
    """A blur of that variance: (K,), K odd, its sum 1; below a third of a pixel no sampled Gaussian has it."""
    import cv2

    if variance < 1 / 3:
        side = max(variance, 0.0) / 2
        return np.array([side, 1 - 2 * side, side], np.float32)
    sigma = math.sqrt(variance)
    return np.asarray(cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma, cv2.CV_32F)[:, 0], np.float32)


def _profile(head: float, tail: float) -> Floats:
    """Light along a streak, 1 where it is brightest: (PROFILE_STEPS,)."""
    along = (np.arange(PROFILE_STEPS) + 0.5) / PROFILE_STEPS
    light = along**head * (1 - along) ** tail
    return np.asarray(light / light.max(), np.float32)


def _shared_out(x: Floats, y: Floats, value: Floats, height: int, width: int) -> Floats:
    """Each point shared among the four pixels around it, those outside left out: (height, width).

    The share is a smooth step of the distance: sharper than a linear one, and still nothing is lost between pixels.
    """
    inside = (x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1)
    x, y, value = x[inside], y[inside], value[inside]
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, down = _smooth_step(x - left), _smooth_step(y - top)
    place, size = top * width + left, height * width
    canvas = np.bincount(place, value * (1 - right) * (1 - down), size)
    canvas += np.bincount(place + 1, value * right * (1 - down), size)
    canvas += np.bincount(place + width, value * (1 - right) * down, size)
    canvas += np.bincount(place + width + 1, value * right * down, size)
    return np.asarray(canvas.reshape(height, width), np.float32)


def _smooth_step(fraction: Floats) -> Floats:
    return fraction * fraction * (3 - 2 * fraction)
