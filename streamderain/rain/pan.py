"""How the camera of a clip turns, measured from its pictures, so that rain can turn with them.

One shift of the whole picture from frame to frame, by phase correlation: what a pan or a tilt makes. A camera
that travels or rolls is seen as its mean shift.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from streamderain.rain.falling import STEADY, View

COARSENESS = 2
LEAST_RESPONSE = 0.15
"""Of the correlation's peak. Below it the frames show different things, as at a cut, or nothing to hold on to."""

LEAST_SHIFT_PX = 1.5
"""In pixels of the full picture; less can be noise and people walking before a camera that stands still."""


class Pan:
    """Follows a clip, frame by frame in order of time."""

    def __init__(self) -> None:
        self._before: npt.NDArray[np.float32] | None = None
        self._seconds = 0.0
        self._view = STEADY

    def follow(self, picture: Tensor, seconds: float) -> View:
        """The view of the next frame, `picture`, (3, H, W) float RGB, shown at `seconds`.

        The frame before tells how quickly the camera turns; to the first frame it stands still.
        """
        grey = F.avg_pool2d(picture.mean(dim=0)[None, None], COARSENESS, ceil_mode=True)[0, 0].cpu().numpy()
        x_px, y_px = (0.0, 0.0) if self._before is None else _shift(self._before, grey)
        passed = seconds - self._seconds
        last = self._view
        self._view = View(
            last.x_px + x_px,
            last.y_px + y_px,
            x_px / passed if x_px else 0.0,
            y_px / passed if y_px else 0.0,
        )
        self._before, self._seconds = grey, seconds
        return self._view


def _shift(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Pixels of the full picture, right and down, that what was seen before has moved by."""
    import cv2

    height, width = after.shape
    # Without a window, the picture's borders, which do not move, would be what the frames have in common.
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (right, down), response = cv2.phaseCorrelate(before, after, window)
    shift = (right * COARSENESS, down * COARSENESS)
    if response < LEAST_RESPONSE or max(map(abs, shift)) < LEAST_SHIFT_PX:
        return 0.0, 0.0
    return shift
