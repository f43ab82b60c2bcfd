"""One video, source to sink: opens both, builds the stations, runs them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from streamderain.config import DerainConfig, build
from streamderain.engine.engine import Engine, batch_size, load_network
from streamderain.errors import DifferenceError, SinkError, StationError, Stopped, StreamderainError
from streamderain.frames import Frame, Network, Restored, VideoInfo
from streamderain.media.animation import readable
from streamderain.media.compare import beside, compared_layout
from streamderain.media.cut import cut
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding, available
from streamderain.media.ffmpeg import FfmpegSink
from streamderain.media.numbered import is_numbered
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import Source, open_source
from streamderain.media.stills import SequenceSink, StillSink, StillSource, are_stills, decode_stills, still_jobs
from streamderain.media.url import public
from streamderain.networks.restorer import Restorer
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


@dataclass(frozen=True)
class Progress:
    """How far a run is. `expected` frames are None where the source does not say; `delay_frames` is how many
    frames must have come after one before it goes out, frames that repeat another not counted.
    """

    frames: int
    expected: int | None
    seconds: float
    stations: list[StationStats]
    delay_frames: int = 0

    @property
    def frames_per_second(self) -> float:
        """Mean over the run so far."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def slowest(self) -> StationStats:
        """The station that sets the pace."""
        return slowest(self.stations)


def derain(
    source: str | Path,
    output: str | Path,
    config: DerainConfig | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    network: Network | None = None,
    **settings: Any,
) -> Progress:
    """Derain the video `source` into `output`; `settings` are the fields of DerainConfig.

    `report` is called in this thread after each frame. `network` stands in for the one that `model` names.
    Returns the final progress. Raises StreamderainError; then `output` does not exist or is what it was,
    and the error's `kept` names a partial file where frames could be kept; or, where only `compare` could not be
    finished, it says that `output` is whole. Ctrl-C raises Stopped.
    """
    config = build(DerainConfig, **settings) if config is None else config
    if are_stills(source, output):
        return _derain_stills(Path(source), Path(output), config, report, network)
    _check_outputs(source, str(output), config)
    try:
        with readable(source) as name, open_source(name, config.hwaccel, config.deinterlace) as opened:
            network = _ready(opened.info, config, network)
            engine = Engine(network, config)
            stations = (*engine.stations(), *_cut(opened, engine, config))
            sinks = _open_sinks(opened, str(output), config)
            done = carry(opened, stations, sinks, report, engine.delay)
            _judge(public(str(output)), sinks[0][0], config)
            return done
    except KeyboardInterrupt:
        raise Stopped("stopped before the first frame") from None


def _derain_stills(
    source: Path, output: Path, config: DerainConfig, report: Callable[[Progress], None], network: Network | None
) -> Progress:
    """Derain a picture, or a sequence of them, into such."""
    if config.compare or config.part:
        raise SinkError("pictures have no --compare, --start or --end; leave it out")
    check_output(output, source, config.overwrite)
    jobs = still_jobs(source, output, config.overwrite)
    try:
        stills = StillSource(str(source), list(jobs))
        engine = Engine(_ready(stills.info, config, network), config)
        sink = StillSink(output, list(jobs.values()), stills)
        done = carry(stills, engine.stations(), [(sink, lambda pair: pair.clean)], report, engine.delay)
        _judge(str(output), sink, config)
        return done
    except KeyboardInterrupt:
        raise Stopped("stopped before the first frame") from None


def _ready(video: VideoInfo, config: DerainConfig, network: Network | None) -> Network:
    """The network, once it is known that such a video fits into memory."""
    network = network or load_network(config)
    if isinstance(network, Restorer):
        network.plan(batch_size(config, network.device), video.height, video.width)
    return network


def _cut(source: Source, engine: Engine, config: DerainConfig) -> tuple[Station, ...]:
    """The source cut to the part that is wanted, and the station that leaves out what the engine alone is to see."""
    if config.part is None:
        return ()
    return (Station("cut", cut(source, *config.part, engine.lead, engine.delay).shown),)


def _check_outputs(source: str | Path, output: str, config: DerainConfig) -> None:
    is_url = "://" in output
    if is_url and not config.via_ffmpeg:
        raise SinkError(f"{public(output)} is no file; --via-ffmpeg writes to URLs that the system's ffmpeg knows")
    if config.compare and config.compare.absolute() == Path(output).absolute():
        raise SinkError(f"{output} is named twice; give --compare another file")
    for path in filter(None, [None if is_url else Path(output), config.compare]):
        check_output(path, Path(source), config.overwrite)


def _open_sinks(source: Source, output: str, config: DerainConfig) -> list[Output]:
    layout = layout_of(source.info)
    encoding = Encoding(config.encoder, config.crf, config.preset, config.encoder_option)
    sinks: list[Output] = []
    if is_numbered(output):
        sinks.append((SequenceSink(Path(output), source, config.overwrite), lambda pair: pair.clean))
    elif config.via_ffmpeg:
        sinks.append((FfmpegSink(output, source, layout, encoding, config.overwrite), lambda pair: pair.clean))
    else:
        encoding = available(encoding, config.hwaccel)
        sink = FileSink(Path(output), source, layout, encoding, True, config.overwrite, config.verify)
        sinks.append((sink, lambda pair: pair.clean))
    if config.compare:
        try:
            seen = compared_layout(layout)
            sinks.append((FileSink(config.compare, source, seen, Encoding(), False, config.overwrite), beside))
        except StreamderainError:
            sinks[0][0].abandon()
            raise
    return sinks


def carry(
    source: Source | StillSource,
    stations: tuple[Station, ...],
    sinks: list[Output],
    report: Callable[[Progress], None],
    delay_frames: int = 0,
) -> Progress:
    """Run `stations`, from decoded frames to pairs, and write every pair to all `sinks`, which are then done.

    `delay_frames` is that of the stations. Returns and raises what `derain` does; where frames were kept, they are
    those of the first sink.
    """

    def write(pairs: Iterable[Restored]) -> Iterator[None]:
        for pair in pairs:
            for sink, show in sinks:
                sink.write(show(pair))
            yield

    began, frames, uncommitted = time.monotonic(), 0, [sink for sink, _ in sinks]
    reading = decode_stills if isinstance(source, StillSource) else decode
    pipeline = Pipeline(source, Station("decode", reading, ahead=2), *stations, Station("encode", write))

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


def _judge(output: str, sink: Sink, config: DerainConfig) -> None:
    """Write the report, and raise DifferenceError where the output is not what was written to it."""
    if report := config.report:
        # What ffmpeg writes is its own, and pictures are not read back.
        is_verified = config.verify and isinstance(sink, FileSink)
        found = {"output": output, "frames": sink.frames, "verified": is_verified, "lost": sink.notes,
                 "differences": sink.differences}  # fmt: skip
        try:
            report.write_text(json.dumps(found, indent=2) + "\n")
        except OSError as error:
            raise SinkError(f"{report} cannot be written: {error.strerror}; the derained video is whole") from error
    for difference in sink.differences:
        logger.error("%s: %s", output, difference)
    if sink.differences:
        raise DifferenceError(f"{output} is written, but is not all that it should be: {sink.differences[0]}")


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
