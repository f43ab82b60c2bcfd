"""From a span of a source to a part of the film, and from all parts to the film.

    frames, spans = spans_at_keys(name, 60.0)                # what there is to do: batch/spread/cutting.py
    with Film(name, output, config) as film:                 # claims the output, says what it will not hold
        parts = [make_part(name, span, folder / f"{span.first}", config, film.kind, network) for span in spans]
        film.join(parts)                                     # the output is whole

Each part may be made by another process, in any order. Parts end with nothing but their frames' times in common: the
frames beside a span are decoded and derained again for the part on either side, as far as network and blending reach,
and behind it as far as the encoder looks ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from streamderain.carry import Progress, carry
from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine
from streamderain.errors import SourceError
from streamderain.frames import Network
from streamderain.media.encoder import encoding_of
from streamderain.media.parts import Part, PartSink, join
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import open_source
from streamderain.parts.feed import Feed, Stretch
from streamderain.stream.pipeline import Station


@dataclass(frozen=True)
class Span:
    """Frames of a source, from number `first` on: those shown from `begin` on and before `end`, in units of its time
    base, on its clock; None where it begins and where it ends. `after` is the time of the frame before the first, by
    which that place is known again.
    """

    first: int = 0
    begin: int | None = None
    end: int | None = None
    after: int | None = None


def make_part(
    source: str | Path,
    span: Span,
    path: Path,
    config: DerainConfig,
    kind: str,
    network: Network,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Part:
    """Derain a span of `source` into the file `path`, for an output of the format `kind`, by libav's name.

    Raises StreamderainError; then there is no such file. A source that breaks within the span makes a shorter part.
    """
    with open_source(source, config.hwaccel, config.deinterlace) as opened:
        opened.drop_passengers()
        engine = Engine(network, config, within=None)
        feed = Feed(opened, engine.lead, span.begin, span.after)
        return derained(feed, Stretch(feed, end=span.end), engine, path, config, kind, span.first, report)


def derained(
    feed: Feed, stretch: Stretch, engine: Engine, path: Path, config: DerainConfig, kind: str, first: int,
    report: Callable[[Progress], None],
) -> Part:  # fmt: skip
    """The stretch of the feed, which begins with frame number `first`, as a part. Raises StreamderainError."""
    source = feed.source
    sink = PartSink(path, source.info, layout_of(source.info), encoding_of(config), kind, lambda: stretch.lasts, first,
                    lambda: stretch.behind)  # fmt: skip
    reading = partial(stretch.frames, max(engine.delay, sink.behind))
    stations = (*engine.stations(), Station("cut", stretch.shown))
    carry(source, stations, [(sink, lambda pair: pair.clean)], report, engine.delay, reading)
    if sink.part is None or not sink.frames:
        path.unlink(missing_ok=True)
        raise feed.error or SourceError(f"{source.name} has no frame from number {first} on")
    # Each part tells its own.
    source.damaged = 0
    return sink.part


class Film:
    """The output of a run in parts: claimed and opened, as other runs into it are refused, until `join` makes it whole.
    What it will not hold of the source is told at once. `again` says that what an earlier run left may go, as its parts
    are there. Raises what `FileSink` does.
    """

    def __init__(self, source: str | Path, output: Path, config: DerainConfig, again: bool = False) -> None:
        check_output(output, Path(source), config.overwrite, again)
        self._source = open_source(source, config.hwaccel, config.deinterlace)
        try:
            layout = layout_of(self._source.info)
            self.sink = FileSink(output, self._source, layout, encoding_of(config), overwrite=config.overwrite,
                                 verify=config.verify, again=again)  # fmt: skip
        except BaseException:
            self._source.close()
            raise
        self._is_over = False

    @property
    def kind(self) -> str:
        """The output's format, by libav's name."""
        return self.sink.kind

    def join(self, parts: list[Part], error: SourceError | None = None) -> None:
        """Make the output of all parts, in order. Raises SinkError; or where the source cannot be read to its end, the
        `error` of that or TruncatedError, whose `kept` names the file where the frames are.
        """
        try:
            join(parts, self._source, self.sink)
            if error:
                raise error
            self.sink.commit()
        except SourceError as broken:
            if kept := self.sink.abandon():
                broken.kept = f"the first {self.sink.frames} frames are kept in {kept}"
            self._is_over = True
            raise
        self._is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_over:
            self.sink.discard()
        self._source.close()
