"""A teacher: a larger network, whose answers a smaller one learns from beside what is clean.

What a large network cannot tell apart a small one will not either; where the picture to reach is half of the teacher's
making, fewer of the small one's errors are such as nothing could be learnt from (Hinton et al., 2015, arXiv 1503.02531,
on classes; here on pictures).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamderain.errors import TrainingError
from streamderain.networks import weights
from streamderain.networks.drsformer.network import DRSformer
from streamderain.training.cache import Batch


@dataclass(frozen=True)
class Teacher:
    """`share` is how far the picture to reach lies from the clean one to what `network` makes of the window."""

    network: DRSformer
    share: float
    device: torch.device

    @classmethod
    def called(cls, model: str, share: float, device: torch.device, pupil: DRSformer) -> Teacher:
        """The weights of that name or file. Raises TrainingError where they do not read the windows that `pupil` reads,
        WeightsError where there are none.
        """
        network = weights.load(model)
        if not isinstance(network, DRSformer) or _reads(network) != _reads(pupil):
            frames = "frames that follow motion" if pupil.variant.aligned else "frames as they come"
            raise TrainingError(
                f"{model} cannot teach here: it needs to be a DRSformer that reads {pupil.variant.past} past and "
                f"{pupil.variant.future} future {frames}"
            )
        return cls(network.eval().to(device, memory_format=torch.channels_last), share, device)  # type: ignore[call-overload]

    @torch.no_grad()
    def taught(self, window: Tensor) -> Tensor:
        """A window as AlignedWindows has them, uint8 (T + 2, 3, side, side), whose last picture is the one to reach."""
        batch = Batch.of(window[None].to(self.device))
        answer = batch.derained_by(self.network).clamp(0, 1)
        reached = batch.clean.lerp(answer, self.share)
        return torch.cat((window[:-1], (reached * 255).round().to(window)))


def _reads(network: DRSformer) -> tuple[int, int, bool]:
    return network.variant.past, network.variant.future, network.variant.aligned
