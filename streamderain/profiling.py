"""How fast this machine derains at which resolution, measured end to end on an encoded video."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from streamderain.config import DerainConfig
from streamderain.errors import ConfigError
from streamderain.model.restorer import Restorer
from streamderain.run import derain
from streamderain.video.synthetic import write_test_video

RESOLUTIONS = ("320x240", "640x360", "1280x720", "1920x1080")
FRAMES = 8
WARM_UP_FRAMES = 2


@dataclass(frozen=True)
class Throughput:
    """What was measured at one resolution: frames per second of the whole run and of the network alone,
    seconds of work per frame of each station, and the process's peak memory so far in MiB.
    """

    resolution: str
    fps: float
    network_fps: float
    station_seconds: dict[str, float]
    peak_memory_mib: float

    def verdict(self, rate: float = 25.0) -> str:
        """Whether a live stream of `rate` frames per second can be held, in words."""
        if self.fps >= rate:
            return f"{rate:g} fps live: yes, with {(self.fps / rate - 1) * 100:.0f}% to spare"
        return f"{rate:g} fps live: no, {rate / self.fps:.1f} times too slow"


def profile(resolutions: tuple[str, ...], config: DerainConfig, frames: int = FRAMES) -> Iterator[Throughput]:
    """Measure each resolution ("1280x720") with the model and device of `config`, `frames` frames each.

    A run of a few frames before each measurement keeps warm-up out of it. Raises ConfigError for what is no
    resolution.
    """
    sizes = [_size(text) for text in resolutions]
    network = Restorer.load(config.model, config.device)
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "pattern.mp4", Path(folder) / "derained.mp4"
        for text, (height, width) in zip(resolutions, sizes, strict=True):
            for count in (WARM_UP_FRAMES, frames):
                write_test_video(clip, height, width, count)
                done = derain(clip, output, replace(config, overwrite=True), network=network)
            seconds = {station.name: station.working / done.frames for station in done.stations}
            yield Throughput(text, done.frames_per_second, 1 / seconds["restore"], seconds, _peak_memory_mib())


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ConfigError(f"{text} is no resolution; expected WIDTHxHEIGHT, such as 1280x720")
    return int(height) // 2 * 2, int(width) // 2 * 2


def _peak_memory_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
