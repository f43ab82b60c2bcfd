"""What this machine has, and what streamderain will use of it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata

import torch

from streamderain.model import weights
from streamderain.model.restorer import pick_device
from streamderain.video.encoder import video_encoders
from streamderain.video.ffmpeg import ffmpeg_version

_LIBRARIES = ("torch", "av", "numpy", "opencv-python-headless", "ffmpeg-python")
_HARDWARE = ("nvenc", "qsv", "amf", "videotoolbox", "vaapi", "v4l2m2m")


def examine() -> Iterator[tuple[str, str]]:
    """What was looked at and what was found, line by line."""
    yield "system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield "processor", f"{_processor()}, {os.cpu_count()} threads, torch uses {torch.get_num_threads()}"
    yield "memory", _memory()
    yield "cuda", _cuda()
    yield "libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    version = ffmpeg_version()
    path = f"{shutil.which('ffmpeg')}, version {version[0]}.{version[1]}" if version else "not on PATH"
    yield "ffmpeg program", f"{path} (for --via-ffmpeg)"
    encoders = video_encoders()
    yield "encoders", ", ".join(name for name in encoders if not name.endswith(_HARDWARE))
    hardware = ", ".join(name for name in encoders if name.endswith(_HARDWARE)) or "none"
    yield "hardware encoders", f"built in, if the machine has them: {hardware}"
    yield "weights", ", ".join(weights.installed()) + f"; added ones go to {weights.weights_folder()}"
    device = pick_device("auto")
    yield "will use", f"{weights.default_on(device.type)} on {device}"


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
    if not torch.cuda.is_available():
        built = f"torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        return f"no device; {built}"
    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return ", ".join(f"{each.name} with {each.total_memory / 2**30:.0f} GiB" for each in devices)
