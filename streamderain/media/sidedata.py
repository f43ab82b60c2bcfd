"""What a decoded picture says of itself beside its samples: how it is to be shown, its fields, its light."""

from __future__ import annotations

import logging
import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
import av.logging
from av.filter import Graph

_HEARING = threading.Lock()

ONE = 1 << 16
"""1 in the first eight numbers of a display matrix; the last has 30 bits behind the point."""

UPRIGHT = (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)

TOP_FIRST, BOTTOM_FIRST = 2, 3
"""The field orders, by libav's numbers, whose fields are coded as they are shown."""

CARRIED = {
    "A53_CC": "captions (A53)",
    "DYNAMIC_HDR_PLUS": "HDR10+ data",
    "DYNAMIC_HDR_VIVID": "HDR Vivid data",
    "DOVI_RPU_BUFFER": "Dolby Vision data",
    "DOVI_METADATA": "Dolby Vision data",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient viewing environment",
    "AFD": "the active format (AFD)",
    "S12M_TIMECODE": "time codes of frames",
    "GOP_TIMECODE": "time codes of frames",
    "STEREO3D": "the stereo layout",
    "SPHERICAL": "the spherical projection",
    "ICC_PROFILE": "the ICC profile",
    "PANSCAN": "pan and scan",
    "SEI_UNREGISTERED": "user data (SEI)",
}
"""Side data that belongs to the picture, by libav's names, in words. What encoders note of themselves, such as motion
vectors or x264's options, is not among it.
"""


_OF_ENCODERS = (
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
)
"""The first bytes of the user data in which x264 and x265 tell their settings."""


def side_data(picture: av.VideoFrame, kind: str) -> bytes | None:
    """The picture's side data of a kind, by libav's name, or None."""
    return next((bytes(each) for each in _all_of(picture) if each.type.name == kind), None)


def carried_kinds(picture: av.VideoFrame) -> set[str]:
    """What of CARRIED the picture has."""
    return {each.type.name for each in _all_of(picture) if bytes(each)[:16] not in _OF_ENCODERS} & CARRIED.keys()


def display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    """Its nine numbers, row by row; None where the picture is shown as it is coded."""
    found = side_data(picture, "DISPLAYMATRIX")
    matrix = struct.unpack("9i", found) if found else UPRIGHT
    return None if matrix == UPRIGHT or not any(matrix) else matrix


def orientation(matrix: tuple[int, ...] | None) -> tuple[int, bool]:
    """Degrees counter-clockwise, a multiple of 90, and whether left and right change over after that turn."""
    if matrix is None:
        return 0, False
    right, down = (matrix[0], matrix[1]), (matrix[3], matrix[4])
    mirrored = right[0] * down[1] - right[1] * down[0] < 0
    # Undone after the turn, where it leaves top and bottom in their places.
    across = -right[0] if mirrored else right[0]
    # As libav's av_display_rotation_get; on the screen the second axis points down.
    degrees = -math.degrees(math.atan2(right[1], across))
    return round(degrees / 90) * 90 % 360, mirrored


def mastering_display(picture: av.VideoFrame) -> tuple[Fraction | None, ...] | None:
    """See VideoInfo."""
    found = side_data(picture, "MASTERING_DISPLAY_METADATA")
    if found is None:
        return None
    *numbers, has_primaries, has_luminance = struct.unpack("22i", found)
    values = [Fraction(*pair) if pair[1] else None for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    known = (values[:8] if has_primaries else [None] * 8) + (values[8:] if has_luminance else [None] * 2)
    return tuple(known) if any(each is not None for each in known) else None


def content_light(picture: av.VideoFrame) -> tuple[int, int] | None:
    """See VideoInfo."""
    found = side_data(picture, "CONTENT_LIGHT_LEVEL")
    pair = struct.unpack("2I", found) if found else (0, 0)
    return (pair[0], pair[1]) if any(pair) else None


def fields_and_chroma(picture: av.VideoFrame) -> tuple[int, str]:
    """The field order, 0 where the picture is progressive, and where the chroma samples lie, by libav's names.

    PyAV tells neither, but a filter that describes what goes through it.
    """
    graph = Graph()
    entry = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
    )
    # Without the side data, which it would tell byte by byte.
    chain = [entry, graph.add("sidedata", "delete"), graph.add("showinfo", "checksum=0"), graph.add("buffersink")]
    graph.link_nodes(*chain).configure()
    with _libav_heard() as said:
        entry.push(picture)
        chain[-1].pull()
    words = dict(word.split(":", 1) for _, _, line in said for word in line.split() if ":" in word)
    return {"T": TOP_FIRST, "B": BOTTOM_FIRST}.get(words.get("i", ""), 0), words.get("cl", "unspecified")


@contextmanager
def _libav_heard() -> Iterator[list[tuple[int, str, str]]]:
    """What libav says in this thread inside; what it says in others meanwhile, the names of hosts and files, reaches no
    log.

    The level is the process's: two threads that set it back in turn would leave it raised for good.
    """
    log, nobody = logging.getLogger("libav"), logging.NullHandler()
    with _HEARING:
        level, passed_on = av.logging.get_level(), log.propagate
        log.propagate = False
        # Without any handler, Python would print it.
        log.addHandler(nobody)
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture() as said:
                yield said
        finally:
            av.logging.set_level(level)
            log.removeHandler(nobody)
            log.propagate = passed_on


def _all_of(picture: av.VideoFrame) -> Any:
    return picture.side_data or ()
