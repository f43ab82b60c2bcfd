"""The most memory that was taken since a moment, by this process and on its GPU."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_REFERENCES, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class Peak:
    """Counts from when it is made; what was taken before and is held still counts with it.

    Where the system cannot forget an earlier peak, which only Linux can, the process's is that of its whole life.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with suppress(OSError):
            _REFERENCES.write_text("5")  # resets VmHWM, see proc(5)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def process_mib(self) -> float | None:
        """The most that the process took of the machine's memory, in MiB; None where the system does not tell."""
        try:
            lines = _STATUS.read_text().splitlines()
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            if not resource:
                return None
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak / (2**20 if sys.platform == "darwin" else 2**10)

    def gpu_mib(self) -> float | None:
        """The most that tensors took on the GPU, in MiB; None where there is none."""
        return torch.cuda.max_memory_allocated(self._device) / 2**20 if self._device.type == "cuda" else None
