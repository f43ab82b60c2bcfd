"""ONNX Runtime, on a CPU or a GPU, and through it TensorRT: a user's file, or what `streamderain export` writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from streamderain.backends.footprint import footprint
from streamderain.backends.runnable import Runnable
from streamderain.backends.traced import to_onnx
from streamderain.errors import DeviceError
from streamderain.folders import kept_in

SCRATCH = 2.0
"""What ONNX Runtime takes over what its tensors take, tried on a CPU: its arena keeps what it once had."""


class OnnxBackend:
    """A network as an ONNX graph; with `tensorrt`, compiled by TensorRT for each shape that comes."""

    takes_aligned = False

    def __init__(
        self, network: Runnable, device: torch.device, precision: str = "auto", tensorrt: bool = False
    ) -> None:
        lowest = "float16" if tensorrt else "float32"
        if precision not in ("auto", "float32", lowest):
            raise DeviceError(f"this backend computes in float32 or {lowest}, not {precision}; try --precision auto")
        self.name = "tensorrt" if tensorrt else "onnx"
        self.precision = (lowest if network.descriptor.lowers else "float32") if precision == "auto" else precision
        self._network = network
        self._device = device
        self._session = self._opened(network.file) if network.file else self._exported()
        (port,) = self._session.get_inputs()
        self._input, self._dtype = port.name, np.float16 if "float16" in port.type else np.float32
        if tensorrt and "TensorrtExecutionProvider" not in self._session.get_providers():
            raise DeviceError("ONNX Runtime finds no TensorRT here; try: pip install 'streamderain[tensorrt]'")

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        given = self._network.given(stacked).cpu().contiguous().numpy().astype(self._dtype, copy=False)
        answer = self._session.run(None, {self._input: given})[0]
        return torch.from_numpy(answer).to(stacked.device, torch.float32)

    def bytes_per_pixel(self) -> float:
        """See Backend."""
        descriptor = self._network.descriptor
        return descriptor.bytes_per_pixel or SCRATCH * max(footprint(self._network.quick(), descriptor))

    def _exported(self) -> onnxruntime.InferenceSession:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            to_onnx(self._network, path)
            return self._opened(path)

    def _opened(self, path: Path) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        return onnxruntime.InferenceSession(path, options, providers=self._providers())

    def _providers(self) -> list[Any]:
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device.type == "cuda":
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": self._device.index or 0}))
        if self.name == "tensorrt":
            kept = kept_in("tensorrt")
            engines = {"trt_engine_cache_enable": kept is not None, "trt_engine_cache_path": str(kept)}
            half = {"trt_fp16_enable": self.precision == "float16", "device_id": self._device.index or 0}
            providers.insert(0, ("TensorrtExecutionProvider", {**engines, **half}))
        return providers


def tensorrt(network: Runnable, device: torch.device, precision: str) -> OnnxBackend:
    """The same, compiled by TensorRT."""
    return OnnxBackend(network, device, precision, tensorrt=True)
