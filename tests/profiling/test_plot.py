"""The plot in its kinds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from streamderain.errors import ConfigError, SinkError
from streamderain.media.images import read_image
from streamderain.profiling.plot import check_plot, draw
from streamderain.profiling.rows import Profile

from .made_up import measured, other, profile, skipped


@pytest.fixture
def found() -> Profile:
    rows = [measured("640x360", 90.0), measured("640x480", 70.0), measured("1280x720", 26.0), skipped("1920x1080")]
    return profile([*rows, *(measured("640x360", 20.0 * batch, other(batch=batch)) for batch in (2, 4, 8))])


def test_a_png_is_a_picture_with_a_line_in_the_setups_colour(found: Profile, tmp_path: Path) -> None:
    draw(found, tmp_path / "plot.png")
    picture = read_image(tmp_path / "plot.png")
    assert min(picture.shape[1:]) > 500
    blue = (picture[0] == 0) & (picture[1] == 0x72) & (picture[2] == 0xB2)
    assert blue.sum() > 500


def test_an_svg_names_sizes_rates_and_setups(found: Profile, tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(found, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    for words in ("25 fps", "30 fps", "50 fps", "60 fps", "fast, openvino, bfloat16, batch 8", "1920x1080"):
        assert words in text
    assert "a small one, 2 threads" in text


def test_labels_of_sizes_keep_apart(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(profile([measured("640x360", 30.0), measured("648x364", 29.0)]), tmp_path / "plot.svg")
    assert "648x364" not in (tmp_path / "plot.svg").read_text()


def test_a_page_stands_by_itself(found: Profile, tmp_path: Path) -> None:
    draw(found, tmp_path / "plot.html")
    page = (tmp_path / "plot.html").read_text()
    assert "<html" in page
    assert "fast, openvino, bfloat16, batch 8" in page
    assert "60 fps" in page
    assert 'src="http' not in page


def test_what_cannot_be_drawn_is_said_before_it_is_measured(
    found: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"plot.jpeg has an ending .* allowed: .png, .svg, .html"):
        check_plot(Path("plot.jpeg"))
    with pytest.raises(SinkError, match="cannot be written"):
        draw(found, tmp_path / "none" / "plot.png")

    def missing(name: str) -> Any:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    for ending, library in (("png", "matplotlib"), ("html", "plotly")):
        with pytest.raises(ConfigError, match=rf"needs {library}; try: pip install 'streamderain\[plot\]'"):
            check_plot(Path(f"plot.{ending}"))
