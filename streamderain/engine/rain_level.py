"""How much it rains, by the light that is taken away, and whether the network is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from torch import Tensor

from streamderain.frames import Effort, Frame, PixelLayout, Restored

EVERY = 4
"""One of so many rows and columns is looked at."""

SMOOTHED_SECONDS = 2.0
"""The time constant of the level."""

WET, DRY = 5e-4, 3e-4
"""From the first share on it rains; with less than the second for DRY_SECONDS it has stopped. Single frames of six dry
clips gave `fast` up to 1.7e-4, those of two clips of real rain hardly ever less than 4e-4.
"""

DRY_SECONDS = 10.0

PROBE_SECONDS = 1.0
"""How often a frame goes through the network while it is dry; no rain is missed for longer."""

FAINTEST = 0.05
"""The strength below which the level cannot be told."""


class RainLevel:
    """The share of a frame's light that the network takes away, 0 to 1, smoothed over the frames' own times: `level`,
    None before there is one. `is_raining` stays as it is while the level is between the two borders; None until it has
    crossed one.

    What is taken away at a place where it was in the frame before, too, does not count, as rain falls. With
    `only_in_rain` frames are `wanted` by the network while it rains, and one a second else; so they
    are while nobody has `watched`, which may be set. One thread asks for frames
    in order and another books the pairs that come of them, in the same order.
    """

    def __init__(self, only_in_rain: bool) -> None:
        self.level: float | None = None
        self.is_raining: bool | None = None
        self.watched: Callable[[], bool] = lambda: True
        self._only_in_rain, self._is_dry = only_in_rain, False
        self._probed_at = self._wet_at = self._seen_at = -math.inf
        self._before: tuple[PixelLayout, Tensor] | None = None

    @property
    def is_dry(self) -> bool:
        """Whether frames are left as they come."""
        return self._is_dry

    def wants(self, frames: Sequence[Frame]) -> bool:
        """Whether these frames go through the network; else they must go on as they are."""
        seconds = frames[0].seconds
        # A clock that jumps back is no reason to wait.
        is_idle = self._is_dry or not self.watched()
        wants = not is_idle or not 0 <= seconds - self._probed_at < PROBE_SECONDS
        if wants:
            self._probed_at = seconds
        return wants

    def booked(self, pairs: Iterable[Restored], strength: Callable[[], float]) -> Iterator[Restored]:
        """The pairs as they are, each of them taken in; `strength` is how much of what the network takes away shows."""
        for pair in pairs:
            if pair.effort is not Effort.NONE and not pair.rainy.repeats and strength() >= FAINTEST:
                self._saw(pair, strength())
            yield pair

    def _saw(self, pair: Restored, strength: float) -> None:
        layout, seconds = pair.rainy.layout, pair.rainy.seconds
        rainy, clean = (layout.split(each.data)[0][::EVERY, ::EVERY].float() for each in (pair.rainy, pair.clean))
        taken = (rainy - clean).clamp_(min=0)
        before, self._before = self._before, (layout, taken)
        if before is None or before[0] != layout:
            return
        black = 0 if layout.full_range else 16 << (layout.bits - 8)
        light = float((rainy - black).clamp_(min=0).sum())
        share = float((taken - before[1]).clamp_(min=0).sum()) / strength / light if light else 0.0
        self._smooth(share, seconds)
        self._decide(share, seconds)

    def _smooth(self, share: float, seconds: float) -> None:
        passed, self._seen_at = seconds - self._seen_at, seconds
        if self.level is None or passed < 0:
            self.level = share
        else:
            self.level += (share - self.level) * (1 - math.exp(-passed / SMOOTHED_SECONDS))

    def _decide(self, share: float, seconds: float) -> None:
        assert self.level is not None
        if max(share, self.level) >= (WET if self._is_dry else DRY) or self._wet_at > seconds:
            self._wet_at, self._is_dry = seconds, False
            if max(share, self.level) >= WET:
                self.is_raining = True
        # The first frame of all says nothing of what was before it.
        elif self._wet_at == -math.inf:
            self._wet_at = seconds
        elif seconds - self._wet_at >= DRY_SECONDS:
            self.is_raining, self._is_dry = False, self._only_in_rain
