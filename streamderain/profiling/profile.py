"""Measures every setup at every size, the small ones first, and leaves out what would take too long."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from streamderain.config import DerainConfig
from streamderain.errors import DeviceError
from streamderain.machine import machine
from streamderain.profiling.bench import FIDELITY_SIZE, QUICK, Bench, Effort, Ready
from streamderain.profiling.rows import Measured, Profile, Row, Setup, Size, Skipped

SIZES = ("426x240", "640x360", "854x480", "1280x720", "1920x1080", "2560x1440", "3840x2160")
QUICK_SIZES = ("640x360", "1280x720", "1920x1080")

PREPARING = 3.0
"""Seconds in which a network is ready for one more size, before anything is known of it."""

FLOAT32 = 4.0
"""How much longer a frame may take in plain torch and float32, where that has to be guessed."""

Report = Callable[[float, str], None]
"""Is told the share that is done, 0 to 1, and what comes next."""


@dataclass(frozen=True)
class Limits:
    """Seconds that a profile may take, and that each size of a setup may take; what would take longer is left out."""

    altogether: float = math.inf
    each: float = 120.0


QUICK_LIMITS = Limits(altogether=53.0, each=53.0)
"""Within a minute, as the program has to start and end as well."""


class Measuring(Protocol):
    """What a profile asks of a bench; Bench is one."""

    effort: Effort
    device: torch.device

    def ready(self, wanted: Setup) -> Ready:
        """See Bench."""

    def psnr(self, ready: Ready) -> float:
        """See Bench."""

    def cost(self, ready: Ready, size: Size, pace: float) -> float:
        """See Bench."""

    def measure(self, ready: Ready, size: Size, report: Report) -> Measured:
        """See Bench."""


def profile(
    setups: Sequence[Setup],
    sizes: Sequence[Size],
    config: DerainConfig,
    quick: bool = False,
    at_most: float | None = None,
    report: Report = lambda share, text: None,
) -> Profile:
    """Measure each setup at each size, all else as `config` says, on videos that are made for it.

    `quick` takes a minute at most, and less care; what would take more than `at_most` seconds for one size is left out.
    Raises ConfigError, WeightsError, and DeviceError where the only
    setup cannot run here; of several that cannot, and sizes that don't fit into memory, the rows tell.
    """
    limits = QUICK_LIMITS if quick else Limits()
    limits = limits if at_most is None else replace(limits, each=at_most)
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Bench(Path(folder), config, QUICK if quick else Effort()), limits, report)
        return walk.through(setups, sizes)


class Walk:
    """Goes through setups and sizes with an eye on the clock."""

    def __init__(
        self, bench: Measuring, limits: Limits, report: Report, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bench, self._limits, self._report, self._clock = bench, limits, report, clock
        self._end = clock() + limits.altogether
        self._psnr: dict[Setup, float | None] = {}

    def through(self, setups: Sequence[Setup], sizes: Sequence[Size]) -> Profile:
        """The profile of all setups at all sizes. Raises what `profile` does."""
        sizes = sorted(set(sizes), key=lambda size: (size.pixels, size))
        rows: list[Row] = []
        for number, wanted in enumerate(setups):

            def report(share: float, text: str, number: int = number) -> None:
                self._report((number + share) / len(setups), text)

            report(0.0, f"getting ready: {wanted}")
            try:
                ready = self._bench.ready(wanted)
            except DeviceError as error:
                if len(setups) == 1:
                    raise
                rows += [Skipped(wanted, size, str(error)) for size in sizes]
                continue
            if ready.setup not in self._psnr:  # else another name of what was measured already
                self._psnr[ready.setup] = self._fidelity(ready)
                rows += self._rows(ready, sizes, report)
        self._report(1.0, "done")
        return Profile(rows, self._psnr, str(self._bench.device), machine())

    def _left(self) -> float:
        return self._end - self._clock()

    def _fidelity(self, ready: Ready) -> float | None:
        windows = self._bench.effort.windows
        # A second to read the weights again; and what follows needs time as well.
        expected = 1 + windows * ready.pace * (1 + FLOAT32)
        return self._bench.psnr(ready) if expected < self._left() / 2 else None

    def _rows(self, ready: Ready, sizes: Sequence[Size], report: Report) -> Iterator[Row]:
        known, pace, preparing = FIDELITY_SIZE, ready.pace, PREPARING
        for number, size in enumerate(sizes):

            def within(share: float, text: str, number: int = number, size: Size = size) -> None:
                report((number + share) / len(sizes), f"{size}, {ready.setup}: {text}")

            expected = pace * size.pixels / known.pixels
            seconds = preparing + self._bench.cost(ready, size, expected)
            if reason := self._too_long(seconds):
                yield Skipped(ready.setup, size, reason, 1 / expected, known)
                continue
            try:
                measured = self._bench.measure(ready, size, within)
            except DeviceError as error:
                yield Skipped(ready.setup, size, str(error))
                continue
            known, pace, preparing = size, 1 / measured.fps, measured.preparing
            yield measured

    def _too_long(self, seconds: float) -> str | None:
        left = self._left()
        if seconds > left:
            return f"measuring it would take {seconds:.0f} s, and {max(0.0, left):.0f} s are left"
        if seconds > self._limits.each:
            return f"measuring it would take {seconds:.0f} s, and {self._limits.each:.0f} s are allowed"
        return None
