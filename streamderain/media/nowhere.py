"""A container that writes nowhere: libav has no stream without one, and frees the stream with it."""

from __future__ import annotations

import os
from typing import TypeVar

import av
from av.container import OutputContainer
from av.stream import Stream

_Any = TypeVar("_Any", bound=Stream)


def nowhere() -> OutputContainer:
    """A container for streams that encode, or that others are made after. It takes any codec."""
    return av.open(os.devnull, "w", format="null")


def apart(stream: _Any) -> _Any:
    """A copy of `stream` that is still valid when its container is closed, and without the code that the codec has in
    there.
    """
    return nowhere().add_stream_from_template(stream)
