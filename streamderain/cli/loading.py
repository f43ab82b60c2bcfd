"""Importing what a command needs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around imports that load torch. They make hundreds of thousands of objects that stay to the end: to look through
    them for garbage takes a tenth of the time to the first frame, and later holds up a stream.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
