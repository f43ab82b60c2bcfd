"""Where it rains most in a video, found by a look here and there, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from streamderain.errors import SourceError
from streamderain.media.address import in_full
from streamderain.media.extras import TOLERANT
from streamderain.media.reference import beside
from streamderain.media.track import exact

PLACES = 12
"""How many places are looked at."""

_EVERY = 2
"""One of so many rows and columns is looked at."""


def rainiest(path: Path, lasts: float) -> Fraction:
    """From where on, in seconds, it rains most for a part that `lasts` some; 0 where the video cannot be gone through.

    Raises SourceError where it cannot be read.
    """
    try:
        with av.open(in_full(path), metadata_errors=TOLERANT, io_open=beside(path)) as container:
            length = container.duration / av.time_base if container.duration else 0.0
            looks = list(_looks(container, length)) if container.streams.video else []
    except av.FFmpegError as error:
        raise SourceError(f"{path} cannot be opened as a video: {error.strerror}") from error
    at, _ = max(looks, key=lambda look: look[1], default=(0.0, 0.0))
    return Fraction(max(0.0, min(at - lasts / 2, length - lasts))).limit_denominator(1000)


def _looks(container: InputContainer, length: float) -> Iterator[tuple[float, float]]:
    """Places, in seconds, and how much it rains there."""
    video = container.streams.video[0]
    base = float(exact(video.time_base) or 1)
    begins = (video.start_time or 0) * base
    for number in range(PLACES):
        container.seek(int((begins + length * (number + 0.5) / PLACES) * av.time_base))
        frames = list(islice(container.decode(video), 3))
        if len(frames) == 3 and frames[0].pts is not None:
            yield frames[0].pts * base - begins, fallen([_light(frame) for frame in frames])


def _light(frame: av.VideoFrame) -> NDArray[Any]:
    return frame.to_ndarray(format="gray")[::_EVERY, ::_EVERY].astype(np.int16)


def fallen(lights: list[NDArray[Any]]) -> float:
    """The share of the light of the middle of three pictures, (H, W), 0 to 1, that is there in that one alone: rain is
    in no place twice, and brighter than what is behind it.
    """
    before, here, after = lights
    return float(np.maximum(here - np.maximum(before, after), 0).sum() / max(1, int(here.sum())))
