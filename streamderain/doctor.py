"""What this machine has, and what streamderain will use of it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator

from streamderain import __version__
from streamderain.backends.table import backend_on
from streamderain.config import saved_settings
from streamderain.errors import ConfigError
from streamderain.folders import cache_folder, settings_file, weights_folder
from streamderain.machine import machine
from streamderain.media.ffmpeg import ffmpeg_version
from streamderain.media.options import video_encoders
from streamderain.media.url import redacted
from streamderain.networks import weights
from streamderain.networks.restorer import pick_device

_HOMES = re.compile(r"(?:/home|/Users|\b[A-Za-z]:\\Users)[/\\][^/\\,;:]+")
_HARDWARE = ("nvenc", "qsv", "amf", "videotoolbox", "vaapi", "v4l2m2m")


def examine() -> Iterator[tuple[str, str]]:
    """What was looked at and what was found, line by line."""
    yield "streamderain", __version__
    yield "system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield from machine().items()
    version = ffmpeg_version()
    path = f"{shutil.which('ffmpeg')}, version {version[0]}.{version[1]}" if version else "not on PATH"
    yield "ffmpeg program", f"{path} (for --via-ffmpeg)"
    encoders = video_encoders()
    hardware = ", ".join(name for name in encoders if name.endswith(_HARDWARE)) or "none"
    yield "hardware encoders", f"built in, if the machine has them: {hardware}"
    yield "weights", ", ".join(weights.installed()) + f"; added ones go to {weights_folder()}"
    device = pick_device("auto")
    yield "will use", f"{weights.DEFAULT} on {device}, run by {backend_on(device)}"
    yield "cache", f"{cache_folder()}, what backends made ready for this machine"
    yield "settings", _settings()


def for_others() -> dict[str, str]:
    """What was found, by name, as it may stand in public: `~` for whoever's home, and of a URL what may be told."""
    own = os.path.expanduser("~")
    homes = re.compile(rf"{re.escape(own)}(?![^/\\,;:])|{_HOMES.pattern}") if len(own) > 1 else _HOMES
    return {what: redacted(homes.sub("~", found)) for what, found in examine()}


def _settings() -> str:
    try:
        saved = saved_settings(settings_file())
    except ConfigError as error:
        return str(error)
    if not saved:
        return f"none of your own; `streamderain profile --save` writes {settings_file()}"
    return ", ".join(f"{key} {value}" for key, value in saved.items()) + f"; from {settings_file()}"
