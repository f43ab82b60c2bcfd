"""A film that is derained in parts is the film of one run, wherever it is parted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.errors import SinkError, SourceError, TruncatedError
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from streamderain.parts.feed import Feed, Stretch
from streamderain.parts.making import Film, Span, make_part
from streamderain.run import derain
from tests.media.conftest import Studio
from tests.media.test_sink import sound

UNEVEN = [0, 1, 2, 5, 6, 20, 21, 22, 23, 30, 37, 38, 39, 50, 51, 52, 53, 54, 60, 61]
CONFIG = DerainConfig(encoder="ffv1", crf=None, blend=1.0)


class Wide:
    """Answers with the mean of the windows that it is given, so that every neighbour shows."""

    device = torch.device("cpu")

    def __init__(self, past: int = 2, future: int = 1) -> None:
        self.past, self.future = past, future
        self.frames = 0

    def restore(self, windows: Tensor) -> Tensor:
        self.frames += len(windows)
        return windows.mean(1)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A place to make clips in."""
    return Studio(tmp_path)


def spans_of(source: Path, length: int) -> list[Span]:
    """The source in spans of so many frames."""
    with open_source(source) as opened:
        opened.drop_passengers()
        times = [frame.pts for frame in decode(opened)]
    borders = range(length, len(times), length)
    begins = [(0, None, None), *((number, times[number], times[number - 1]) for number in borders)]
    ends = [*(begin for _, begin, _ in begins[1:]), None]
    return [Span(first, begin, end, after) for (first, begin, after), end in zip(begins, ends, strict=True)]


def in_parts(studio: Studio, source: Path, spans: list[Span], config: DerainConfig = CONFIG) -> Path:
    output = studio.folder / "out.mkv"
    with Film(source, output, config) as film:
        # In any order: nothing is handed from one to the next.
        made = [
            make_part(source, span, studio.folder / f"part-{span.first}", config, film.kind, Wide())
            for span in reversed(spans)
        ]
        film.join(made[::-1])
    assert film.sink.differences == []
    return output


@pytest.mark.parametrize("frames", [1, 6, 7, 19, 30])
@pytest.mark.parametrize("pts", [range(20), UNEVEN], ids=["even", "uneven"])
def test_any_parts_make_the_same_film(studio: Studio, pts: Any, frames: int) -> None:
    source = studio.clip("in.mkv", pts=pts, passengers=[sound(seconds=0.8)])
    spans = spans_of(source, frames)
    assert len(spans) == -(-20 // frames)
    output = in_parts(studio, source, spans)
    derain(source, studio.folder / "whole.mkv", CONFIG, network=Wide())
    studio.unchanged(studio.folder / "whole.mkv", output)


def test_key_pictures_far_apart_and_pictures_out_of_order(studio: Studio) -> None:
    source = studio.clip("in.mp4", pts=range(80), options={"g": "30", "bf": "3", "crf": "30"})
    output = in_parts(studio, source, spans_of(source, 25))
    derain(source, studio.folder / "whole.mkv", CONFIG, network=Wide())
    studio.unchanged(studio.folder / "whole.mkv", output)


def test_a_place_that_cannot_be_gone_to_is_read_up_to(studio: Studio) -> None:
    source = studio.clip("in.ts", pts=range(20))
    with open_source(source) as opened:
        feed = Feed(opened, 0)
        times = []
        while frame := feed.upcoming():
            times.append(frame.pts)
            list(Stretch(feed, most=1).frames(0))
    spans = [Span(0, None, times[9]), Span(9, times[9], times[15], times[8]), Span(15, times[15], None, times[14])]
    output = in_parts(studio, source, spans)
    derain(source, studio.folder / "whole.mkv", CONFIG, network=Wide())
    studio.unchanged(studio.folder / "whole.mkv", output)


def test_a_place_that_is_another_is_an_error(studio: Studio) -> None:
    source = studio.clip("in.mp4", pts=range(20))
    span = spans_of(source, 5)[2]
    for wrong in (replace(span, begin=span.begin and span.begin + 1), replace(span, after=0)):
        with pytest.raises(SourceError, match=r"in.mp4 shows other pictures at 0\.4\S* s than it did"):
            make_part(source, wrong, studio.folder / "part", CONFIG, "matroska", Wide())
    assert studio.files() == {"in.mp4"}


def test_only_what_reaches_into_a_part_is_derained_twice(studio: Studio) -> None:
    source = studio.clip("in.mp4", pts=range(60))
    network = Wide()
    make_part(source, spans_of(source, 20)[1], studio.folder / "part", CONFIG, "matroska", network)
    # Two frames in the window and two in blending before it; one and two behind.
    assert network.frames == 20 + 4 + 3


def test_what_the_encoder_looks_ahead_to_is_derained_too(studio: Studio) -> None:
    source = studio.clip("in.mp4", pts=range(60))
    spans, config = spans_of(source, 20), replace(CONFIG, encoder="libx264", crf=18)
    for span, beside in zip(spans, (0 + 8, 4 + 8, 4 + 0), strict=True):
        network = Wide()
        part = make_part(source, span, studio.folder / "part", config, "matroska", network)
        assert (part.frames, network.frames) == (20, 20 + beside)


def test_which_frames_go_together_is_no_matter_of_time(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    from streamderain.engine import engine
    from streamderain.engine.batching import batch

    def spied(frames: Any, count: int, within: float | None = None) -> Any:
        waits.append(within)
        return batch(frames, count, within)

    monkeypatch.setattr(engine, "batch", spied)
    source = studio.clip("in.mp4")
    make_part(source, Span(), studio.folder / "part", CONFIG, "matroska", Wide())
    assert waits == [None]


def test_frames_are_decoded_once_for_all_stretches(studio: Studio) -> None:
    with open_source(studio.clip("in.mp4", pts=range(20))) as opened:
        feed, seen, own = Feed(opened, 3), [], []
        while upcoming := feed.upcoming():
            stretch = Stretch(feed, most=8)
            seen.append([frame.pts // 512 for frame in stretch.frames(2)])
            own.append((upcoming.pts // 512, stretch.lasts))
    assert seen == [[*range(10)], [*range(5, 18)], [*range(13, 20)]]
    assert own == [(0, 512), (8, 512), (16, 512)]


def test_a_source_that_breaks_ends_its_part_and_says_so(studio: Studio) -> None:
    source = studio.clip("in.mkv", pts=range(100), passengers=[sound(seconds=4)])
    with source.open("r+b") as file:
        file.truncate(source.stat().st_size // 2)
    whole = studio.folder / "whole.mkv"
    with pytest.raises(TruncatedError) as plain:
        derain(source, whole, CONFIG, network=Wide())
    output = studio.folder / "out.mkv"
    with Film(source, output, CONFIG) as film:
        part = make_part(source, Span(), studio.folder / "part", CONFIG, film.kind, Wide())
        assert 0 < part.frames < 100
        with pytest.raises(TruncatedError) as raised:
            film.join([part])
    assert str(raised.value).split(": ", 1)[-1].replace("out", "whole") in str(plain.value)
    assert len(studio.look(studio.folder / "out.partial.mkv").times) == part.frames
    studio.unchanged(studio.folder / "whole.partial.mkv", studio.folder / "out.partial.mkv")


def test_a_film_that_is_not_joined_leaves_nothing(studio: Studio) -> None:
    source = studio.clip("in.mp4")
    film = Film(source, studio.folder / "out.mkv", CONFIG)
    with film, pytest.raises(SinkError, match="is being written by another run"):
        Film(source, studio.folder / "out.mkv", CONFIG)
    assert studio.files() == {"in.mp4"}


def test_times_of_a_span_are_those_of_the_source(studio: Studio) -> None:
    source = studio.clip("in.mp4", pts=UNEVEN, time_base=Fraction(1, 30), rate=30)
    parts = [
        make_part(source, span, studio.folder / f"part-{span.first}", CONFIG, "matroska", Wide())
        for span in spans_of(source, 9)
    ]
    assert [(part.first, part.frames) for part in parts] == [(0, 9), (9, 9), (18, 2)]
    assert [part.begin for part in parts] == [0, 30 * 512, 60 * 512]
    assert [part.end for part in parts[:2]] == [30 * 512, 60 * 512]
