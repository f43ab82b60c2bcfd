"""OpenVINO on a CPU: static shapes, and everything that takes long kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from streamderain.backends.eager import EagerBackend
from streamderain.backends.fastest import fastest
from streamderain.backends.shapes import PerShape, Run
from streamderain.backends.table import cache_folder
from streamderain.errors import DeviceError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.fused import fused, lowered
from streamderain.networks.memory import footprint

logger = logging.getLogger(__name__)

EXAMPLE_SIDE = 192
"""Pixels, height and width, that a network is converted with; sizes from here on have the same layers."""

STEMS = {torch.float32: "stem", torch.uint8: "entry_of_codes"}
"""How a pass begins, by what it is given: frames as they came, or frames that were aligned outside."""

PARTS = ("trunk", "joined")
"""How it goes on. Parts are converted one by one, because only the trunk may be in less than float32: motion needs the
digits.
"""


PACKAGE = Path(__file__).parents[1]

_NAMES = {"float32": "f32", "bfloat16": "bf16"}


@functools.cache
def _core() -> openvino.Core:
    """OpenVINO itself, one for the whole process and never let go.

    Its plugin gives the thread that makes it a stack for signals of its own, and takes that away with itself: after two
    the thread may be left on a stack that is gone, and the next signal, a child that ends say, kills the process.
    """
    return openvino.Core()


class OpenvinoBackend:
    """A fused network, compiled for each shape that comes.

    "auto" precision is what is quickest on this processor, which is tried once: bfloat16 does not pay everywhere where
    there are instructions for it. `clock` is what that is timed by.
    """

    name = "openvino"
    takes_aligned = True

    def __init__(
        self, network: DRSformer, precision: str = "auto", clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if precision == "float16":
            raise DeviceError("OpenVINO computes in float32 or bfloat16 on a CPU, not float16; try --precision auto")
        self._network = network
        self._folder = cache_folder() / "openvino" / _digest(network)
        self._passes = PerShape(self._prepared)
        self.precision = self._quickest(clock) if precision == "auto" else precision

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        return self._passes(stacked)

    def bytes_per_pixel(self) -> float:
        """See Backend. The parts hold their memory side by side; tried, they take 1.7 and 1.1 times their tensors."""
        dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        stem, trunk, joined = footprint(lowered(fused(self._network), dtype))
        return 1.8 * (stem + joined) + 1.1 * trunk

    def _quickest(self, clock: Callable[[], float]) -> str:
        """The precision in which the trunk runs quickest, found once for each processor and then kept."""
        if _core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string() != "bf16":
            return "float32"
        processor = _core().get_property("CPU", "FULL_DEVICE_NAME")
        kept = self._folder / f"precision-{hashlib.sha256(processor.encode()).hexdigest()[:8]}"
        if kept.exists():
            return kept.read_text()
        try:
            found = self._timed(clock)
        except RuntimeError:
            return "float32"  # what fails here fails again with the first picture, which is told
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(found)
        return found

    def _timed(self, clock: Callable[[], float]) -> str:
        # With the stem that most runs begin with, so that nothing is converted for this alone.
        stem = STEMS[torch.uint8 if self._network.variant.aligned else torch.float32]
        trunk = self._models(EXAMPLE_SIDE, stem)[1]
        shape = [1, *trunk.inputs[0].get_partial_shape().get_max_shape()[1:2], EXAMPLE_SIDE, EXAMPLE_SIDE]
        trunk.reshape(shape)
        given = openvino.Tensor(np.zeros(shape, np.float32))
        return fastest(
            {
                precision: partial(
                    _core().compile_model(trunk, "CPU", {**self._hints(), "INFERENCE_PRECISION_HINT": name}), given
                )
                for precision, name in _NAMES.items()
            },
            clock=clock,
        )

    def _hints(self) -> dict[str, Any]:
        return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}

    def _prepared(self, stacked: Tensor) -> Run:
        try:
            return self._compiled(tuple(stacked.shape), STEMS[stacked.dtype])
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            logger.warning("OpenVINO cannot run this network, so plain torch does, more slowly: %s", reason)
            return EagerBackend(self._network, torch.device("cpu"))

    def _compiled(self, shape: tuple[int, ...], stem: str) -> Run:
        models = self._models(min(EXAMPLE_SIDE, *shape[2:]), stem)
        hints = self._hints()
        if os.access(self._folder, os.W_OK):
            hints["CACHE_DIR"] = str(self._folder / "compiled")
        requests: list[Any] = []
        inputs = [shape]
        for part, model in zip((stem, *PARTS), models, strict=True):
            model.reshape({port: list(each) for port, each in zip(model.inputs, inputs, strict=True)})
            precision = self.precision if part == "trunk" else "float32"
            compiled = _core().compile_model(model, "CPU", {**hints, "INFERENCE_PRECISION_HINT": _NAMES[precision]})
            outputs = [tuple(port.shape) for port in compiled.outputs]
            if part == stem:
                inputs, choices = outputs[:1], outputs[1]
            else:
                inputs = [choices, outputs[0]]
            requests.append(compiled.create_infer_request())
        return _Pass(*requests).run

    def _models(self, side: int, stem: str) -> list[openvino.Model]:
        """The parts for pictures of any size from `side` on, read where they were kept, else made."""
        kept = self._folder / f"{stem}-{side}"
        try:
            return [_core().read_model(kept / f"{part}.xml") for part in (stem, *PARTS)]
        except RuntimeError:  # not there, or damaged
            shutil.rmtree(kept, ignore_errors=True)
        models = _converted(self._network, side, stem)
        try:
            _keep(dict(zip((stem, *PARTS), models, strict=True)), kept)
        except OSError as error:
            logger.warning("nothing can be kept in %s, so the next start takes as long: %s", kept, error.strerror)
        return models


class _Pass(NamedTuple):
    """The three parts of a network, compiled for one shape; what one makes is read by the next where it lies."""

    stem: Any
    trunk: Any
    joined: Any

    def run(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        # OpenVINO reads the memory itself, which must stay until it is done.
        array = stacked.contiguous().numpy()
        self.stem.infer([openvino.Tensor(array, shared_memory=True)])
        self.trunk.set_input_tensor(0, self.stem.get_output_tensor(0))
        self.trunk.infer()
        self.joined.set_input_tensor(0, self.stem.get_output_tensor(1))
        self.joined.set_input_tensor(1, self.trunk.get_output_tensor(0))
        self.joined.infer()
        return torch.from_numpy(self.joined.get_output_tensor(0).data).clone()


class _Part(nn.Module):
    """One method of a network as a module of its own."""

    def __init__(self, network: DRSformer, part: str) -> None:
        super().__init__()
        self.network = network
        self._run = getattr(network, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self._run(*inputs)


def _digest(network: DRSformer) -> str:
    """A name for all that decides what is converted: weights, sizes, the code, and OpenVINO's version."""
    digest = hashlib.sha256(f"{openvino.__version__} {network.variant}".encode())
    for room in ("networks", "temporal"):
        for file in sorted((PACKAGE / room).rglob("*.py")):
            digest.update(file.read_bytes())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _converted(network: DRSformer, side: int, begin: str) -> list[openvino.Model]:
    logger.info("preparing the network for this processor, once")
    quick = fused(network)
    if begin == "stem":
        given = torch.rand(1, 3 * network.variant.frames, side, side)
    else:
        given = torch.zeros(1, 3 * network.variant.pictures, side, side, dtype=torch.uint8)
    stem, choices = getattr(quick, begin)(given)
    examples = (given, stem, (choices, quick.trunk(stem)))
    with warnings.catch_warnings():
        # Tracing fixes how many levels a motion pyramid has, hence a conversion for each `side`.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.simplefilter("ignore", DeprecationWarning)
        # Not openvino.convert_model, which takes twice as long and reports each use to its makers.
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoders = [
            TorchScriptPythonDecoder(_Part(quick, part), example_input=example)
            for part, example in zip((begin, *PARTS), examples, strict=True)
        ]
        return [frontend.convert(frontend.load(decoder)) for decoder in decoders]


def _keep(models: Mapping[str, openvino.Model], folder: Path) -> None:
    """Save the parts in `folder`, which gets its name when it is whole; where another process was quicker, its stays.

    Raises OSError where nothing can be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for part, model in models.items():
            openvino.save_model(model, beside / f"{part}.xml", compress_to_fp16=False)
        if not folder.exists():
            beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
