"""A picture in memory as a frame that WebRTC can send."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray


def rgb_frame(pixels: NDArray[np.uint8]) -> av.VideoFrame:
    """(H, W, 3) uint8 in RGB -> a frame in rgb24, without a time."""
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")
