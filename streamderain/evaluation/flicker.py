"""How restless a clip is: what changes from frame to frame other than by motion, and whether things move as they
should.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from streamderain.evaluation.metrics import luma
from streamderain.temporal.motion import Flow, Gauge
from streamderain.temporal.motion import luma as seen_by_gauge
from streamderain.temporal.warping import enlarged


@dataclass(frozen=True)
class Flicker:
    """What a FlickerMeter has measured.

    `warping_error` in codes of Y, of 0..255: the root of the mean square, over the pairs of frames, by which a frame
    differs from the one before it, brought onto it by optical flow, where it is not occluded (E_warp of Lai et al.,
    ECCV 2018, is its square). `clean_warping_error` is that of the clean clip, which noise, light and the flow's
    faults keep above 0. `tof` in pixels: by how much the motion between two frames differs from that between the clean
    ones, the mean length of the difference of the two flows (tOF; Chu et al., ACM TOG 2020). The latter two are None
    without a clean clip.
    """

    warping_error: float
    clean_warping_error: float | None = None
    tof: float | None = None


class FlickerMeter:
    """Takes a clip frame by frame, and holds no more of it than the last one.

    Flow and occlusion are those of the clean clip where there is one, so that rain that is left neither passes for
    motion nor hides behind an occlusion. One meter takes clips with a clean one, or clips without, not both.
    """

    def __init__(self) -> None:
        self._gauge = Gauge(torch.device("cpu"))
        self._last: tuple[Tensor, Tensor | None, int] | None = None
        self._derained, self._clean, self._tof = _Mean(), _Mean(), _Mean()

    @torch.inference_mode()
    def add(self, derained: Tensor, clean: Tensor | None = None, scene: int = 0) -> None:
        """Take the next frame, uint8 RGB (1, 3, H, W); between frames of different `scene` nothing is measured."""
        last, self._last = self._last, (derained, clean, scene)
        if last is None or last[2] != scene or last[0].shape != derained.shape:
            return
        flow = self._flow(last[0], derained)
        if clean is not None and last[1] is not None:
            true_flow = self._flow(last[1], clean)
            self._tof.add(_distance(flow, true_flow, derained.shape[-2:]))
            self._clean.add(_warping_error(true_flow, last[1], clean))
            flow = true_flow
        self._derained.add(_warping_error(flow, last[0], derained))

    def figures(self) -> Flicker | None:
        """What was measured so far; None where no two frames could be compared."""
        if self._derained.value is None:
            return None
        return Flicker(math.sqrt(self._derained.value), _root(self._clean.value), self._tof.value)

    def _flow(self, before: Tensor, now: Tensor) -> Flow:
        """From `now` back to `before`."""
        first, second = (seen_by_gauge(picture.float() / 255) for picture in (before, now))
        return self._gauge.both_ways(first, second)[1]


class _Mean:
    """The mean of the values that were added and not None; None without any."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self._sum, self._count = self._sum + value, self._count + 1

    @property
    def value(self) -> float | None:
        return self._sum / self._count if self._count else None


def _warping_error(flow: Flow, before: Tensor, now: Tensor) -> float | None:
    """Mean square in codes of Y over what `flow` sees in both frames; None where it sees nothing."""
    before, now = luma(before).float(), luma(now).float()
    flow = flow.enlarged(*now.shape[-2:])
    visible = flow.seen > 0.5
    if not visible.any():
        return None
    return float((flow.bring(before) - now)[visible].square().mean())


def _distance(first: Flow, second: Flow, size: torch.Size) -> float:
    height, width = size
    difference = enlarged(first.vectors - second.vectors, (height, width))
    return float(difference.square().sum(dim=1).sqrt().mean())


def _root(square: float | None) -> float | None:
    return None if square is None else math.sqrt(square)
