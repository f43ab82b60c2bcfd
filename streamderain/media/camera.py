"""A camera by OpenCV, where libav has no driver for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from streamderain.frames import VideoInfo
from streamderain.media.connection import Away, Picture, decoded_info


class OpencvCamera:
    """The camera of that number or path; frames of it have no times of their own, and no sound."""

    audio: av.AudioStream | None = None

    def __init__(self, name: str, patience: float) -> None:
        """Open it; a read that takes longer than `patience` seconds fails where OpenCV's driver knows how to."""
        import cv2

        self._capture = cv2.VideoCapture(int(name) if name.isdigit() else name)
        if not self._capture.isOpened():
            self._capture.release()
            raise Away("refused", "OpenCV finds no camera there", hopeless=True)
        self._capture.set(cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000 * patience)
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else None

    def items(self) -> Iterator[Picture]:
        """Pictures as they come."""
        while True:
            is_there, pixels = self._capture.read()
            if not is_there:
                raise Away("lost", "the camera gives no more pictures")
            yield Picture(_converted(pixels), None, time.monotonic())

    def info(self, first: av.VideoFrame) -> VideoInfo:
        """What the video is."""
        return replace(
            decoded_info(first),
            frame_rate=self._rate,
            color_range=int(ColorRange.MPEG),
            color_space=int(Colorspace.ITU709),
        )

    def go_on(self) -> None:
        """A camera waits for nobody."""

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


def _converted(pixels: NDArray[Any]) -> av.VideoFrame:
    """(height, width, 3) BGR, or (height, width) grey -> 4:2:0 in BT.709."""
    frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(pixels, np.uint8), format="bgr24" if pixels.ndim == 3 else "gray"
    )
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
