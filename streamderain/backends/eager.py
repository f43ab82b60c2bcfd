"""Plain torch, on any device: what everything else falls back to."""

from __future__ import annotations

import torch
from torch import Tensor

from streamderain.backends.footprint import footprint
from streamderain.backends.runnable import Fold, Runnable
from streamderain.errors import DeviceError


def torch_precision(device: torch.device, wanted: str, lowers: bool = True) -> torch.dtype:
    """What a trunk is computed in: "auto" is bfloat16, for one that `lowers` well, on a GPU that has it, else float32.

    Raises DeviceError on a CPU for anything but float32, which plain torch is quickest with there.
    """
    if device.type == "cuda":
        if wanted == "auto":
            return (
                torch.bfloat16 if lowers and torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
            )
        known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        if wanted not in known:
            raise DeviceError(f"a GPU computes in {', '.join(known)} here, not {wanted}; try --precision auto")
        return known[wanted]
    if wanted not in ("auto", "float32"):
        raise DeviceError(f"plain torch computes in float32 on {device}, not {wanted}; try --precision auto")
    return torch.float32


SCRATCH = 1.4
"""What torch takes over what its tensors take: 1.2 to 1.4, tried on a CPU with every kind of network."""


class EagerBackend:
    """A network in its quick form, by default the one of its own, layer by layer."""

    name = "torch"
    takes_aligned = True

    def __init__(
        self, network: Runnable, device: torch.device, precision: str = "auto", fold: Fold | None = None
    ) -> None:
        self.descriptor = network.descriptor
        self.dtype = torch_precision(device, precision, network.descriptor.lowers)
        self.precision = str(self.dtype).removeprefix("torch.")
        # Depthwise convolutions, much of the time, are quicker with channels innermost; volumes have no such form.
        quick = network.quick(fold, self.dtype).to(device)
        flat = all(each.dim() < 5 for each in quick.parameters())
        self.network = quick.to(memory_format=torch.channels_last) if flat else quick  # type: ignore[call-overload]

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        is_aligned = stacked.dtype == torch.uint8
        stem, choices = self.network.entry_of_codes(stacked) if is_aligned else self.network.stem(stacked)
        answer = self.network.trunk(stem.to(self.dtype, memory_format=torch.channels_last))
        return self.network.joined(choices, answer.float())

    def bytes_per_pixel(self) -> float:
        """See Backend."""
        return self.descriptor.bytes_per_pixel or SCRATCH * max(footprint(self.network, self.descriptor))
