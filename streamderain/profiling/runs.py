"""Single runs with a clock beside them: of the network alone, and end to end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streamderain.carry import carry
from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine
from streamderain.frames import Network, takes_aligned
from streamderain.media.encoder import encoding_of
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from streamderain.profiling.rows import STATIONS, Latency
from streamderain.stream.pipeline import Station
from streamderain.stream.stats import StationStats

SWING = 120
"""Frames after which an encoder surely gives back one for each that it takes. libx264 takes about 50 in before."""


class Timed:
    """A network that notes in `seconds` how long each of its passes takes, the device's work included."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.device, self.past, self.future = network.device, network.past, network.future
        self.takes_aligned = takes_aligned(network)
        self.seconds: list[float] = []

    def restore(self, windows: Tensor) -> Tensor:
        """See Network."""
        self._finish()
        began = time.perf_counter()
        clean = self._network.restore(windows)
        self._finish()
        self.seconds.append(time.perf_counter() - began)
        return clean

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds that `call` takes on `device`: a GPU's own, between two events."""
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record(torch.cuda.current_stream(device))
    call()
    last.record(torch.cuda.current_stream(device))
    last.synchronize()
    return float(first.elapsed_time(last)) / 1000


@dataclass(frozen=True)
class Run:
    """One video, end to end: when each frame was out and when the file was whole, in seconds from the beginning, the
    account of each station, and the seconds of each pass of the network.
    """

    out: list[float]
    whole: float
    stations: list[StationStats]
    passes: list[float]

    def seconds_per_frame(self, batch: int, delay_frames: int) -> float:
        """What a frame takes while the stations are all at work: the median over steps of `batch` frames, as these
        come out together. The last frames of a video do not count: they wait for no neighbours and come at once.
        """
        steady = self.out[: len(self.out) - delay_frames]
        # Once the encoder is in swing, only what is so counts.
        steady = steady[len(steady) // 2 :] if len(self.out) >= SWING else steady
        steps = [later - earlier for earlier, later in zip(steady, steady[batch:], strict=False)]
        if not steps:
            return self.whole / len(self.out)
        return statistics.median(steps) / batch + self.held_back

    @property
    def held_back(self) -> float:
        """Seconds a frame that the encoder still had to work for when all were in, where it was not in swing."""
        return (self.whole - self.out[-1]) / len(self.out) if len(self.out) < SWING else 0.0

    def latency(self) -> dict[str, Latency]:
        """The latency of each of STATIONS, but for the first item of each, in which there is more than one's work."""
        durations = {station.name: list(station.durations) for station in self.stations}
        restore = durations.pop("restore")
        convert = [max(0.0, each - passed) for each, passed in zip(restore, self.passes, strict=True)]
        durations |= {"convert": convert, "network": self.passes}
        durations["encode"] = [each + self.held_back for each in durations["encode"]]
        return {name: Latency.of(durations[name][1:] or durations[name]) for name in STATIONS}


def run(clip: Path, output: Path, network: Network, config: DerainConfig, settled: bool = False) -> Run:
    """Derain `clip` into `output` with the stations of `streamderain derain`.

    `settled` lets each station wait for the device, so that its clock sees the device's work; a GPU then has less to
    do at once. On a CPU there is no difference. Raises StreamderainError.
    """
    watched = Timed(network) if settled or network.device.type != "cuda" else None
    out: list[float] = []
    with open_source(clip, config.hwaccel) as opened:
        sink = FileSink(output, opened, layout_of(opened.info), encoding_of(config), overwrite=True)
        engine = Engine(watched or network, config)
        stations = engine.stations()
        if settled:
            stations = tuple(Station(station.name, _settled(station.run), station.ahead) for station in stations)
        done = carry(
            opened,
            stations,
            [(sink, lambda pair: pair.clean)],
            lambda progress: out.append(progress.seconds),
            engine.delay,
        )
    return Run(out, done.seconds, done.stations, watched.seconds if watched else [])


def _settled(station: Callable[[Any], Iterable[Any]]) -> Callable[[Any], Iterator[Any]]:
    def work(feed: Any) -> Iterator[Any]:
        for item in station(feed):
            if isinstance(item, list):
                item[-1].ready.synchronize()
            yield item

    return work
