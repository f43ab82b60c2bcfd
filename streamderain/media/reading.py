"""A file's name -> an open container of libav's."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from streamderain.errors import SourceError
from streamderain.media.address import in_full
from streamderain.media.extras import TOLERANT
from streamderain.media.numbered import RATE, is_numbered, sequence
from streamderain.media.reference import beside
from streamderain.media.url import for_libav

logger = logging.getLogger(__name__)

_PATIENT = {"analyzeduration": str(300 * av.time_base), "probesize": str(200 << 20)}
"""How far, in microseconds and bytes, sound is looked for that begins late; by default some seconds."""


def open_file(name: str | Path, shown: str, hwaccel: str | None) -> InputContainer:
    """Open a video file, a sequence of pictures or a file at an URL; `shown` is what of its name may be told.

    See open_source. Raises SourceError.
    """
    path = Path(name)
    # Not Path's, which raises for names that are too long.
    exists = os.path.exists(path)
    if os.path.isdir(path):
        raise SourceError(f"{shown} is a folder; name a video file in it")
    if is_numbered(path):
        return _open_sequence(path, shown)
    if "://" not in str(name) and not exists:
        raise SourceError(f"{shown} does not exist")
    if exists:
        name = in_full(path)
    elif isinstance(name, str):
        name = for_libav(name)
    try:
        container = _opened(name, hwaccel, {})
        if exists and not _is_known(container):
            container.close()
            container = _opened(name, hwaccel, _PATIENT)
        return container
    except av.FFmpegError as error:
        raise SourceError(f"{shown} cannot be opened as a video: {error.strerror}") from error


def _opened(name: str | Path, hwaccel: str | None, options: dict[str, str]) -> InputContainer:
    if hwaccel:
        try:
            decoding = HWAccel(hwaccel, allow_software_fallback=True)
            return av.open(name, hwaccel=decoding, options=options, metadata_errors=TOLERANT, io_open=beside(name))
        except (av.FFmpegError, ValueError, NotImplementedError) as error:
            logger.warning("%s decoding is not available here (%s); decoding on the CPU", hwaccel, error)
    return av.open(name, options=options, metadata_errors=TOLERANT, io_open=beside(name))


def _is_known(container: InputContainer) -> bool:
    """Whether opening found out what sounds there are."""
    return all(sound.codec_context is None or sound.codec_context.sample_rate for sound in container.streams.audio)


def _open_sequence(pattern: Path, shown: str) -> InputContainer:
    first = min(sequence(pattern))
    logger.warning("%s tells no rate; it is taken for %d pictures a second", pattern, RATE)
    options = {"start_number": str(first), "framerate": str(RATE)}
    try:
        return av.open(in_full(pattern), format="image2", options=options, metadata_errors=TOLERANT)
    except av.FFmpegError as error:
        raise SourceError(f"{shown} cannot be opened as pictures: {error.strerror}") from error
