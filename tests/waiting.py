"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

NAP_SECONDS = 0.005


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Until it holds; fails when it never does. Looks are counted and not seconds, since on a machine that is busy
    elsewhere both take longer.
    """
    for _ in range(round(seconds / NAP_SECONDS)):
        if condition():
            return
        time.sleep(NAP_SECONDS)
    raise AssertionError("waited in vain")
