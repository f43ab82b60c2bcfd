"""What shows before a stream begins whether it can: its encoder is opened, and its folders are written to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from streamderain.errors import SinkError
from streamderain.frames import VideoInfo
from streamderain.media.broadcast import Broadcast
from streamderain.media.encoder import Encoding, available
from streamderain.media.outlet import check_outlet, is_recording
from streamderain.media.url import public
from streamderain.media.wall import TIME_BASE

_USUAL = VideoInfo("h264", "yuv420p", 360, 640, TIME_BASE, Fraction(25))
"""A picture that every encoder takes, if it takes any."""


def try_outputs(outputs: Iterable[str], encoding: Encoding, hwaccel: str | None, may_exist: bool) -> None:
    """Raise SinkError for what could not be encoded, or not be written to any of `outputs`; servers are not asked."""
    Broadcast(_USUAL, available(encoding, hwaccel), None, lambda chunk: None).close()
    for output in outputs:
        check_outlet(output, may_exist)
        if "://" not in output:
            _try_folder(output)


def _try_folder(output: str) -> None:
    path = Path(output)
    folder = path.parent if is_recording(output) or path.suffix.lower() == ".m3u8" else path
    while not folder.exists():
        # What a playlist's folder will be made in.
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SinkError(f"{public(output)} cannot be written: {error.strerror} in {folder}") from None
