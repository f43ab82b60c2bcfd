"""Where one scene ends and another begins, found on the stream as it flows; and frames that show nothing new."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.frames import Frame
from streamderain.temporal.motion import Gauge

SHORT_SIDE = 48
"""Pixels of the shorter side at which frames are compared: rain and noise are averaged away, motion is small."""

ANOTHER = 0.06
"""Mean difference, in units of 0..1, that an earlier frame, moved and relit, leaves at a cut. Between different
photographs it is 0.07 and more, within clips in heavy rain up to 0.03, at the jolts of a shaken camera up to 0.055.
"""

PLAINLY_THE_SAME = ANOTHER / 2
"""Mean difference of frames that nothing was moved in, below which motion, most of the work, is not looked for."""

LARGEST_GAIN = 3.0
"""How much stronger the contrast of a frame may be than that of the one before, in a fade."""

REMEMBERED = 3
"""Frames back that may explain a frame, so that a flash of up to two frames is no cut."""

SAME = 3 / 255
"""Largest difference of averaged squares, in units of 0..1, between a frame and one that repeats it,
encoded twice. The faintest streak makes more.
"""

MOST_REPEATS = 2
"""Repeats in a row, as when 24 frames a second are sent as 60; a third is taken for a still scene."""

GAP_SECONDS, GAP_STEPS = 0.5, 4
"""A frame that comes later than this many seconds and this many usual steps is of another scene."""


def mark_scenes(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames with `scene` and `repeats` filled in; none is held back.

    A new scene begins at a cut, at another layout and after a gap in time; fades and flashes begin none.
    """
    watch = _Watch()
    scene, repeats = 0, 0
    for frame in frames:
        view = _View.of(frame)
        if watch.is_elsewhere(view):
            scene, repeats = scene + 1, 0
            watch = _Watch()
        repeats = repeats + 1 if repeats < MOST_REPEATS and watch.is_repeated_by(view) else 0
        watch.add(view)
        yield replace(frame, scene=scene, repeats=repeats > 0)


def is_cut(before: Tensor, after: Tensor) -> bool:
    """Whether a scene ends between two frames, by their luma alone, float (1, 1, H, W) in 0..1."""
    there, here = (_small(_squares(luma)) for luma in (before, after))
    return _unmoved(here, there) >= PLAINLY_THE_SAME and _difference(here, there, Gauge(here.device)) > ANOTHER


@dataclass(frozen=True, eq=False)
class _View:
    """What is compared of a frame: `squares`, its luma averaged over small squares, and `small`, averaged further,
    both (1, 1, h, w) in 0..1.
    """

    frame: Frame
    squares: Tensor
    small: Tensor

    @classmethod
    def of(cls, frame: Frame) -> _View:
        luma = frame.layout.split(frame.data)[0].float()[None, None] / (2**frame.layout.bits - 1)
        squares = _squares(luma)
        return cls(frame, squares, _small(squares))


class _Watch:
    """The last frames of a scene."""

    def __init__(self) -> None:
        self._views: deque[_View] = deque(maxlen=REMEMBERED)
        self._gauge = Gauge(torch.device("cpu"))
        self._step = 0.0

    def add(self, view: _View) -> None:
        if self._views:
            step = view.frame.seconds - self._views[-1].frame.seconds
            self._step = step if not self._step else 0.8 * self._step + 0.2 * step
        self._views.append(view)

    def is_elsewhere(self, view: _View) -> bool:
        """Whether `view` has nothing in common with the scene so far."""
        if not self._views:
            return False
        last = self._views[-1]
        step = view.frame.seconds - last.frame.seconds
        if last.frame.layout != view.frame.layout or self._is_late(step):
            return True
        if _unmoved(view.small, last.small) < PLAINLY_THE_SAME:
            return False
        # The nearest first: it nearly always explains the frame, and the others need not be asked.
        return all(_difference(view.small, each.small, self._gauge) > ANOTHER for each in reversed(self._views))

    def _is_late(self, step: float) -> bool:
        return bool(self._step) and step > max(GAP_SECONDS, GAP_STEPS * self._step)

    def is_repeated_by(self, view: _View) -> bool:
        """Whether `view` shows what the frame before it showed, to the last drop."""
        return bool(self._views) and float((view.squares - self._views[-1].squares).abs().max()) < SAME


def _squares(luma: Tensor) -> Tensor:
    return F.avg_pool2d(luma, 4, ceil_mode=True, count_include_pad=False)


def _small(squares: Tensor) -> Tensor:
    side = max(1, min(squares.shape[-2:]) // SHORT_SIDE)
    return F.avg_pool2d(squares, side, ceil_mode=True, count_include_pad=False)


def _unmoved(here: Tensor, there: Tensor) -> float:
    """Mean difference of `here` and `there`, (1, 1, h, w) in 0..1, but for their means."""
    return float((here - here.mean() - there + there.mean()).abs().mean())


def _difference(here: Tensor, there: Tensor, gauge: Gauge) -> float:
    """Mean difference of `here` and `there`, (1, 1, h, w) in 0..1, moved onto it and made lighter or darker."""
    flow, _ = gauge.both_ways(here, there)
    moved = flow.bring(there)
    here, moved = here - here.mean(), moved - moved.mean()
    gain = (here * moved).mean() / moved.square().mean().clamp(min=1e-6)
    return float((here - gain.clamp(0, LARGEST_GAIN) * moved).abs().mean())
