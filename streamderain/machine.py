"""What this machine is: processor, memory, GPU, and the libraries that compute on them.

torch is loaded when it is asked for, as who starts the program counts the cores alone.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata

LIBRARIES = ("torch", "openvino", "av", "numpy", "opencv-python-headless", "ffmpeg-python")


def cores_here() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str]:
    """Each part of this machine by name, in words."""
    import torch

    return {
        "processor": f"{_processor()}, {os.cpu_count()} threads, torch uses {torch.get_num_threads()}",
        "memory": _memory(),
        "cuda": _cuda(),
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        built = f"torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        return f"no device; {built}"
    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return ", ".join(f"{each.name} with {each.total_memory / 2**30:.0f} GiB" for each in devices)
