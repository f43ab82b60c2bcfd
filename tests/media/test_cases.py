"""The founders' small files that fail elsewhere, and what must come of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.media.encoder import Encoding
from streamderain.media.source import open_source
from tests.media.test_sink import held
from tests.media.test_tags import shown, side_data


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_mirrored_picture(studio: Any, shared: Path, ending: str) -> None:
    source = shared / "cases" / "hflip.mp4"
    output = studio.through(source, f"out.{ending}", Encoding(crf=None, options={"qp": "0"}))
    assert set(side_data(output, "DISPLAYMATRIX")) == set(side_data(source, "DISPLAYMATRIX")) != set()
    assert np.array_equal(shown(output), shown(source))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_second_longer_picture(studio: Any, shared: Path, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    source = shared / "cases" / "two.mkv"
    output = studio.through(source, f"out.{ending}")
    ours, theirs = held(output, "video")[1], held(source, "video")[1]
    assert len(ours[0]) == len(theirs[0]) > 30
    assert caplog.text == ""


@pytest.mark.parametrize("ending", ["mov", "mp4"])
def test_the_keys_of_a_phone(studio: Any, shared: Path, ending: str) -> None:
    source = shared / "cases" / "iphone.mov"
    with av.open(source) as before, av.open(studio.through(source, f"out.{ending}")) as after:
        keys = [key for key in before.metadata if key.startswith("com.apple")]
        assert len(keys) == 2
        assert [after.metadata.get(key) for key in keys] == [before.metadata[key] for key in keys]


@pytest.mark.parametrize(
    ("encoder", "ending"), [("libx265", "mp4"), ("libx264", "mp4"), ("ffv1", "mkv"), ("ffv1", "mp4")]
)
def test_hdr10(studio: Any, shared: Path, encoder: str, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    source = shared / "cases" / "hdr10.mp4"
    with (
        open_source(source) as before,
        open_source(studio.through(source, f"out.{ending}", Encoding(encoder))) as after,
    ):
        assert before.info.mastering_display is not None
        assert after.info.mastering_display == before.info.mastering_display
        assert after.info.content_light == before.info.content_light == (1000, 400)
    assert caplog.text == ""


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_interlaced(studio: Any, shared: Path, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    source = shared / "cases" / "inter.mp4"
    output = studio.through(source, f"out.{ending}")
    assert "is interlaced, and stays so" in caplog.text
    with av.open(output) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    with open_source(output) as opened:
        assert opened.info.shows_top_first
