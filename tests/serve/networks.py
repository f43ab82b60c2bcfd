"""A network with moods."""

from __future__ import annotations

import threading

from torch import Tensor

from tests.live.networks import Darker


class Moody(Darker):
    """Fails for pictures of one width, and hangs while `goes_on` is not set; `hangs` says that it does."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.fails_at = fails_at
        self.goes_on, self.hangs = threading.Event(), threading.Event()
        self.goes_on.set()

    def restore(self, windows: Tensor) -> Tensor:
        if windows.shape[-1] == self.fails_at:
            raise RuntimeError("no rain of this width; http://me:hunter2@here says more")
        if not self.goes_on.is_set():
            self.hangs.set()
            self.goes_on.wait()
        return super().restore(windows)
