"""A name, a file of weights or an ONNX file -> what a backend runs."""

from __future__ import annotations

from dataclasses import replace

from streamderain.backends.runnable import ROUNDED, Runnable
from streamderain.errors import WeightsError
from streamderain.networks import kin, onnx, registry, weights


def load(model: str) -> Runnable:
    """The network of that name, registered, bundled or added, or in that file; itself on the CPU.

    Raises WeightsError.
    """
    if model in registry.registered():
        return registry.registered()[model]
    path = weights.find(model)
    if path.suffix.lower() == ".onnx":
        return onnx.load(path)
    state = weights.read(path)
    try:
        network = registry.runnable(registry.build(state, str(path)))
    except WeightsError as error:
        return kin.load(state, str(path), error)
    rounded = path.with_suffix(ROUNDED)
    return replace(network, rounded=rounded) if rounded.exists() else network
