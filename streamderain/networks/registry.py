"""The kinds of networks that there are, told by the names of their weights, and the networks that a program added."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from streamderain.backends.runnable import Descriptor, PartedNetwork, Runnable
from streamderain.errors import ConfigError, WeightsError
from streamderain.networks.drsformer.entry import ENTRY as DRSFORMER
from streamderain.networks.entry import Entry
from streamderain.networks.module import of_module

NETWORKS: tuple[Entry, ...] = (DRSFORMER,)

WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Names of modules that torch wraps around others, anywhere in a network."""

_registered: dict[str, Runnable] = {}


def register(module: nn.Module, descriptor: Descriptor) -> None:
    """Have `module` run under the name of its descriptor, as `model` in Python; in this process, from now on.

    Its `forward` takes what the descriptor says, float32 RGB (N, 3 * frames, H, W), and returns the current frame,
    (N, 3, H, W). Raises ConfigError where it does not, tried on a picture of the smallest size.
    """
    if descriptor.name in ("default", "") or descriptor.name.endswith(".onnx"):
        raise ConfigError(f"{descriptor.name!r} cannot be the name of a network; choose another")
    _registered[descriptor.name] = of_module(module, descriptor)


def registered() -> Mapping[str, Runnable]:
    """Networks that were added, by name."""
    return _registered


def runnable(network: nn.Module) -> Runnable:
    """What backends are given of a network of the kinds that there are. Raises TypeError for another module."""
    return _entry(network).runnable(network)


def settings(network: nn.Module) -> dict[str, Any]:
    """The arguments that a network of the kinds that there are is made of, as JSON has them. Raises TypeError."""
    return _entry(network).settings(network)


def build(state: Mapping[str, Tensor], source: str) -> PartedNetwork:
    """The network that `state` belongs to, with these weights, in float32, for inference.

    Names may have anything in front, as trainers put it there; of several networks in one file the averaged one counts,
    else the first. Raises WeightsError, naming what is missing, extra, of another shape or no number; `source` says
    where from.
    """
    unwrapped = {".".join(part for part in name.split(".") if part not in WRAPPERS): state[name] for name in state}
    entry, own = _told(unwrapped, source)
    network = entry.load(own, source)
    wanted = network.state_dict()
    faults = [
        _some("missing", [name for name in wanted if name not in own]),
        _some("extra", [name for name in own if name not in wanted]),
        _some("of another shape", [name for name in wanted if name in own and own[name].shape != wanted[name].shape]),
    ]
    if any(faults):
        raise WeightsError(f"{source} does not fit the {entry.name} it looks like: {'; '.join(filter(None, faults))}")
    if broken := _some("tensors", [name for name, value in own.items() if not value.float().isfinite().all()]):
        raise WeightsError(f"{source} holds NaN or infinity in {broken}; take a checkpoint from before that")
    whole = {name: value.float() if wanted[name].is_floating_point() else value for name, value in own.items()}
    network.load_state_dict(whole, assign=True)
    return network.eval().requires_grad_(False)


def _entry(network: nn.Module) -> Entry:
    for entry in NETWORKS:
        if isinstance(network, entry.kind):
            return entry
    raise TypeError(f"{type(network).__name__} is in no registry; streamderain.register(module, descriptor) adds it")


def _told(state: Mapping[str, Tensor], source: str) -> tuple[Entry, dict[str, Tensor]]:
    """Whose names these are, and those of the network alone, without what stands in front of them."""
    for entry in NETWORKS:
        prefixes = list(_prefixes(state, entry.landmark))
        if prefixes:
            chosen = max(prefixes, key=lambda prefix: "ema" in re.split("[._]", prefix))
            others = tuple(each for each in prefixes if len(each) > len(chosen))
            names = [name for name in state if name.startswith(chosen) and not name.startswith(others)]
            return entry, {name.removeprefix(chosen): state[name] for name in names}
    lacking = " and ".join(f"not a {entry.name}: {entry.landmark} is missing" for entry in NETWORKS)
    raise WeightsError(f"{source} is {lacking}")


def _prefixes(state: Mapping[str, Tensor], landmark: str) -> Iterator[str]:
    for name in state:
        prefix = name.removesuffix(landmark)
        if prefix != name and (not prefix or prefix.endswith(".")):
            yield prefix


def _some(what: str, names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {what} ({shown})"
