"""The interface of all backends, and which of them runs a network on a device."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from streamderain.errors import DeviceError, nearest
from streamderain.networks.drsformer import DRSformer

BACKENDS = ("torch", "graphs", "compiled", "triton", "openvino", "onnx", "tensorrt")
PRECISIONS = ("float32", "bfloat16", "float16")

_NEEDS = {"triton": "triton", "openvino": "openvino", "onnx": "onnxruntime", "tensorrt": "onnxruntime"}
_EXTRAS = {"onnx": "streamderain[onnx]", "tensorrt": "streamderain[tensorrt]"}


class Backend(Protocol):
    """A network that is ready to run, one size after another."""

    name: str
    precision: str
    takes_aligned: bool
    """Whether it also takes what DRSformer.entry_of_codes does, uint8, of a network that wants its frames aligned."""

    def __call__(self, stacked: Tensor) -> Tensor:
        """What DRSformer.forward does: (N, 3 * frames, H, W) float32 in 0..1 on the network's device, H and W
        multiples of its `size_multiple` -> (N, 3, H, W) float32.
        """

    def bytes_per_pixel(self) -> float:
        """The most memory that it takes at a time, in and out included, for each pixel of a frame; a prediction."""


def cache_folder() -> Path:
    """Where backends keep what took them long to make: $STREAMDERAIN_CACHE, else in the user's cache folder."""
    if named := os.environ.get("STREAMDERAIN_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamderain"


def backend_on(device: torch.device) -> str:
    """The backend that "auto" stands for on a device."""
    if device.type == "cuda":
        return "graphs"
    return "openvino" if device.type == "cpu" and _installed("openvino") else "torch"


def open_backend(network: DRSformer, device: torch.device, backend: str = "auto", precision: str = "auto") -> Backend:
    """`network` on `device`, run by the backend of that name; "auto" is what suits the device.

    "auto" precision is bfloat16 where the hardware computes in it, else float32. Raises DeviceError for a backend or a
    precision that there is not, or not on this device.
    """
    name = backend_on(device) if backend == "auto" else backend
    _check(name, device, precision)
    if name == "openvino":
        from streamderain.backends.openvino import OpenvinoBackend

        return OpenvinoBackend(network, precision)
    if name in ("onnx", "tensorrt"):
        from streamderain.backends.onnx import OnnxBackend

        return OnnxBackend(network, device, precision, tensorrt=name == "tensorrt")
    if name == "torch":
        from streamderain.backends.eager import EagerBackend

        return EagerBackend(network, device, precision)
    from streamderain.backends.graphs import GraphsBackend

    if name == "triton":
        from streamderain.networks.drsformer.triton.blocks import with_kernels

        return GraphsBackend(network, device, precision, fold=with_kernels, name=name)
    return GraphsBackend(network, device, precision, compiled=name == "compiled")


def _check(backend: str, device: torch.device, precision: str) -> None:
    if backend not in BACKENDS:
        hint = nearest(backend, BACKENDS)
        raise DeviceError(f"no backend is called {backend}; allowed: auto, {', '.join(BACKENDS)}{hint}")
    if precision not in ("auto", *PRECISIONS):
        hint = nearest(precision, PRECISIONS)
        raise DeviceError(f"no precision is called {precision}; allowed: auto, {', '.join(PRECISIONS)}{hint}")
    if backend in ("graphs", "compiled", "triton", "tensorrt") and device.type != "cuda":
        raise DeviceError(f"the backend {backend} needs an NVIDIA GPU, not {device}; try --backend auto")
    if backend == "openvino" and device.type != "cpu":
        raise DeviceError(f"the backend openvino runs on a CPU here, not on {device}; try --device cpu")
    if (module := _NEEDS.get(backend)) and not _installed(module):
        raise DeviceError(f"the backend {backend} is not installed; try: pip install '{_EXTRAS.get(backend, module)}'")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
