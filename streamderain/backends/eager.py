"""Plain torch, on any device: what everything else falls back to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from streamderain.errors import DeviceError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.fused import fused, lowered
from streamderain.networks.memory import footprint


def torch_precision(device: torch.device, wanted: str) -> torch.dtype:
    """What a trunk is computed in: "auto" is bfloat16 on a GPU that has it, else float32.

    Raises DeviceError on a CPU for anything but float32, which plain torch is quickest with there.
    """
    if device.type == "cuda":
        if wanted == "auto":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if wanted not in ("auto", "float32"):
        raise DeviceError(f"plain torch computes in float32 on {device}, not {wanted}; try --precision auto")
    return torch.float32


SCRATCH = 1.4
"""What torch takes over what its tensors take: 1.2 to 1.4, tried on a CPU with every kind of network."""


Fold = Callable[[DRSformer], DRSformer]
"""Makes of a published network one of the same function that `lowered` takes, and leaves the published one alone."""


class EagerBackend:
    """A folded network, layer by layer; only the trunk is in less than float32, as motion needs the digits."""

    name = "torch"
    takes_aligned = True

    def __init__(self, network: DRSformer, device: torch.device, precision: str = "auto", fold: Fold = fused) -> None:
        self.dtype = torch_precision(device, precision)
        self.precision = str(self.dtype).removeprefix("torch.")
        # Depthwise convolutions, much of the network's time, are quicker with channels innermost.
        quick = fold(network).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: DRSformer = lowered(quick, self.dtype)

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        is_aligned = stacked.dtype == torch.uint8
        stem, choices = self.network.entry_of_codes(stacked) if is_aligned else self.network.stem(stacked)
        answer = self.network.trunk(stem.to(self.dtype, memory_format=torch.channels_last))
        return self.network.joined(choices, answer.float())

    def bytes_per_pixel(self) -> float:
        """See Backend."""
        return SCRATCH * max(footprint(self.network))
