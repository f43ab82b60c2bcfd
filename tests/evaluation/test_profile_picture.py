"""The temporal profile: a line of each frame, version below version."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamderain.errors import SinkError
from streamderain.evaluation.profile_picture import GAP, LEAST_STRIP, MOST_FRAMES, TemporalProfile
from streamderain.media.images import read_image


def striped(value: int) -> Tensor:
    """(1, 3, 5, 8), black but for the middle line."""
    picture = torch.zeros(1, 3, 5, 8, dtype=torch.uint8)
    picture[:, :, 2] = value
    return picture


def test_strips_stand_one_above_the_other_and_time_goes_down() -> None:
    profile = TemporalProfile()
    for number in range(4):
        profile.add(striped(10 + number), striped(20 + number), striped(30 + number))
    picture = profile.picture()
    each = LEAST_STRIP // 4
    assert picture.shape == (3, 3 * LEAST_STRIP + 2 * GAP, 8)
    for strip in range(3):
        top = strip * (LEAST_STRIP + GAP)
        lines = picture[0, top : top + LEAST_STRIP, 0].tolist()
        assert lines == [10 * (strip + 1) + number for number in range(4) for _ in range(each)]
    assert picture[0, LEAST_STRIP : LEAST_STRIP + GAP].unique().tolist() == [255]


def test_a_long_video_is_cut_off_and_another_width_left_out() -> None:
    profile = TemporalProfile()
    for _ in range(MOST_FRAMES + 3):
        profile.add(striped(1))
        profile.add(striped(1)[..., :4])
    assert profile.picture().shape == (3, MOST_FRAMES, 8)


def test_it_is_written_under_a_name_that_a_file_can_have(tmp_path: Path) -> None:
    profile = TemporalProfile()
    profile.add(striped(50), striped(60))
    path = profile.write(tmp_path / "new" / "folder", "clips, heavy rain", "a.mp4", "../weights/mine.pth")
    assert path == tmp_path / "new" / "folder" / "clips-heavy-rain-a.mp4-..-weights-mine.pth.png"
    assert torch.equal(read_image(path), profile.picture())
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="file cannot be made"):
        profile.write(tmp_path / "file", "a")
