"""How much memory there is, and how large a tile a network can therefore be given."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from streamderain.errors import DeviceError

FREE_SHARE = 0.8
"""The share of the free memory that a run takes where nothing else is said."""

SMALLEST_TILE = 256 * 256
"""Pixels; smaller tiles would be mostly overlap."""

LARGEST_TILE = 1920 * 1088
"""Pixels that go through a network at once, however much memory there is. Larger is better: on 640x360, tiles of
256x256 cost 0.3 dB (benchmarks/tiles.json).
"""

GROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a process what its control group may take."""


@dataclass(frozen=True)
class Plan:
    """How frames go through a network: `batch` of them at once, in tiles of at most `tile` pixels, and the most
    bytes that this should take beside what the program takes anyway.
    """

    batch: int
    tile: int
    bytes: int


def planned(batch: int, pixels: int, network_bytes: float, frame_bytes: float, budget: int) -> Plan:
    """The largest batch, up to `batch`, and then the largest tiles of frames of `pixels` that fit into `budget` bytes.

    `network_bytes` are those that a pass takes for each pixel, `frame_bytes` those of a frame elsewhere in the
    pipeline. Raises DeviceError where not even the smallest tiles fit.
    """
    whole = min(pixels, LARGEST_TILE)
    held = frame_bytes * pixels
    for count in range(batch, 0, -1):
        if held + count * whole * network_bytes <= budget:
            return Plan(count, whole, math.ceil(held + count * whole * network_bytes))
    tile = int((budget - held) / network_bytes)
    if tile < min(SMALLEST_TILE, pixels):
        needed = held + min(SMALLEST_TILE, pixels) * network_bytes
        raise DeviceError(
            f"frames of {pixels / 1e6:.1f} megapixels need {needed / 2**30:.1f} GiB, and {budget / 2**30:.1f} GiB may "
            "be taken; try --memory, a smaller --model, or a smaller video"
        )
    return Plan(1, tile, math.ceil(held + tile * network_bytes))


def budget(device: torch.device, gibibytes: float = 0.0) -> int:
    """Bytes that a run may still take on `device`: of so many GiB altogether, or of what is free where that is 0."""
    if gibibytes == 0:
        return int(FREE_SHARE * free_bytes(device))
    taken = torch.cuda.memory_allocated(device) if device.type == "cuda" else _resident()
    return min(int(gibibytes * 2**30), taken + free_bytes(device)) - taken


def _resident() -> int:
    """Bytes of memory that this process has now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def free_bytes(device: torch.device) -> int:
    """Memory that is free on `device`; on a CPU what the system and this process's control group leave."""
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0])
        # What torch has taken from the device and not in use itself is free as well.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(min(_system_free(), _group_free()))


def _system_free() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        except (ValueError, OSError, AttributeError):
            return 4 * 2**30


def _group_free() -> int | float:
    """What is left of a container's limit; files that the kernel caches can be dropped."""
    try:
        limit, used = (int((GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or no limit
        return math.inf
    return limit - used + int(statistics.get("inactive_file", 0)) + int(statistics.get("active_file", 0))
