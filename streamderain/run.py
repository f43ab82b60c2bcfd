"""One video, source to sink: opens both, builds the stations, runs them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from streamderain.config import DerainConfig, build
from streamderain.errors import SinkError, Stopped, StreamderainError
from streamderain.frames import Frame, FrameBatch, Restored
from streamderain.model.colour import add_rgb, to_rgb
from streamderain.model.restorer import Restorer
from streamderain.stream.batcher import batch
from streamderain.stream.pipeline import Pipeline, Station
from streamderain.stream.stats import StationStats, slowest
from streamderain.stream.transfer import Lane, download, lane_on, upload
from streamderain.stream.window import windows
from streamderain.temporal.blend import TemporalBlender
from streamderain.video.compare import beside, compared_layout
from streamderain.video.decoder import decode
from streamderain.video.encoder import Encoding, available
from streamderain.video.ffmpeg import FfmpegSink
from streamderain.video.pixels import layout_of
from streamderain.video.sink import FileSink, check_output
from streamderain.video.source import Source, open_source, redacted

logger = logging.getLogger(__name__)

GPU_BATCH = 4
FULL_WITHIN_SECONDS = 0.05
"""A batch leaves this long after its first frame even when it is not full."""


class Network(Protocol):
    """What the pipeline asks of a network; Restorer is one."""

    device: torch.device

    @property
    def past(self) -> int:
        """Frames before the current one that it reads."""

    @property
    def future(self) -> int:
        """Frames after the current one that it reads."""

    def restore(self, pictures: Tensor) -> Tensor:
        """(past + N + future, 3, H, W) RGB in 0..1 -> (N, 3, H, W)."""


class Sink(Protocol):
    """What a run writes to; `frames` counts those that it has taken."""

    frames: int

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
    """How far a run is. `expected` frames are None where the source does not say."""

    frames: int
    expected: int | None
    seconds: float
    stations: list[StationStats]

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
    and the error's `kept` names a partial file where frames could be kept. Ctrl-C raises Stopped.
    """
    config = build(DerainConfig, **settings) if config is None else config
    _check_outputs(source, str(output), config)
    try:
        with open_source(source, config.hwaccel) as opened:
            network = network or Restorer.load(config.model, config.device)
            count = batch_size(config.batch, network.device)
            stations = derained(opened, network, count, config.blend, config.strength)
            return carry(opened, stations, _open_sinks(opened, str(output), config), report)
    except KeyboardInterrupt:
        raise Stopped("stopped before the first frame") from None


def _check_outputs(source: str | Path, output: str, config: DerainConfig) -> None:
    is_url = "://" in output
    if is_url and not config.via_ffmpeg:
        raise SinkError(f"{redacted(output)} is no file; --via-ffmpeg writes to URLs that the system's ffmpeg knows")
    if config.compare and config.compare.absolute() == Path(output).absolute():
        raise SinkError(f"{output} is named twice; give --compare another file")
    for path in filter(None, [None if is_url else Path(output), config.compare]):
        check_output(path, Path(source), config.overwrite)


def derained(source: Source, network: Network, count: int, blend: float, strength: float = 1.0) -> tuple[Station, ...]:
    """The stations from decoding to pairs of rainy and derained frames; `source` feeds the first.

    `count` frames go through the network at once; `blend` and `strength` are those of DerainConfig.
    """
    device = network.device

    def work(batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
        return _restore(batches, network, TemporalBlender(blend), strength, lane_on(device))

    return (
        Station("decode", lambda opened: decode(opened), ahead=2),
        Station("upload", lambda frames: upload(batch(frames, count, FULL_WITHIN_SECONDS), lane_on(device))),
        Station("restore", work),
        Station("download", lambda batches: download(batches, lane_on(device)), ahead=2),
    )


def batch_size(config_batch: int, device: torch.device) -> int:
    """The frames that go through the network at once."""
    return config_batch or (GPU_BATCH if device.type == "cuda" else 1)


def _restore(
    batches: Iterable[FrameBatch], network: Network, blender: TemporalBlender, strength: float, lane: Lane
) -> Iterator[FrameBatch]:
    def picture(arrived: FrameBatch) -> Tensor:
        return to_rgb(lane.after(arrived), arrived.layout).clamp(0, 1)

    # Around the whole loop, as the windows are joined on the device too; this thread does nothing else.
    with torch.inference_mode(), lane.active():
        for window in windows(batches, network.past, network.future, picture):
            rainy = window.pictures[network.past : network.past + len(window.frames)]
            clean = blender(network.restore(window.pictures))
            change = strength * (clean - rainy)
            yield FrameBatch(window.frames, add_rgb(window.data, change, window.layout), lane.mark())


def _open_sinks(source: Source, output: str, config: DerainConfig) -> list[Output]:
    layout = layout_of(source.info)
    encoding = Encoding(config.encoder, config.crf, config.preset, config.encoder_option)
    sinks: list[Output] = []
    if config.via_ffmpeg:
        sinks.append((FfmpegSink(output, source, layout, encoding), lambda pair: pair.clean))
    else:
        encoding = available(encoding, config.hwaccel)
        sinks.append((FileSink(Path(output), source, layout, encoding), lambda pair: pair.clean))
    if config.compare:
        try:
            seen = compared_layout(layout)
            sinks.append((FileSink(config.compare, source, seen, Encoding(), copy_streams=False), beside))
        except StreamderainError:
            sinks[0][0].abandon()
            raise
    return sinks


def carry(
    source: Source, stations: tuple[Station, ...], sinks: list[Output], report: Callable[[Progress], None]
) -> Progress:
    """Run `stations`, from decoding to pairs of frames, and write every pair to all `sinks`, which are then done.

    Returns and raises what `derain` does; where frames were kept, they are those of the first sink.
    """

    def write(pairs: Iterable[Restored]) -> Iterator[None]:
        for pair in pairs:
            for sink, show in sinks:
                sink.write(show(pair))
            yield

    began, frames = time.monotonic(), 0
    pipeline = Pipeline(source, *stations, Station("encode", write))

    def progress() -> Progress:
        return Progress(frames, source.info.expected_frames, time.monotonic() - began, pipeline.stats)

    try:
        with pipeline as written:
            for _ in written:
                frames += 1
                report(progress())
        for sink, _ in sinks:
            sink.commit()
    except (StreamderainError, KeyboardInterrupt) as error:
        raise _ended_early(error, sinks) from error
    except BaseException:  # the caller's own, out of `report`
        for sink, _ in sinks:
            sink.abandon()
        raise
    if source.damaged:
        logger.warning("%s: %d damaged packets could not be decoded", source.name, source.damaged)
    return progress()


def _ended_early(error: BaseException, sinks: list[Output]) -> StreamderainError:
    """The error to raise, once every sink has kept what is whole."""
    kept = [(sink.abandon(), sink.frames) for sink, _ in sinks]
    ended = error if isinstance(error, StreamderainError) else Stopped("stopped")
    path, frames = kept[0]
    if path:
        ended.kept = f"the first {frames} frames are kept in {path}"
    return ended
