"""Frames and layouts: they know their shapes and refuse others."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from streamderain.frames import Frame, PixelLayout, VideoInfo


@pytest.mark.parametrize(
    ("chroma", "size", "shapes"),
    [
        ("gray", (5, 7), ((5, 7),)),
        ("420", (4, 6), ((4, 6), (2, 3), (2, 3))),
        ("420", (5, 7), ((5, 7), (3, 4), (3, 4))),
        ("422", (5, 7), ((5, 7), (5, 4), (5, 4))),
        ("444", (5, 7), ((5, 7), (5, 7), (5, 7))),
        ("420", (1, 1), ((1, 1), (1, 1), (1, 1))),
    ],
)
def test_planes_have_their_shapes(chroma, size, shapes) -> None:  # type: ignore[no-untyped-def]
    layout = PixelLayout(*size, chroma=chroma)
    assert layout.plane_shapes == shapes
    assert layout.samples == sum(height * width for height, width in shapes)


def test_split_gives_views_of_the_planes_in_order() -> None:
    layout = PixelLayout(3, 5)
    data = torch.arange(2 * layout.samples).view(2, -1)
    planes = layout.split(data)
    assert [tuple(plane.shape) for plane in planes] == [(2, *shape) for shape in layout.plane_shapes]
    assert torch.equal(torch.cat([plane.flatten(1) for plane in planes], dim=1), data)
    planes[1][0, 0, 0] = -1
    assert data[0, 15] == -1


def test_split_takes_a_single_frame_too() -> None:
    layout = PixelLayout(2, 2)
    assert [plane.tolist() for plane in layout.split(torch.arange(6))] == [[[0, 1], [2, 3]], [[4]], [[5]]]


@pytest.mark.parametrize("shape", [(5,), (7,), (1, 6), ()])
def test_a_frame_refuses_data_of_another_length(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs \(6,\)"):
        Frame(torch.zeros(shape, dtype=torch.uint8), PixelLayout(2, 2), 0, Fraction(1, 25))


def test_a_frame_knows_its_time_exactly() -> None:
    frame = Frame(torch.zeros(6, dtype=torch.uint8), PixelLayout(2, 2), 30, Fraction(1001, 30000))
    assert frame.pts * frame.time_base == Fraction(1001, 1000)
    assert frame.seconds == pytest.approx(1.001)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"frames": 7, "duration_seconds": 100.0, "frame_rate": Fraction(25)}, 7),
        ({"duration_seconds": 2.0, "frame_rate": Fraction(30000, 1001)}, 60),
        ({"duration_seconds": 2.0}, None),
        ({"frame_rate": Fraction(25)}, None),
        ({"frames": 0}, None),
        ({}, None),
    ],
)
def test_expected_frames_come_from_the_best_that_the_header_says(said, expected) -> None:  # type: ignore[no-untyped-def]
    info = VideoInfo("h264", "yuv420p", 4, 4, Fraction(1, 90000), **said)
    assert info.expected_frames == expected
