"""ONNX Runtime, on a CPU or a GPU, and through it TensorRT: the file that `streamderain export` writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from streamderain.backends.table import cache_folder
from streamderain.errors import DeviceError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.fused import fused
from streamderain.networks.export import to_onnx
from streamderain.networks.memory import footprint

SCRATCH = 2.0
"""What ONNX Runtime takes over what its tensors take, tried on a CPU: its arena keeps what it once had."""


class OnnxBackend:
    """A fused network as an ONNX graph of any size; with `tensorrt`, compiled by TensorRT for each shape that comes."""

    takes_aligned = False

    def __init__(
        self, network: DRSformer, device: torch.device, precision: str = "auto", tensorrt: bool = False
    ) -> None:
        lowest = "float16" if tensorrt else "float32"
        if precision not in ("auto", "float32", lowest):
            raise DeviceError(f"this backend computes in float32 or {lowest}, not {precision}; try --precision auto")
        self.name = "tensorrt" if tensorrt else "onnx"
        self.precision = lowest if precision == "auto" else precision
        self._network = network
        self._device = device
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            to_onnx(network, path)
            self._session = onnxruntime.InferenceSession(path.read_bytes(), providers=self._providers())
        if tensorrt and "TensorrtExecutionProvider" not in self._session.get_providers():
            raise DeviceError("ONNX Runtime finds no TensorRT here; try: pip install 'streamderain[tensorrt]'")

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        answer = self._session.run(None, {"frames": stacked.cpu().contiguous().numpy()})[0]
        return torch.from_numpy(answer).to(stacked.device)

    def bytes_per_pixel(self) -> float:
        """See Backend."""
        return SCRATCH * max(footprint(fused(self._network)))

    def _providers(self) -> list[Any]:
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device.type == "cuda":
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": self._device.index or 0}))
        if self.name == "tensorrt":
            kept = cache_folder() / "tensorrt"
            engines = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(kept)}
            half = {"trt_fp16_enable": self.precision == "float16", "device_id": self._device.index or 0}
            providers.insert(0, ("TensorrtExecutionProvider", {**engines, **half}))
        return providers
