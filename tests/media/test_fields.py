"""Frames of two fields made whole."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from tests.media.conftest import LOSSLESS


def comb(number: int, top_first: bool) -> av.VideoFrame:
    """A bar that moves to the right; its two fields are half a frame apart."""
    luma = np.full((64, 96), 40, np.uint8)
    for field in (0, 1):
        later = field if top_first else 1 - field
        left = 8 * number + 4 * later
        luma[field::2, left : left + 24] = 200
    frame = av.VideoFrame.from_ndarray(np.vstack([luma, np.full((32, 96), 128, np.uint8)]), format="yuv420p")
    graph = av.filter.Graph()
    entry = graph.add_buffer(width=96, height=64, format="yuv420p", time_base=Fraction(1, 25))
    marked = graph.add("setparams", f"field_mode={'tff' if top_first else 'bff'}")
    graph.link_nodes(entry, marked, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def combing(luma: np.ndarray[Any, Any]) -> float:
    """How much a row differs from the mean of those above and below."""
    rows = luma.astype(int)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


@pytest.mark.parametrize("top_first", [True, False])
def test_fields_become_whole_frames_at_the_same_times(studio: Any, top_first: bool) -> None:
    options = {"qp": "0", "flags": "+ildct+ilme"}
    pictures = [comb(number, top_first) for number in range(8)]
    source = studio.clip(size=(64, 96), pts=range(8), options=options, pictures=pictures)
    with open_source(source) as plain, open_source(source, deinterlace=True) as whole:
        assert (plain.info.is_interlaced, whole.info.is_interlaced) == (True, False)
        before, after = list(decode(plain)), list(decode(whole))
    assert [frame.seconds for frame in after] == [frame.seconds for frame in before]
    for torn, mended in zip(before[1:-1], after[1:-1], strict=True):
        first, second = (frame.layout.split(frame.data)[0].numpy() for frame in (torn, mended))
        assert combing(second) < combing(first) / 3


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_the_output_is_not_marked_interlaced(studio: Any, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    pictures = [comb(number, True) for number in range(4)]
    source = studio.clip(size=(64, 96), pts=range(4), options={"qp": "0", "flags": "+ildct+ilme"}, pictures=pictures)
    output = studio.through(source, f"out.{ending}", LOSSLESS, deinterlace=True)
    assert "interlac" not in caplog.text  # that it is gone is what was wanted
    with av.open(output) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))
        assert container.streams.video[0].codec_context.field_order < 2


def test_whole_frames_stay_as_they_are(studio: Any) -> None:
    source = studio.clip()
    studio.unchanged(source, studio.through(source, deinterlace=True))
