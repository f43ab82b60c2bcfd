"""Where files are cut: at key pictures, and not at all where nobody can go to a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain.batch.spread.cutting import spans_at_keys
from streamderain.parts.making import Span
from tests.media.conftest import Studio


def test_spans_begin_with_key_pictures(tmp_path: Path) -> None:
    source = Studio(tmp_path).clip("in.mkv", pts=range(20), options={"g": "5", "sc_threshold": "0"})
    frames, spans = spans_at_keys(source, 0.35)
    assert (frames, [span.first for span in spans]) == (20, [0, 10])
    assert [span.end for span in spans] == [spans[1].begin, None]


@pytest.mark.parametrize("name", ["in.ts", "in.avi"])
def test_where_nobody_can_go_to_a_place_there_is_one_span(tmp_path: Path, name: str) -> None:
    """And all of its frames, also those that opening it takes."""
    assert spans_at_keys(Studio(tmp_path).clip(name, pts=range(20)), 0.2) == (20, [Span()])
