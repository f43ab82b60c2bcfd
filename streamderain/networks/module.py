"""A torch module that a program brings, as a network."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from streamderain.backends.runnable import Descriptor, PartedNetwork, Runnable
from streamderain.errors import ConfigError, first_line

TRIED = 32
"""Pixels of a side, at the least, of the picture that a module is tried on."""


class ForeignModule(PartedNetwork):
    """A module that returns the current frame of a window, as a network that is all trunk."""

    def __init__(self, module: nn.Module, descriptor: Descriptor) -> None:
        super().__init__()
        self.module, self.descriptor = module, descriptor

    def trunk(self, stem: Tensor) -> Tensor:
        """See PartedNetwork."""
        answer: Tensor = self.module(self.descriptor.shaped(stem))
        return answer


def of_module(module: nn.Module, descriptor: Descriptor) -> Runnable:
    """What backends are given of `module` as it is now. Raises ConfigError where it does not what `descriptor` says."""
    multiple = descriptor.size_multiple
    side = -(-TRIED // multiple) * multiple
    height, width = descriptor.size or (side, side + multiple)
    network = ForeignModule(copy.deepcopy(module), descriptor).eval()
    weight = next(network.parameters(), torch.empty(0))
    frames = descriptor.entered(torch.rand(1, 3 * descriptor.frames, height, width)).to(weight.device)
    with torch.inference_mode():
        try:
            answer = network(frames)
        except Exception as error:  # it is somebody else's, and can raise anything
            said = f"{tuple(descriptor.shaped(frames).shape)}, as its descriptor says: {first_line(error)}"
            raise ConfigError(f"{descriptor.name} does not take {said}") from error
    if not isinstance(answer, Tensor) or answer.shape != (1, 3, height, width):
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ConfigError(f"{descriptor.name} answers {got}; expected {(1, 3, height, width)}, the current frame")
    return Runnable(descriptor, network)
