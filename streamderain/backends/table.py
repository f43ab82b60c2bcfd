"""The table of backends, the interface that all have, and which of them runs a network on a device."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from streamderain.backends.runnable import Runnable
from streamderain.errors import DeviceError, nearest

PRECISIONS = ("float32", "bfloat16", "float16", "int8")


class Backend(Protocol):
    """A network that is ready to run, one size after another."""

    name: str
    precision: str
    takes_aligned: bool
    """Whether it also takes what PartedNetwork.entry_of_codes does, uint8, of a network that is `aligned`."""

    def __call__(self, stacked: Tensor) -> Tensor:
        """What PartedNetwork.forward does: (N, 3 * frames, H, W) float32 on the network's device, of a size and in the
        range that its descriptor has -> (N, 3, H, W) float32.
        """

    def bytes_per_pixel(self) -> float:
        """The most memory that it takes at a time, in and out included, for each pixel of a frame; a prediction."""


@dataclass(frozen=True)
class Row:
    """A backend: its `name`; what `open`s it, of a Runnable, a device and a precision, in a module of this room that is
    loaded then; the module that it `needs`, and what to `install` for that; the types of `devices` that it runs on, all
    where none stands here; and whether it also runs ONNX `files`.
    """

    name: str
    open: str
    needs: str | None = None
    install: str = ""
    devices: tuple[str, ...] = ()
    files: bool = False


BACKENDS = (
    Row("torch", "eager.EagerBackend"),
    Row("graphs", "graphs.GraphsBackend", devices=("cuda",)),
    Row("compiled", "graphs.compiled", devices=("cuda",)),
    Row("triton", "graphs.of_kernels", "triton", "triton", ("cuda",)),
    Row("openvino", "openvino.OpenvinoBackend", "openvino", "openvino", ("cpu",), files=True),
    Row("onnx", "onnx.OnnxBackend", "onnxruntime", "streamderain[onnx]", files=True),
    Row("tensorrt", "onnx.tensorrt", "onnxruntime", "streamderain[tensorrt]", ("cuda",), files=True),
)

_DEVICES = {"cuda": "an NVIDIA GPU", "cpu": "a CPU"}


def backend_on(device: torch.device) -> str:
    """The backend that "auto" stands for on a device."""
    if device.type == "cuda":
        return "graphs"
    return "openvino" if device.type == "cpu" and _installed("openvino") else "torch"


def open_backend(network: Runnable, device: torch.device, backend: str = "auto", precision: str = "auto") -> Backend:
    """`network` on `device`, run by the backend of that name; "auto" is what suits the device.

    "auto" precision is bfloat16 where the hardware computes in it and the network bears it, else float32. Raises
    DeviceError for a backend or a precision that there is not, or not on this device or for this network.
    """
    if precision not in ("auto", *PRECISIONS):
        hint = nearest(precision, PRECISIONS)
        raise DeviceError(f"no precision is called {precision}; allowed: auto, {', '.join(PRECISIONS)}{hint}")
    row = _row(_of_files(device) if network.file and backend == "auto" else backend, device)
    if network.file and not row.files:
        able = ", ".join(each.name for each in BACKENDS if each.files)
        raise DeviceError(f"{network.file} cannot be run by {row.name}; a file is run by {able}; try --backend auto")
    module, name = row.open.split(".")
    opens: Callable[..., Any] = getattr(importlib.import_module(f"streamderain.backends.{module}"), name)
    opened: Backend = opens(network, device, precision)
    return opened


def _of_files(device: torch.device) -> str:
    """What "auto" stands for where the network is a file."""
    return "openvino" if device.type == "cpu" else "onnx"


def _row(name: str, device: torch.device) -> Row:
    """The row of that name, which can be opened on `device`. Raises DeviceError where there is none."""
    name = backend_on(device) if name == "auto" else name
    row = next((row for row in BACKENDS if row.name == name), None)
    if row is None:
        names = [row.name for row in BACKENDS]
        raise DeviceError(f"no backend is called {name}; allowed: auto, {', '.join(names)}{nearest(name, names)}")
    if row.devices and device.type not in row.devices:
        wanted = " or ".join(_DEVICES[each] for each in row.devices)
        raise DeviceError(f"the backend {name} needs {wanted}, not {device}; try --backend auto or another --device")
    if row.needs and not _installed(row.needs):
        raise DeviceError(f"the backend {name} is not installed; try: pip install '{row.install}'")
    return row


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
