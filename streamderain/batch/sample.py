"""A few seconds of a video, rainy beside derained at two strengths, and what the whole would take."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from streamderain.carry import Output, Progress, all_opened, carry
from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine, load_network
from streamderain.errors import ConfigError
from streamderain.frames import Frame, Network, Restored
from streamderain.media.choice import AUTO
from streamderain.media.compare import abreast, compared_layout
from streamderain.media.cut import cut
from streamderain.media.encoder import Encoding, encoding_of
from streamderain.media.glimpses import rainiest
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import Source, open_source
from streamderain.stream.pipeline import Station

HALF = 0.5
"""Of the strength that is asked for, the other one that is shown."""


@dataclass(frozen=True)
class Sample:
    """What was tried: `output`, from `start` seconds on for `frames`, and of the whole, None where its length is not
    told, the `seconds` and `bytes` that it will take, about.
    """

    output: Path
    start: float
    frames: int
    seconds: float | None
    bytes: int | None


def sample_of(
    source: Path,
    output: Path,
    lasts: float,
    config: DerainConfig,
    report: Callable[[Progress], None] = lambda progress: None,
    network: Network | None = None,
) -> Sample:
    """Derain `lasts` seconds of `source` where it rains most, into `output.try.mp4` beside where the whole would go:
    rainy, at half of the strength, and at all of it, from left to right.

    Raises StreamderainError, as `derain` does.
    """
    if config.part or config.compare or config.report or config.via_ffmpeg or lasts <= 0:
        raise ConfigError("--try takes a length above 0, without --start, --end, --compare, --report and --via-ffmpeg")
    shown = output.with_name(f"{output.stem}.try{output.suffix}")
    check_output(shown, source, config.overwrite)
    start = rainiest(source, lasts)
    pace = Pace(report)
    with (
        tempfile.TemporaryDirectory(prefix=".streamderain-", dir=output.parent) as folder,
        open_source(source, config.hwaccel, config.deinterlace) as opened,
    ):
        measured = Path(folder) / output.name
        engine = Engine(network or load_network(config), config)
        whole = opened.info
        part = cut(opened, start, start + Fraction(lasts).limit_denominator(1000), engine.lead, engine.delay)
        stations = (*engine.stations(), Station("cut", part.shown))
        done = carry(opened, stations, _sinks(opened, shown, measured, config), pace.report, engine.delay)
        size = measured.stat().st_size
    frames = whole.expected_frames
    return Sample(
        shown,
        float(start),
        done.frames,
        frames * pace.seconds_per_frame if frames else None,
        round(size * frames / done.frames) if frames else None,
    )


def _sinks(source: Source, shown: Path, measured: Path, config: DerainConfig) -> list[Output]:
    layout = layout_of(source.info)

    def whole() -> Output:
        return FileSink(measured, source, layout, encoding_of(config)), lambda pair: pair.clean

    def first() -> Output:
        seen = compared_layout(layout, 3)
        return FileSink(shown, source, seen, Encoding(AUTO), False, config.overwrite), _at_two_strengths

    # First the one that is to tell what of the source will be lost.
    return all_opened(whole, first)[::-1]


def _at_two_strengths(pair: Restored) -> Frame:
    # What is taken away is in proportion to the strength, plane by plane.
    change = (pair.clean.data.float() - pair.rainy.data) * HALF
    halfway = (pair.rainy.data + change).round().to(pair.rainy.data.dtype)
    return abreast([pair.rainy, replace(pair.clean, data=halfway), pair.clean])


class Pace:
    """How long a frame takes once the first is there; hands on what it is told to `report`."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._first: Progress | None = None
        self._last: Progress | None = None

    def report(self, progress: Progress) -> None:
        """So far a run is."""
        self._first, self._last = self._first or progress, progress
        self._report(progress)

    @property
    def seconds_per_frame(self) -> float:
        """The mean, without what comes before the first frame where there are two; one must have been reported."""
        assert self._first
        assert self._last
        frames = self._last.frames - self._first.frames
        return (self._last.seconds - self._first.seconds) / frames if frames else self._last.seconds
