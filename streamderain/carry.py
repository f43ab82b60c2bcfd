"""The loop of every run over files: from a source through stations to the sinks, each of them finished or kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamderain.errors import StationError, Stopped, StreamderainError
from streamderain.frames import Frame, Restored
from streamderain.media.decoder import decode
from streamderain.media.source import Source
from streamderain.media.stills import StillSource, decode_stills
from streamderain.stream.pipeline import Pipeline, Station
from streamderain.stream.stats import StationStats, slowest

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """What a run writes to; `frames` counts those that it has taken, `notes` tell what it does not hold of the source.
    `differences` tell, once it is whole, where it is not what was written to it, as far as it was looked.
    """

    frames: int
    notes: list[str]
    differences: list[str]

    def write(self, frame: Frame) -> None:
        """Take one frame."""

    def commit(self) -> None:
        """Finish; the output is whole."""

    def abandon(self) -> Path | None:
        """Finish early; where what is whole was kept, if anywhere."""


Output = tuple[Sink, Callable[[Restored], Frame]]
"""A sink, and what it shows of a pair of frames."""


def all_opened(*opens: Callable[[], Output]) -> list[Output]:
    """What each of `opens` gives; where one cannot be opened, nothing is left of those before it."""
    outputs: list[Output] = []
    try:
        for each in opens:
            outputs.append(each())
    except StreamderainError:
        for sink, _ in outputs:
            sink.abandon()
        raise
    return outputs


@dataclass(frozen=True)
class Progress:
    """How far a run is. `expected` frames are None where the source does not say; `delay_frames` is how many
    frames must have come after one before it goes out, frames that repeat another not counted. Of all frames an earlier
    run made those `before`.
    """

    frames: int
    expected: int | None
    seconds: float
    stations: list[StationStats]
    delay_frames: int = 0
    before: int = 0

    @property
    def frames_per_second(self) -> float:
        """Mean over the run so far."""
        return (self.frames - self.before) / self.seconds if self.seconds else 0.0

    @property
    def slowest(self) -> StationStats:
        """The station that sets the pace."""
        return slowest(self.stations)


def carry(
    source: Source | StillSource,
    stations: tuple[Station, ...],
    sinks: list[Output],
    report: Callable[[Progress], None],
    delay_frames: int = 0,
    reading: Callable[[], Iterable[Frame]] | None = None,
) -> Progress:
    """Run `stations`, from decoded frames to pairs, and write every pair to all `sinks`, which are then done.

    `delay_frames` is that of the stations; `reading` gives other frames than all of the source. Returns and raises what
    `derain` does; where frames were kept, they are those of the first sink.
    """

    def write(pairs: Iterable[Restored]) -> Iterator[None]:
        for pair in pairs:
            for sink, show in sinks:
                sink.write(show(pair))
            yield

    began, frames, uncommitted = time.monotonic(), 0, [sink for sink, _ in sinks]
    frames_of = (lambda _: reading()) if reading else decode_stills if isinstance(source, StillSource) else decode
    pipeline = Pipeline(source, Station("decode", frames_of, ahead=2), *stations, Station("encode", write))

    def progress() -> Progress:
        return Progress(frames, source.info.expected_frames, time.monotonic() - began, pipeline.stats, delay_frames)

    try:
        with pipeline as written:
            for _ in written:
                frames += 1
                report(progress())
        while uncommitted:
            _commit(uncommitted[0])
            del uncommitted[0]
    except (StreamderainError, KeyboardInterrupt) as error:
        raise _ended_early(error, uncommitted, len(uncommitted) < len(sinks)) from error
    except BaseException:  # the caller's own, out of `report`
        for sink in uncommitted:
            sink.abandon()
        raise
    if source.damaged:
        logger.warning("%s: %d damaged packets could not be decoded", source.name, source.damaged)
    return progress()


def _commit(sink: Sink) -> None:
    try:
        sink.commit()
    except StreamderainError:
        raise
    except Exception as error:
        unforeseen = StationError(f"{type(error).__name__}: {error}")
        unforeseen.station = "finish"
        raise unforeseen from error


def _ended_early(error: BaseException, uncommitted: list[Sink], is_derained: bool) -> StreamderainError:
    """The error to raise, once every sink that is not done has kept what is whole; `is_derained` says that the first
    is done.
    """
    kept = [(sink.abandon(), sink.frames) for sink in uncommitted]
    ended = error if isinstance(error, StreamderainError) else Stopped("stopped")
    path, frames = kept[0] if kept else (None, 0)
    if is_derained:
        ended.kept = "the derained video is whole"
    elif path:
        ended.kept = f"the first {frames} frames are kept in {path}"
    return ended
