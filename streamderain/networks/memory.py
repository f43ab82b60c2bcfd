"""How much memory a network takes, before it runs, and how large a tile it can therefore be given."""

from __future__ import annotations

import math
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from streamderain.errors import DeviceError
from streamderain.networks.drsformer import DRSformer

FREE_SHARE = 0.8
"""Of the memory that is free, what a run takes where nothing else is said."""

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
    """Of a container's limit, what is left; files that the kernel caches can be dropped."""
    try:
        limit, used = (int((GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or no limit
        return math.inf
    return limit - used + int(statistics.get("inactive_file", 0)) + int(statistics.get("active_file", 0))


class Footprint(NamedTuple):
    """The most bytes that each part of a network holds at a time, its input and output among them, for each pixel of a
    picture.
    """

    stem: float
    trunk: float
    joined: float


def footprint(network: DRSformer) -> Footprint:
    """That of a network as it is, fused or not, in its precision and on its device; counted on a small picture."""
    side = 4 * network.variant.size_multiple
    weight = network.patch_embed.proj.weight
    frames = torch.zeros(1, 3 * network.variant.frames, side, side, device=weight.device)
    dtype = weight.dtype
    with torch.inference_mode():
        with _Ledger(frames) as first:
            stem, choices = network.stem(frames)
        with _Ledger(stem.to(dtype)) as second:
            answer = network.trunk(stem.to(dtype))
        with _Ledger(choices, answer.float()) as third:
            network.joined(choices, answer.float())
    return Footprint(*(ledger.most / side**2 for ledger in (first, second, third)))


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of `held` and of all tensors that are made under it; `most` is the highest count."""

    def __init__(self, *held: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = sum(each.nbytes for each in held)
        self._users: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to see to it that nobody compiles this, torch would first load its compiler, for a second."""
        return False

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = call(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._enter(each)
        return result

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._users:
            self._users[key] = 0
            self._now += size
            self.most = max(self.most, self._now)
        self._users[key] += 1
        weakref.finalize(tensor, self._leave, key, size)

    def _leave(self, key: int, size: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self._now -= size
