"""How much memory a network takes, counted before it runs."""

from __future__ import annotations

import math
import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from streamderain.backends.runnable import Descriptor, PartedNetwork

SMALLEST = 8
"""Pixels: a quarter of the side of the picture that is counted on, at the least."""


class Footprint(NamedTuple):
    """The most bytes that each part of a network holds at a time, its input and output among them, for each pixel of a
    picture.
    """

    stem: float
    trunk: float
    joined: float


def footprint(network: PartedNetwork, descriptor: Descriptor) -> Footprint:
    """That of a network as it is, quick or not, in its precision and on its device; counted on a small picture."""
    side = 4 * descriptor.size_multiple * math.ceil(SMALLEST / descriptor.size_multiple)
    height, width = descriptor.size or (side, side)
    weight = next(network.parameters(), torch.empty(0))
    frames = torch.zeros(1, 3 * descriptor.frames, height, width, device=weight.device)
    with torch.inference_mode():
        with _Ledger(frames) as first:
            stem, choices = network.stem(frames)
        with _Ledger(stem.to(weight.dtype)) as second:
            answer = network.trunk(stem.to(weight.dtype))
        with _Ledger(choices, answer.float()) as third:
            network.joined(choices, answer.float())
    return Footprint(*(ledger.most / (height * width) for ledger in (first, second, third)))


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of `held` and of all tensors that are made under it; `most` is the highest count."""

    def __init__(self, *held: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = sum(each.nbytes for each in held)
        self._users: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to see to it that nobody compiles this, torch would first load its compiler, for a second."""
        return False

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = call(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._enter(each)
        return result

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._users:
            self._users[key] = 0
            self._now += size
            self.most = max(self.most, self._now)
        self._users[key] += 1
        weakref.finalize(tensor, self._leave, key, size)

    def _leave(self, key: int, size: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self._now -= size
