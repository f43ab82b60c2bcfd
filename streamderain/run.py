"""One video, source to sink: opens both, builds the stations, runs them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from streamderain.carry import Output, Progress, Sink, all_opened, carry
from streamderain.config import DerainConfig, build
from streamderain.engine.engine import Engine, batch_size, load_network
from streamderain.errors import DifferenceError, SinkError, Stopped, writing
from streamderain.frames import Network, VideoInfo
from streamderain.media.animation import readable
from streamderain.media.compare import beside, compared_layout
from streamderain.media.cut import cut
from streamderain.media.encoder import Encoding, encoding_of
from streamderain.media.ffmpeg import FfmpegSink
from streamderain.media.numbered import is_numbered
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import Source, open_source
from streamderain.media.stills import SequenceSink, StillSink, StillSource, are_stills, still_jobs
from streamderain.media.url import public
from streamderain.networks import weights
from streamderain.networks.restorer import Restorer
from streamderain.parts.resume import derained_in_parts
from streamderain.stream.pipeline import Station

logger = logging.getLogger(__name__)

_Opened = tuple[Source | StillSource, Callable[[], list[Output]]]
"""What is derained, and what opens the outputs once it is known that this can be."""


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
    config = with_model(config, source, output)
    are_pictures = are_stills(source, output)
    if config.resume and not are_pictures:
        return _derain_in_parts(source, str(output), config, report, network)
    open_all = _opened_stills if are_pictures else _opened_video
    try:
        with open_all(source, str(output), config) as (opened, open_sinks):
            engine = Engine(_ready(opened.info, config, network), config)
            stations = (*engine.stations(), *_cut(opened, engine, config))
            sinks = open_sinks()
            done = carry(opened, stations, sinks, report, engine.delay)
            _judge(public(str(output)), sinks[0][0], config)
            return done
    except KeyboardInterrupt:
        raise Stopped("stopped before the first frame") from None


def with_model(config: DerainConfig, source: str | Path, output: str | Path) -> DerainConfig:
    """`config` with the bundled weights that its "default" stands for where a single picture becomes one."""
    is_single = are_stills(source, output) and not is_numbered(source)
    return replace(config, model=weights.FOR_PICTURES) if is_single and config.model == "default" else config


def _derain_in_parts(
    source: str | Path, output: str, config: DerainConfig, report: Callable[[Progress], None], network: Network | None
) -> Progress:
    """Derain a video in parts, or go on with that."""
    if "://" in output or is_numbered(output):
        raise SinkError(f"{public(output)} is no video file, and only those are made in parts; leave --resume out")
    done, film = derained_in_parts(source, Path(output), config, report, lambda info: _ready(info, config, network))
    if film:
        _judge(output, film.sink, config)
    return done


@contextmanager
def _opened_video(source: str | Path, output: str, config: DerainConfig) -> Iterator[_Opened]:
    _check_outputs(source, output, config)
    with readable(source) as name, open_source(name, config.hwaccel, config.deinterlace) as opened:
        yield opened, lambda: _open_sinks(opened, output, config)


@contextmanager
def _opened_stills(source: str | Path, output: str, config: DerainConfig) -> Iterator[_Opened]:
    """A picture, or a sequence of them, that becomes such."""
    if config.compare or config.part:
        raise SinkError("pictures have no --compare, --start or --end; leave it out")
    check_output(Path(output), Path(source), config.overwrite)
    jobs = still_jobs(Path(source), Path(output), config.overwrite)
    if config.resume and len(jobs) > 1:
        raise SinkError("a sequence of pictures is not made in parts; leave --resume out")
    stills = StillSource(str(source), list(jobs))
    yield stills, lambda: [(StillSink(Path(output), list(jobs.values()), stills), lambda pair: pair.clean)]


def _ready(video: VideoInfo, config: DerainConfig, network: Network | None) -> Network:
    """The network, once it is known that such a video fits into memory."""
    network = network or load_network(config)
    if isinstance(network, Restorer):
        network.plan(batch_size(config, network.device), video.height, video.width)
    return network


def _cut(source: Source | StillSource, engine: Engine, config: DerainConfig) -> tuple[Station, ...]:
    """The source cut to the part that is wanted, and the station that leaves out what the engine alone is to see."""
    if config.part is None or isinstance(source, StillSource):
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
    def derained() -> Output:
        return _sink(source, output, config), lambda pair: pair.clean

    def compared(path: Path) -> Output:
        seen = compared_layout(layout_of(source.info))
        return FileSink(path, source, seen, Encoding(), False, config.overwrite), beside

    return all_opened(derained, *([partial(compared, config.compare)] if config.compare else []))


def _sink(source: Source, output: str, config: DerainConfig) -> Sink:
    layout = layout_of(source.info)
    if is_numbered(output):
        return SequenceSink(Path(output), source, config.overwrite)
    if config.via_ffmpeg:
        return FfmpegSink(output, source, layout, Encoding.asked(config), config.overwrite)
    return FileSink(Path(output), source, layout, encoding_of(config), True, config.overwrite, config.verify)


def _judge(output: str, sink: Sink, config: DerainConfig) -> None:
    """Write the report, and raise DifferenceError where the output is not what was written to it."""
    if report := config.report:
        # What ffmpeg writes is its own, and pictures are not read back.
        is_verified = config.verify and isinstance(sink, FileSink)
        found = {"output": output, "frames": sink.frames, "verified": is_verified, "lost": sink.notes,
                 "differences": sink.differences}  # fmt: skip
        with writing(report, "; the derained video is whole"):
            report.write_text(json.dumps(found, indent=2) + "\n")
    for difference in sink.differences:
        logger.error("%s: %s", output, difference)
    if sink.differences:
        raise DifferenceError(f"{output} is written, but is not all that it should be: {sink.differences[0]}")
