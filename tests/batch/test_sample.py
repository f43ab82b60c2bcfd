"""A few seconds where it rains most, and what the whole will take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamderain.batch.sample import sample_of
from streamderain.carry import Progress
from streamderain.config import DerainConfig
from streamderain.errors import ConfigError, Stopped, StreamderainError
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from tests.media.test_glimpses import rainy_between

CONFIG = DerainConfig(preset="ultrafast", blend=0.0)


class Darker:
    device, past, future = torch.device("cpu"), 1, 1

    def restore(self, windows: Tensor) -> Tensor:
        return windows[:, 1] - 0.2


def test_three_pictures_stand_side_by_side_and_the_whole_is_estimated(tmp_path: Path) -> None:
    source = rainy_between(tmp_path / "in.mp4", 75, 120)
    done = sample_of(source, tmp_path / "out.mp4", 1.0, CONFIG, network=Darker())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.try.mp4"]
    assert done.output == tmp_path / "out.try.mp4"
    assert 2.4 <= done.start < 4.4
    assert done.frames == 25
    assert done.seconds is not None
    assert done.seconds > 0
    with open_source(done.output) as opened:
        frames = list(decode(opened))
    assert len(frames) == 25
    assert (frames[0].layout.height, frames[0].layout.width) == (64, 288)
    luma = frames[9].layout.split(frames[9].data)[0].float()
    left, middle, right = (float(luma[:, at : at + 96].mean()) for at in (0, 96, 192))
    assert left - right == pytest.approx(43.8, abs=2)
    assert left - middle == pytest.approx(21.9, abs=2)


def test_the_size_of_the_whole_is_about_what_it_will_be(tmp_path: Path) -> None:
    from streamderain.run import derain

    source = rainy_between(tmp_path / "in.mp4", 0, 150)
    done = sample_of(source, tmp_path / "out.mp4", 2.0, CONFIG, network=Darker())
    derain(source, tmp_path / "out.mp4", CONFIG, network=Darker())
    assert done.bytes == pytest.approx((tmp_path / "out.mp4").stat().st_size, rel=0.25)


def test_ctrl_c_leaves_nothing_but_what_is_told(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    source = rainy_between(tmp_path / "in.mp4", 0, 50, frames=50)
    with pytest.raises(Stopped, match=r"frames are kept in .*out\.try\.partial\.mp4"):
        sample_of(source, tmp_path / "out.mp4", 1.0, CONFIG, stop, Darker())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.try.partial.mp4"]


@pytest.mark.parametrize(
    ("config", "lasts", "said"),
    [
        (DerainConfig(start="1"), 1.0, "--try takes a length above 0, without --start"),
        (CONFIG, 0.0, "--try takes a length above 0"),
    ],
)
def test_what_cannot_be_tried(tmp_path: Path, config: DerainConfig, lasts: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sample_of(tmp_path / "in.mp4", tmp_path / "out.mp4", lasts, config, network=Darker())


def test_an_old_try_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "out.try.mp4").write_text("precious")
    source = rainy_between(tmp_path / "in.mp4", 0, 50, frames=50)
    with pytest.raises(StreamderainError, match=r"out\.try\.mp4 exists; --overwrite replaces it"):
        sample_of(source, tmp_path / "out.mp4", 1.0, CONFIG, network=Darker())
