"""Networks for single pictures whose code spandrel has: NAFNet and its like, told by the names of their weights."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from streamderain.backends.runnable import Descriptor, Runnable
from streamderain.errors import StreamderainError, WeightsError, first_line
from streamderain.networks.module import of_module

WRAPPERS = ("", "params_ema.", "params.", "state_dict.", "model_state_dict.", "model.", "net.")
"""What a trainer puts in front of all names; the averaged weights come before the others."""

INSTALL = "pip install 'streamderain[spandrel]'"


class _Single(nn.Module):
    """A model of spandrel's as a plain module: RGB in 0..1, (N, 3, H, W) -> (N, 3, H, W)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.own, self._model = model.model, model

    def forward(self, frames: Tensor) -> Tensor:
        answer: Tensor = self._model(frames)
        return answer


def load(state: Mapping[str, Tensor], source: str, otherwise: WeightsError) -> Runnable:
    """What backends are given of the network that `state` belongs to; `source` says where from.

    Raises `otherwise`, which says why it is none of ours, where it is none of spandrel's either, and WeightsError where
    it makes no RGB picture of one of the same size.
    """
    try:
        spandrel = _spandrel()
    except ImportError:
        raise WeightsError(f"{otherwise}; more kinds of networks: {INSTALL}") from None
    model = _told(spandrel, state)
    if model is None:
        raise otherwise
    name, size = model.architecture.name, model.size_requirements
    given = f"{model.input_channels} channels in, {model.output_channels} out, {model.scale} times the size"
    if not isinstance(model, spandrel.ImageModelDescriptor) or given != "3 channels in, 3 out, 1 times the size":
        raise WeightsError(f"{source} is a {name} with {given}; expected RGB in and out, of the same size")
    if size.square:
        raise WeightsError(f"{source} is a {name}, which takes square pictures alone; frames are none")
    multiple = -(-max(size.minimum, 1) // size.multiple_of) * size.multiple_of
    return of_module(_Single(model.float().eval()), Descriptor(name, size_multiple=multiple))


def known() -> str:
    """What there is, in a line: the names of the architectures, or how to come by them."""
    try:
        spandrel = _spandrel()
    except ImportError:
        return f"none, as spandrel is not installed: {INSTALL}"
    except StreamderainError as error:
        return str(error)
    return ", ".join(sorted((each.architecture.name for each in spandrel.MAIN_REGISTRY), key=str.lower))


def _told(spandrel: Any, state: Mapping[str, Tensor]) -> Any:
    """The model whose names these are behind a wrapper's, or None."""
    for wrapper in WRAPPERS:
        own = {name.removeprefix(wrapper): value for name, value in state.items() if name.startswith(wrapper)}
        try:
            return spandrel.MAIN_REGISTRY.load(own)
        except spandrel.UnsupportedModelError:
            continue
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
            return None  # the names of a kind, and not its shapes
    return None


def _spandrel() -> Any:
    """The library, with what spandrel_extra_arches adds to it, where that is installed. Raises ImportError, and
    WeightsError where the library is there and cannot be loaded.
    """
    with warnings.catch_warnings(action="ignore"):  # what they compile as they are loaded is on its way out of torch
        try:
            spandrel = importlib.import_module("spandrel")
        except RuntimeError as error:  # torchvision's, where it is made for another torch
            needed = f"install the torchvision that is made for torch {torch.__version__}"
            raise WeightsError(f"spandrel cannot be loaded ({first_line(error)}): {needed}") from error
        with suppress(ImportError):  # whose licences are not for everybody
            importlib.import_module("spandrel_extra_arches").install(ignore_duplicates=True)
    return spandrel
