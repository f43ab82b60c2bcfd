"""Where it rains most, by a look here and there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamderain.errors import SourceError
from streamderain.media.glimpses import fallen, rainiest


def rainy_between(path: Path, begin: int, end: int, frames: int = 150) -> Path:
    """A camera that pans over waves, at 25 frames a second, with streaks in frames `begin` to `end`."""
    noise = np.random.default_rng(1)
    y, x = np.mgrid[0:64, 0:96]
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast", "qp": "8", "g": "10"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(frames):
            waves = 100 + 40 * np.sin((x + 2 * number) / 9) * np.cos(y / 7)
            streaks = np.repeat(noise.random((16, 96)) < 0.05, 4, axis=0) * (begin <= number < end)
            grey = np.clip(waves + 60 * streaks, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.dstack([grey] * 3), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_the_rainiest_part_is_found_without_reading_all(tmp_path: Path, ending: str) -> None:
    path = rainy_between(tmp_path / f"a.{ending}", 75, 120)
    assert 2.4 <= float(rainiest(path, 1.0)) < 4.4


def test_a_part_never_begins_too_late_to_last(tmp_path: Path) -> None:
    path = rainy_between(tmp_path / "a.mp4", 130, 150)
    assert 3.9 <= float(rainiest(path, 2.0)) <= 4.0
    assert rainiest(path, 60.0) == 0


def test_what_moves_or_stays_counts_less_than_what_falls() -> None:
    ramp = np.tile(np.arange(0, 96, dtype=np.int16), (64, 1))
    moving = fallen([np.roll(ramp, number)[:, 8:-8] for number in (0, 2, 4)])
    drop = ramp[:, 8:-8].copy()
    drop[:, 40] += 50
    assert fallen([ramp[:, 8:-8], drop, ramp[:, 8:-8]]) > moving == 0


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("rain")
    with pytest.raises(SourceError, match=r"a\.mp4 cannot be opened as a video"):
        rainiest(tmp_path / "a.mp4", 1.0)
