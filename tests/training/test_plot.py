"""draw_log: every column of the log, as a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamderain.errors import TrainingError
from streamderain.training.plot import PANELS, draw_log

LOG = """step,loss,still,still_gain,moving,moving_gain,dry,seconds
2,-3.1,24,0.5,26,0.7,,10
4,-3.3,25,1.5,27,1.7,43,20
"""


def test_every_column_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    draw_log(tmp_path / "log.csv", tmp_path / "log.svg")
    # Matplotlib notes a text's letters beside its shapes.
    drawn = (tmp_path / "log.svg").read_text()
    for column in (*PANELS, *(name for names in PANELS.values() for name in names)):
        assert f"<!-- {column} -->" in drawn


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(TrainingError, match=r"pip install 'streamderain\[plot\]'"):
        draw_log(tmp_path / "log.csv", tmp_path / "log.png")
