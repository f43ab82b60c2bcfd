"""The values of a profile: ways to run, sizes, and what was measured of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from streamderain.errors import ConfigError

STATIONS = ("decode", "upload", "convert", "network", "blend", "download", "encode")
"""As a frame meets them; `convert` and `network` are the two halves of the pipeline's station `restore`."""


class Size(NamedTuple):
    """The size of a video's frames, in pixels; both even."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """From "1280x720"; odd lengths lose a pixel. Raises ConfigError."""
        width, _, height = text.partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) > 1 and int(height) > 1):
            raise ConfigError(f"{text} is no resolution; expected WIDTHxHEIGHT, such as 1280x720")
        return cls(int(height) // 2 * 2, int(width) // 2 * 2)

    @property
    def pixels(self) -> int:
        """How many pixels a frame has."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Setup:
    """A way to run a network: the settings of DerainConfig by these names, as they were asked for, "auto" and 0
    included, or as they turned out.
    """

    model: str
    backend: str
    precision: str
    batch: int

    def differing(self, other: Setup) -> str:
        """The options that lead from `other` to this, such as "--backend torch --batch 4"."""
        mine, theirs = vars(self), vars(other)
        return " ".join(f"--{name} {mine[name]}" for name in mine if mine[name] != theirs[name])

    def __str__(self) -> str:
        return f"{self.model}, {self.backend}, {self.precision}, batch {self.batch}"


class Latency(NamedTuple):
    """Percentiles of the milliseconds that an item, a frame or a batch, takes a station."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """The percentiles of at least one duration, in seconds."""
        return cls(*(float(each) for each in np.percentile(np.asarray(seconds) * 1000, (50, 95, 99))))


@dataclass(frozen=True)
class Measured:
    """What was measured of a setup at a size: frames per second end to end and of the network alone, the latency of
    each station by name, peak memory in MiB, and over how many `frames`.

    `delay_frames` is how many frames must come after one before it goes out, `blend` the setting. `seconds` is what
    the measurement took altogether, `preparing` the part of it in which the network was made ready for the size.
    """

    setup: Setup
    size: Size
    fps: float
    network_fps: float
    latency: dict[str, Latency]
    peak_memory_mib: float | None
    peak_gpu_mib: float | None
    frames: int
    delay_frames: int
    blend: float
    seconds: float
    preparing: float


@dataclass(frozen=True)
class Skipped:
    """Why a setup was not measured at a size, and how many frames per second it would have made, by what was measured
    at the size `expected_from`; None where nothing can be told.
    """

    setup: Setup
    size: Size
    reason: str
    expected_fps: float | None = None
    expected_from: Size | None = None

    def __str__(self) -> str:
        if self.expected_fps is None:
            return f"skipped: {self.reason}"
        return f"skipped: about {self.expected_fps:.2g} fps expected from {self.expected_from}, as {self.reason}"


Row = Measured | Skipped


@dataclass(frozen=True)
class Profile:
    """All rows, in order of setup and size; `psnr` in dB of each setup against the same network in float32, None where
    time was lacking; the device as torch calls it, and the machine in words.
    """

    rows: list[Row]
    psnr: dict[Setup, float | None]
    device: str
    machine: dict[str, str]

    @property
    def measured(self) -> list[Measured]:
        """The rows that are no gaps."""
        return [row for row in self.rows if isinstance(row, Measured)]

    @property
    def setups(self) -> list[Setup]:
        """Each setup once, in order."""
        return list(dict.fromkeys(row.setup for row in self.rows))

    @property
    def varying(self) -> list[str]:
        """The settings in which setups differ."""
        names = [field.name for field in fields(Setup)]
        return [name for name in names if len({getattr(setup, name) for setup in self.setups}) > 1]


def plain_psnr(psnr: float | None) -> float | str | None:
    """For JSON, which knows no infinity."""
    return "equal" if psnr is not None and math.isinf(psnr) else psnr


def plain(row: Row) -> dict[str, Any]:
    """A row for JSON."""
    about = {"resolution": str(row.size), **vars(row.setup)}
    if isinstance(row, Skipped):
        return {**about, "skipped": str(row), "expected_fps": row.expected_fps}
    return {
        **about,
        "fps": row.fps,
        "network_fps": row.network_fps,
        "latency_ms": {name: latency._asdict() for name, latency in row.latency.items()},
        "peak_memory_mib": row.peak_memory_mib,
        "peak_gpu_mib": row.peak_gpu_mib,
        "frames": row.frames,
        "delay_frames": row.delay_frames,
    }
