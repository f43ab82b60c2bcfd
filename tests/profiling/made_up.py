"""Rows of a profile that nobody measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamderain.profiling.rows import STATIONS, Latency, Measured, Profile, Row, Setup, Size, Skipped

FAST = Setup("fast", "openvino", "bfloat16", 1)
MACHINE = {"processor": "a small one, 2 threads", "memory": "4.0 GiB", "cuda": "no device", "libraries": "torch 2.13.0"}


def measured(
    size: str, fps: float, setup: Setup = FAST, gpu: float | None = None, blend: float = 1.0, **station_ms: float
) -> Measured:
    """A row in which each station takes a millisecond, the network the rest, unless `station_ms` says else."""
    spent = dict.fromkeys(STATIONS, 1.0) | {"network": max(1000 / fps * setup.batch - 6, 2.0)} | station_ms
    latency = {name: Latency(each, 2 * each, 3 * each) for name, each in spent.items()}
    network_fps = 1000 * setup.batch / spent["network"]
    return Measured(setup, Size.parse(size), fps, network_fps, latency, 512.0, gpu, 13, 4, blend, 9.0, 2.0)


def skipped(size: str, setup: Setup = FAST, expected: float | None = 2.0) -> Skipped:
    return Skipped(setup, Size.parse(size), "it takes too long", expected, Size.parse("640x360") if expected else None)


def profile(rows: Sequence[Row], psnr: float | None = 52.0, device: str = "cpu") -> Profile:
    return Profile(list(rows), {row.setup: psnr for row in rows}, device, MACHINE)


def other(**changes: object) -> Setup:
    return replace(FAST, **changes)
