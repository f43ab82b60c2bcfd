"""Colours that a network sees and paints are those that the standards give the codes of a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.run import derain

WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
           9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # fmt: skip
"""Of red and blue in luma, by the number of the matrix (ITU-T H.273, table 4)."""

LIMITED, FULL = 1, 2
FORMATS = [
    f"yuv{chroma}p{depth}" for chroma in ("420", "422", "444") for depth in ("", "10le", "12le")
] + ["yuv411p", "yuv440p", "yuv444p16le", "yuva420p"]  # fmt: skip
QUICK = ("yuv420p", "yuv444p10le")

BEFORE = np.array(
    [[0.2, 0.3, 0.4], [0.8, 0.5, 0.3], [0.1, 0.7, 0.6], [0.5, 0.5, 0.5], [0.9, 0.1, 0.2], [0.05, 0.1, 0.9]]
)
AFTER = np.roll(BEFORE, 2, 0)[:, ::-1]
"""RGB, 0 to 1, of six patches beside one another."""

PATCH = 32


def bits_of(pixel_format: str) -> int:
    return max(each.bits for each in av.VideoFormat(pixel_format, 64, 64).components)


def codes(rgb: np.ndarray, matrix: int, span: int, bits: int) -> np.ndarray:
    """(N, 3) RGB -> (N, 3) Y, Cb and Cr as samples (ITU-T H.273, equations 38 to 54)."""
    red, blue = WEIGHTS[matrix]
    luma = rgb @ [red, 1 - red - blue, blue]
    chroma = [(rgb[:, 2] - luma) / (2 * (1 - blue)), (rgb[:, 0] - luma) / (2 * (1 - red))]
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    if span == FULL:
        return np.stack([luma * top, *(each * top + 128 * unit for each in chroma)], 1)
    return np.stack([(luma * 219 + 16) * unit, *((each * 224 + 128) * unit for each in chroma)], 1)


def patches(values: np.ndarray) -> np.ndarray:
    """(6, C) -> (C, PATCH, 6 * PATCH)."""
    return np.broadcast_to(values.T[:, None, :, None], (values.shape[1], PATCH, 6, PATCH)).reshape(-1, PATCH, 6 * PATCH)


def written(path: Path, pixel_format: str, matrix: int, span: int) -> Path:
    """A film of one frame whose samples are set one by one."""
    bits = min(bits_of(pixel_format), 16)
    samples = patches(codes(BEFORE, matrix, span, bits)).round().astype(np.uint16 if bits > 8 else np.uint8)
    whole = f"yuv444p{f'{bits}le' if bits > 8 else ''}"
    frame = av.VideoFrame(6 * PATCH, PATCH, whole)
    for plane, ours in zip(frame.planes, samples, strict=True):
        rows = np.frombuffer(memoryview(plane), ours.dtype).reshape(PATCH, -1)
        rows[:, : ours.shape[1]] = ours
    frame.colorspace, frame.color_range = matrix, span
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 6 * PATCH, PATCH, pixel_format
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, span
        # Only its chroma gets smaller: libav knows not every matrix.
        frame = frame.reformat(format=pixel_format, src_colorspace=5, dst_colorspace=5,
                               src_color_range=span, dst_color_range=span)  # fmt: skip
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def middles(path: Path) -> np.ndarray:
    """(6, 3) samples in the middle of the patches of the first frame."""
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    found = []
    for plane, component in zip(frame.planes[:3], frame.format.components, strict=False):
        kind = np.uint16 if component.bits > 8 else np.uint8
        rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        found.append(rows[plane.height // 2, (np.arange(6) * 2 + 1) * plane.width // 12])
    return np.stack(found, 1).astype(float)


class Painter:
    """Sees, and paints something else."""

    device = torch.device("cpu")
    past = future = 0
    seen: Tensor

    def restore(self, windows: Tensor) -> Tensor:
        self.seen = windows[0, 0].float()
        return torch.from_numpy(patches(AFTER)).float()[None].to(windows)


def check(folder: Path, pixel_format: str, matrix: int, span: int) -> None:
    bits, painter = bits_of(pixel_format), Painter()
    source = written(folder / "in.mkv", pixel_format, matrix, span)
    derain(source, folder / "out.mkv", network=painter, blend=0, encoder="ffv1", crf=None)
    seen = painter.seen[:, PATCH // 2, PATCH // 2 :: PATCH].T.numpy()
    # As far as its samples are rounded, luma and, which weighs twice in blue, chroma.
    assert np.abs(seen - BEFORE).max() <= 0.5 / 219 + 2 * 0.5 / 224
    wanted = codes(AFTER, matrix, span, bits)
    most = {8: 1, 10: 2, 12: 8, 16: 128}[bits]
    assert np.abs(middles(folder / "out.mkv") - wanted).max() <= most


@pytest.mark.parametrize("span", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("pixel_format", QUICK)
def test_colours_are_those_of_the_standards(tmp_path: Path, pixel_format: str, matrix: int, span: int) -> None:
    check(tmp_path, pixel_format, matrix, span)


@pytest.mark.slow
@pytest.mark.parametrize("span", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("pixel_format", [each for each in FORMATS if each not in QUICK])
def test_in_every_pixel_format(tmp_path: Path, pixel_format: str, matrix: int, span: int) -> None:
    check(tmp_path, pixel_format, matrix, span)
