"""A rainy scene as a real encoded file, for measuring without anybody's footage."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

DARKEST, BRIGHTEST, STREAK = 30, 190, 50
"""Codes of luma; a streak on the brightest place still fits into eight bits."""


def write_test_video(path: Path, height: int, width: int, frames: int, rate: int = 25) -> None:
    """Encode `frames` frames, `height` by `width` even pixels, to `path` (H.264): texture that a camera pans over, with
    as much detail at each scale as photographs have, behind falling streaks. The same arguments make the same file.
    """
    generator = np.random.default_rng(1)
    luma = _texture(generator, height, width, contrast=36)
    chroma = [_texture(generator, height // 2, width // 2, contrast=8) for _ in range(2)]
    streaks = _streaks(generator, height, width)
    with av.open(path, "w") as file:
        # In narrow pictures x264's mbtree reads beyond its rows, and codes whatever lies in memory there.
        stream = file.add_stream("libx264", rate=rate, options={"preset": "veryfast", "mbtree": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(frames):
            # Even, so that chroma moves by whole samples as well.
            pan = 2 * (number * max(1, width // 800))
            planes = [np.roll(luma, -pan, 1) + _fallen(streaks, number)]
            planes += [np.roll(plane, -pan // 2, 1) for plane in chroma]
            flat = np.concatenate([plane.ravel() for plane in planes])
            frame = av.VideoFrame.from_ndarray(flat.reshape(height * 3 // 2, width), format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _texture(generator: np.random.Generator, height: int, width: int, contrast: float) -> Plane:
    """Noise whose amplitude falls with its frequency, as in photographs, and which joins up at opposite edges."""
    spectrum = np.fft.rfft2(generator.standard_normal((height, width), dtype=np.float32))
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, right)
    frequency[0, 0] = np.inf  # no mean
    noise = np.fft.irfft2(spectrum / frequency, (height, width))
    grey = (DARKEST + BRIGHTEST) / 2 if contrast > 10 else 128
    grained: Plane = (grey + contrast * noise / max(noise.std(), 1e-6)).clip(DARKEST, BRIGHTEST).astype(np.uint8)
    return grained


def _streaks(generator: np.random.Generator, height: int, width: int) -> Plane:
    """Slanting lines, a twentieth of the height long, on black."""
    lines = np.where(generator.random((height, width), dtype=np.float32) < 15 / (height * width) ** 0.75, STREAK, 0)
    lines = lines.astype(np.uint8)
    reach = 1
    while reach < height // 20:
        lines = np.maximum(lines, np.roll(lines, (reach, reach // 6), (0, 1)))
        reach *= 2
    return lines


def _fallen(streaks: Plane, frames: int) -> Plane:
    """The streaks so many frames later; what leaves at the bottom comes in at the top."""
    height = len(streaks)
    fall = max(1, height // 9) * frames
    return np.roll(streaks, (fall, fall // 6), (0, 1))
