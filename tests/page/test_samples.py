"""Single frames as a run makes them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from streamderain.engine.engine import Engine
from streamderain.errors import SourceError, Stopped
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from streamderain.media.synthetic import write_test_video
from streamderain.page.samples import FRAMES, moments, sample
from tests.media.test_glimpses import rainy_between
from tests.page.conftest import CONFIG, Darker


@pytest.mark.parametrize(("at", "blend"), [(0, 1.0), (6, 1.0), (11, 1.0), (6, 0.0)])
def test_a_sample_is_the_frame_of_a_run_to_the_bit(tmp_path: Path, at: int, blend: float) -> None:
    config, source = replace(CONFIG, blend=blend), tmp_path / "in.mp4"
    write_test_video(source, 32, 48, 12)
    with open_source(source) as opened:
        pairs = list(Engine(Darker(), config).run(decode(opened)))
    made = sample(source, Fraction(at, 25), Darker(), config)
    assert made.pair.rainy.data.equal(pairs[at].rainy.data)
    assert made.pair.clean.data.equal(pairs[at].clean.data)
    assert not made.pair.clean.data.equal(made.pair.rainy.data)
    assert made.seconds_per_frame > 0


def test_nothing_but_the_neighbours_goes_through_the_network(tmp_path: Path) -> None:
    class Counting(Darker):
        frames = 0

        def restore(self, windows):  # type: ignore[no-untyped-def]
            self.frames += len(windows)
            return super().restore(windows)

    network = Counting()
    source = rainy_between(tmp_path / "in.mp4", 0, 150)
    sample(source, Fraction(3), network, CONFIG)
    assert network.frames == 3


def test_what_is_not_wanted_any_more_ends(clip: Path) -> None:
    def check() -> None:
        raise Stopped("enough")

    with pytest.raises(Stopped, match="enough"):
        sample(clip, Fraction(0), Darker(), CONFIG, check)


def test_beyond_the_end_there_is_no_frame(clip: Path) -> None:
    with pytest.raises(SourceError, match="no picture from 9 s on"):
        sample(clip, Fraction(9), Darker(), CONFIG)


def test_the_rainiest_moment_is_one_of_those_that_are_looked_at(tmp_path: Path) -> None:
    found, most = moments(rainy_between(tmp_path / "in.mp4", 75, 120), 6.0)
    assert len(found) == FRAMES
    assert sorted(found) == found
    assert 3.0 <= found[most] < 4.8
    assert moments(tmp_path / "in.mp4", None) == ([Fraction(0)], 0)
