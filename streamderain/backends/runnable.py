"""Runnable: what a backend is given of a network, its modules or its file and the descriptor of both."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from streamderain.errors import ConfigError

SMALLEST_SIZE = 16
"""Pixels: tiles with sides of fewer would be mostly overlap."""


ROUNDED = ".int8.zip"
"""How the file of a network in int8 ends, in the place of its weights' own ending."""


@dataclass(frozen=True)
class Descriptor:
    """What must be known of a network to run it; the defaults suit one that reads single frames of any size.

    `name` is what `--model` calls it. `past` and `future` count the neighbouring frames that enter beside the current
    one. Height and width of what it is given are multiples of `size_multiple`, or are `size`, where it takes that one
    alone. `black` and `white` are the ends of its range of values, in and out. `most` is how many windows it takes at
    once, 0 any number. `frames_apart` makes of its input (N, frames, 3, H, W), which else is (N, 3 * frames, H, W).

    It is computed in less than float32 where the user says so, and by itself where it `lowers` well: of a network in
    parts the trunk, of another all. `bytes_per_pixel` of a picture is the most memory that it takes at a time; None has
    it counted. Where `pictures` is not 0, it also takes windows that were aligned outside, so many pictures each (see
    PartedNetwork.entry_of_codes). From sides of `least_side` pixels on it goes the same way for every size, so that one
    trace holds for all.

    Raises ConfigError for what cannot be.
    """

    name: str
    past: int = 0
    future: int = 0
    size_multiple: int = 1
    size: tuple[int, int] | None = None
    black: float = 0.0
    white: float = 1.0
    most: int = 0
    frames_apart: bool = False
    lowers: bool = False
    bytes_per_pixel: float | None = None
    pictures: int = 0
    least_side: int = 1

    def __post_init__(self) -> None:
        if min(self.past, self.future, self.most) < 0 or self.size_multiple < 1:
            raise ConfigError(
                f"{self.name} has past {self.past}, future {self.future}, most {self.most} and size_multiple "
                f"{self.size_multiple}; the first three are 0 or more, the last 1 or more"
            )
        if not self.black < self.white:
            raise ConfigError(f"{self.name} has black {self.black} and white {self.white}; black is the smaller")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < SMALLEST_SIZE):
            raise ConfigError(
                f"{self.name} has the size {self.size}; expected height and width of {SMALLEST_SIZE} pixels or more"
            )

    @property
    def frames(self) -> int:
        """Frames that the network reads for each that it returns."""
        return self.past + 1 + self.future

    @property
    def aligned(self) -> bool:
        """Whether it wants its frames aligned."""
        return self.pictures > 0

    def entered(self, frames: Tensor) -> Tensor:
        """0..1 -> the network's range."""
        return frames if (self.black, self.white) == (0, 1) else frames * (self.white - self.black) + self.black

    def left(self, answer: Tensor) -> Tensor:
        """The network's range -> 0..1."""
        return answer if (self.black, self.white) == (0, 1) else (answer - self.black) / (self.white - self.black)

    def shaped(self, stacked: Tensor) -> Tensor:
        """(N, 3 * frames, H, W) -> the shape of the network's own input."""
        count, _, height, width = stacked.shape
        return stacked.reshape(count, self.frames, 3, height, width) if self.frames_apart else stacked


class PartedNetwork(nn.Module):
    """A network in up to three parts, of which only the trunk may be computed in less than float32: what a pixel is
    read from or added to needs the digits. This one is all trunk.

    Floating point, RGB in the descriptor's range; H and W as the descriptor has them.
    """

    parts: ClassVar[tuple[str, ...]] = ("trunk",)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3 * frames, H, W), the window in order of time -> (N, 3, H, W), the current frame."""
        stem, choices = self.stem(frames)
        return self.joined(choices, self.trunk(stem))

    def stem(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3 * frames, H, W), the window in order of time -> what `trunk` takes, and what `joined` takes beside."""
        return frames, frames[:, :0]

    def entry_of_codes(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What `stem` returns, of windows that were aligned outside, uint8 (N, 3 * pictures, H, W)."""
        raise NotImplementedError

    def trunk(self, stem: Tensor) -> Tensor:
        """All that has weights."""
        raise NotImplementedError

    def joined(self, choices: Tensor, answer: Tensor) -> Tensor:
        """What `stem` made beside, and the trunk's answer -> (N, 3, H, W): the current frame."""
        return answer


Fold = Callable[[Any], PartedNetwork]
"""Makes of a network one of the same function for inference, which `lower` may change; leaves the given one alone."""


def _lowered(network: PartedNetwork, dtype: torch.dtype) -> PartedNetwork:
    return network.to(dtype)


@dataclass(frozen=True, eq=False)
class Runnable:
    """A network that backends can run: a `module`, or the ONNX `file` that stands for one.

    `fold` makes the quick form that is run, `kernels` the one of kernels of our own, if there is one. `lower` has the
    trunk of a quick form computed in a dtype. `sources` are the files whose code decides what it computes; without
    them nothing that was made of its code is kept on disk. `rounded` is the file of its form in int8, where there is
    one; see backends.quantised.
    """

    descriptor: Descriptor
    module: PartedNetwork | None = None
    file: Path | None = None
    fold: Fold = copy.deepcopy
    kernels: Fold | None = None
    lower: Callable[[Any, torch.dtype], PartedNetwork] = _lowered
    sources: tuple[Path, ...] = ()
    rounded: Path | None = None

    def given(self, stacked: Tensor) -> Tensor:
        """(N, 3 * frames, H, W) -> what the file takes; modules take it as it is."""
        return self.descriptor.shaped(stacked) if self.file else stacked

    def quick(self, fold: Fold | None = None, dtype: torch.dtype = torch.float32) -> PartedNetwork:
        """The quick form of the module, its trunk in `dtype`, on the module's device, for inference."""
        made = (fold or self.fold)(self.module).eval().requires_grad_(False)
        return made if dtype == torch.float32 else self.lower(made, dtype)


def fingerprint(state: Mapping[str, Tensor], *others: bytes) -> str:
    """SHA-256, in hexadecimal, of others and of all names and values of a state dict."""
    found = hashlib.sha256(b"".join(others))
    for name, value in state.items():
        found.update(name.encode() + b"\0" + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
