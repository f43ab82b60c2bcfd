"""OpenCV's cameras; a file stands in for the hardware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streamderain.errors import SourceError
from streamderain.media.address import OPENCV, parse
from streamderain.media.live import Backoff, LiveSource


@pytest.mark.parametrize("format", [OPENCV, "no-such-driver"])
def test_a_camera_without_a_driver_of_libav(format: str, clip: Path) -> None:
    address = replace(parse("/dev/video0"), target=str(clip), format=format)
    source = LiveSource(address, retries=0, backoff=Backoff(0.01))
    frames = source.frames()
    for _ in range(12):
        assert next(frames).arrived is not None
    with pytest.raises(SourceError, match="gives no more pictures"):
        next(frames)
    assert source.info
    assert (source.info.width, source.info.height, source.info.frame_rate) == (48, 32, 25)


def test_a_camera_that_is_not_there() -> None:
    source = LiveSource(replace(parse("/dev/video0"), target="/missing", format=OPENCV), retries=0)
    with pytest.raises(SourceError, match="OpenCV finds no camera there"):
        next(source.frames())
