"""Steps that are taken when memory gives out all the same, and what is asked of a network's answers.

A prediction of memory can be wrong, and other programs take some meanwhile: that costs time, and no frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamderain.networks.memory import SMALLEST_TILE, Plan

_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc",
          "failed to allocate", "bad allocation")  # fmt: skip
"""What the messages of allocators say that have no error class of their own: torch's on a CPU, those of C++, OpenVINO
and ONNX Runtime.
"""

IMPLAUSIBLE = 0.25
"""Mean change of a frame, in units of 0..1, from which on it is no rain that was taken away. The heaviest that is drawn
for training is below 0.1.
"""


LOOKED_AT = 4
"""One of so many rows is looked at: a whole frame that is none differs in all of them."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error of a backend says."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def smaller(plan: Plan, pixels: int, is_cut: bool = True) -> Plan | None:
    """The next that takes less for frames of so many pixels: one by one, then in tiles, then in smaller ones; None
    where there is none. What takes one size alone `is_cut` already, whatever the plan says.
    """
    if plan.batch > 1:
        return Plan(1, plan.tile, plan.bytes // plan.batch)
    tile = min(plan.tile, pixels) // 2
    return None if not is_cut or tile < min(SMALLEST_TILE, pixels) else Plan(1, tile, plan.bytes // 2)


def in_words(plan: Plan, pixels: int) -> str:
    """What is done by it with frames of so many pixels."""
    if plan.tile >= pixels:
        return "frames go through one by one"
    return f"frames go through in tiles of {plan.tile / 1e6:.2g} megapixels"


def are_sound(clean: Tensor, rainy: Tensor) -> Tensor:
    """Whether each of N answers, (N, 3, H, W) in 0..1, can be one for its frame: all numbers, and not far from it,
    which one of `LOOKED_AT` rows tells. `rainy`: that shape, codes or 0..1. Returns (N,) bool on their device.
    """
    change = (clean[..., ::LOOKED_AT, :] - in_units(rainy[..., ::LOOKED_AT, :])).abs().mean(dim=(1, 2, 3))
    # A sum of what holds NaN is NaN, and of NaN nothing is less than anything.
    return change + 0 * clean.sum(dim=(1, 2, 3)) < IMPLAUSIBLE


def in_units(picture: Tensor) -> Tensor:
    """Codes of 0..255 as 0..1; what is that already as it is."""
    return picture if picture.is_floating_point() else picture / 255


class Untold:
    """What a device has still to tell of answers, `fine` of `are_sound`: whoever asks does not wait for it."""

    def __init__(self, fine: Tensor) -> None:
        self._fine = fine.to("cpu", non_blocking=True)
        self._event: torch.cuda.Event | None = None
        if fine.is_cuda:
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(fine.device))

    @property
    def is_told(self) -> bool:
        """Whether the device has come that far."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    @property
    def wrong(self) -> int:
        """How many of the answers could be none; asked for once it `is_told`."""
        return self._fine.tolist().count(False)
