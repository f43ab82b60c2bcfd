"""OpenVINO on a CPU: static shapes, and everything that takes long kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from openvino.preprocess import PrePostProcessor
from torch import Tensor, nn

from streamderain.backends import quantised
from streamderain.backends.eager import EagerBackend
from streamderain.backends.fastest import fastest
from streamderain.backends.footprint import footprint
from streamderain.backends.runnable import Runnable, fingerprint
from streamderain.backends.shapes import PerShape, Run
from streamderain.errors import DeviceError, WeightsError
from streamderain.folders import cache_folder, kept_in

logger = logging.getLogger(__name__)

EXAMPLE_SIDE = 192
"""Pixels, height and width, that a network is converted with; sizes from here on have the same layers."""

STEMS = {torch.float32: "stem", torch.uint8: "entry_of_codes"}
"""How the stem of a network in parts is made, by what it is given: frames as they came, or aligned outside."""

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1}
"""What a module's answer may be off by, of 0..1; none of those that are compared has a form in int8."""

_FORMS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32", "int8 and bfloat16": "bf16"}
"""How a network may be computed, the first word of which is its precision; and what is asked of OpenVINO for what of
the trunk is float. What is int8 says a file of its own, which is of 8-bit codes; frames as they came go through in
float32.
"""


@functools.cache
def core() -> openvino.Core:
    """OpenVINO itself, one for the whole process and never let go.

    Its plugin gives the thread that makes it a stack for signals of its own, and takes that away with itself: after two
    the thread may be left on a stack that is gone, and the next signal, a child that ends say, kills the process.
    """
    return openvino.Core()


class OpenvinoBackend:
    """A network in its quick form, or an ONNX file, compiled for each shape that comes.

    Parts are converted one by one, because only the trunk may be in less than float32: motion needs the digits. "auto"
    precision is what is quickest on this processor, which is tried once: bfloat16 does not pay everywhere where
    there are instructions for it. `clock` is what that is timed by.
    """

    name = "openvino"
    takes_aligned = True

    def __init__(
        self,
        network: Runnable,
        device: torch.device | None = None,
        precision: str = "auto",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        able = ["float32", "bfloat16", *(["int8"] if network.rounded else [])]
        if precision not in ("auto", *able):
            raise DeviceError(
                f"OpenVINO computes this network in {' or '.join(able)}, not {precision}; try --precision auto"
            )
        self._network = network
        self._kept = f"openvino/{_digest(network)}"
        self._passes = PerShape(self._prepared)
        self._form = self._quickest(precision, clock) if precision in ("auto", "int8") else precision
        self.precision = self._form.partition(" ")[0]

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend. Several frames go through side by side, each in a thread of its own, which no thread of another
        frame holds up; one alone is computed by all threads, unless what its kind was given together is there.
        """
        together = "together", *stacked.shape[1:]
        is_prepared = (together, stacked.dtype) in self._passes
        return self._passes(stacked, together if len(stacked) > 1 or is_prepared else None)

    def bytes_per_pixel(self) -> float:
        """See Backend. The parts hold their memory side by side; tried, they take 1.7 and 1.1 times their tensors."""
        descriptor = self._network.descriptor
        if descriptor.bytes_per_pixel:
            return descriptor.bytes_per_pixel
        if not self._network.sources:
            return self._counted()
        # Counting takes a tenth of a second, through many tiny tensors.
        with contextlib.suppress(ValueError):  # damaged
            return float(self._noted(f"bytes-{self.precision}", lambda: repr(self._counted())))
        return self._counted()

    def _counted(self) -> float:
        dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        stem, trunk, joined = footprint(self._network.quick(dtype=dtype), self._network.descriptor)
        return 1.8 * (stem + joined) + 1.1 * trunk

    def _noted(self, name: str, find: Callable[[], str]) -> str:
        """What was found out once of this network, and kept since then under that name."""
        with contextlib.suppress(OSError):
            # Empty while another process writes it.
            if known := (cache_folder() / self._kept / name).read_text():
                return known
        found = find()
        with contextlib.suppress(OSError):
            if folder := kept_in(self._kept):
                (folder / name).write_text(found)
        return found

    def _quickest(self, precision: str, clock: Callable[[], float]) -> str:
        """The form of the trunk that runs quickest, of all or of those in int8, found once for each processor and
        choice, and then kept.
        """
        has_bfloat16 = _hint() == "bf16"
        rounded = ["int8", *(["int8 and bfloat16"] if has_bfloat16 else [])] if self._network.rounded else []
        if precision == "int8":
            return self._quickest_of(rounded, clock)
        forms = ["float32", *(["bfloat16"] if has_bfloat16 and self._network.descriptor.lowers else [])]
        if rounded:
            try:
                return self._quickest_of([*forms, *rounded], clock)
            except WeightsError as error:
                logger.warning("%s; meanwhile the network runs without it", error)
        return self._quickest_of(forms, clock)

    def _quickest_of(self, forms: Sequence[str], clock: Callable[[], float]) -> str:
        """Raises WeightsError where the file in int8 was not made of these weights."""
        if len(forms) == 1:
            return forms[0]
        asked = " ".join([core().get_property("CPU", "FULL_DEVICE_NAME"), *forms])
        name = f"precision-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
        try:
            return self._noted(name, lambda: self._timed(forms, clock))
        except RuntimeError:
            return forms[0]  # what fails here fails again with the first picture, which is told

    def _timed(self, forms: Sequence[str], clock: Callable[[], float]) -> str:
        # With the stem that most runs begin with, so that nothing is converted for this alone.
        descriptor = self._network.descriptor
        pictures, dtype = descriptor.frames, torch.float32
        if descriptor.pictures:
            pictures, dtype = descriptor.pictures, torch.uint8
        given = torch.zeros(1, 3 * pictures, EXAMPLE_SIDE, EXAMPLE_SIDE, dtype=dtype)
        passes = {form: self._compiled(tuple(given.shape), STEMS[dtype], 1, form) for form in forms}
        return fastest({form: partial(run, given) for form, run in passes.items()}, clock=clock)

    def _rounded(self) -> openvino.Model:
        assert self._network.rounded is not None
        assert self._network.module is not None
        return quantised.load(self._network.rounded, self._network.module, core())

    def _hints(self) -> dict[str, Any]:
        return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}

    def _prepared(self, stacked: Tensor) -> Run:
        try:
            abreast, shape = min(len(stacked), torch.get_num_threads()), self._network.given(stacked[:1]).shape
            run = self._compiled(tuple(shape), STEMS[stacked.dtype], abreast, self._form)
            self._compare(run, stacked)
            return run
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            if self._network.module is None:
                raise DeviceError(f"OpenVINO cannot run {self._network.file}: {reason}; try --backend onnx") from error
            logger.warning("OpenVINO cannot run this network, so plain torch does, more slowly: %s", reason)
            return EagerBackend(self._network, torch.device("cpu"))

    def _compare(self, run: Run, stacked: Tensor) -> None:
        """Raise RuntimeError where what was made of a module answers otherwise, as a trace takes the way of the picture
        that it was made with. Of our own networks tests see to it.
        """
        network = self._network
        if network.module is None or network.sources:
            return
        descriptor, other = network.descriptor, network.module(stacked)
        difference = float((descriptor.left(run(stacked)) - descriptor.left(other)).abs().max())
        # Written so that NaN is a fault too.
        if not difference <= TOLERANCES[self.precision]:
            raise RuntimeError(f"what it made of the module is off by {difference:.2g}")

    def _compiled(self, shape: tuple[int, ...], stem: str, abreast: int, form: str) -> Run:
        is_rounded = form.startswith("int8") and stem == STEMS[torch.uint8]
        models = {"trunk": self._rounded()} if is_rounded else self._models(min(EXAMPLE_SIDE, *shape[-2:]), stem)
        # Behind the last convolution OpenVINO stays in float32, so what is dry stays as it is.
        of_trunk = _FORMS[form] if is_rounded or not form.startswith("int8") else "f32"
        hints = {**self._hints(), "NUM_STREAMS": abreast}
        if folder := kept_in(f"{self._kept}/compiled"):
            hints["CACHE_DIR"] = str(folder)
        requests: list[list[Any]] = []
        inputs = [shape]
        for part, model in models.items():
            model.reshape({port: list(each) for port, each in zip(model.inputs, inputs, strict=True)})
            hints["INFERENCE_PRECISION_HINT"] = of_trunk if part == "trunk" else "f32"
            compiled = core().compile_model(model, "CPU", hints)
            outputs = [tuple(port.shape) for port in compiled.outputs]
            if part == stem:
                inputs, choices = outputs[:1], outputs[1]
            elif part == "trunk" and len(models) > 1:
                inputs = [choices, outputs[0]]
            requests.append([compiled.create_infer_request() for _ in range(abreast)])
        return _Pass(self._network, requests).run

    def _models(self, side: int, stem: str) -> dict[str, openvino.Model]:
        """The parts for pictures of any size from `side` on, read where they were kept, else made."""
        network = self._network
        if network.file:
            return {"trunk": _in_float32(read_onnx(network.file))}
        assert network.module is not None
        parts = (stem, *network.module.parts[1:]) if len(network.module.parts) > 1 else network.module.parts
        kept = f"{self._kept}/{stem}-{side}"
        folder = cache_folder() / kept
        try:
            return {part: core().read_model(folder / f"{part}.xml") for part in parts}
        except RuntimeError:  # not there, or damaged
            shutil.rmtree(folder, ignore_errors=True)
        models = dict(zip(parts, _parts(network, side, parts), strict=True))
        if network.sources and (room := kept_in(self._kept)):
            with contextlib.suppress(OSError):
                _keep(models, room / folder.name)
        return models


class _Pass(NamedTuple):
    """A network compiled for one frame of one shape: of each part, in order, as many `requests` as go abreast."""

    network: Runnable
    requests: list[list[Any]]

    def run(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        abreast = len(self.requests[0])
        return torch.cat([self._abreast(torch.split(few, 1)) for few in torch.split(stacked, abreast)])

    def _abreast(self, frames: Sequence[Tensor]) -> Tensor:
        """What comes of frames, (1, C, H, W) each, no more of them than there are requests of a part."""
        # OpenVINO reads the memory itself, which must stay until it is done.
        given = [self.network.given(frame).contiguous().numpy() for frame in frames]
        first, *others = [part[: len(frames)] for part in self.requests]
        for request, array in zip(first, given, strict=True):
            request.set_input_tensor(0, openvino.Tensor(array, shared_memory=True))
        _infer(first)
        before = first
        # What one part makes is read by the next where it lies.
        for part in others:
            for stem, last, request in zip(first, before, part, strict=True):
                choices = [] if last is stem else [stem.get_output_tensor(1)]
                for number, tensor in enumerate([*choices, last.get_output_tensor(0)]):
                    request.set_input_tensor(number, tensor)
            _infer(part)
            before = part
        return torch.cat([torch.from_numpy(request.get_output_tensor(0).data) for request in before])


def _infer(requests: Sequence[Any]) -> None:
    for request in requests:
        request.start_async()
    for request in requests:
        request.wait()


class _Part(nn.Module):
    """One method of a network as a module of its own."""

    def __init__(self, network: nn.Module, part: str) -> None:
        super().__init__()
        self.network = network
        self._run = getattr(network, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self._run(*inputs)


def _digest(network: Runnable) -> str:
    """A name for all that decides what is converted: weights, sizes, the code, and OpenVINO's version."""
    ours = [Path(__file__), Path(__file__).with_name("footprint.py")]
    files = [*ours, *network.sources, *filter(None, [network.rounded])]
    code = [file.read_bytes() for file in files]
    state = network.module.state_dict() if network.module else {}
    return fingerprint(state, f"{openvino.__version__} {network.descriptor} {network.file}".encode(), *code)[:16]


def _hint() -> str:
    """What OpenVINO would compute in by itself: bf16 wherever the processor has instructions for it."""
    made: str = core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
    return made


@torch.inference_mode()
def _parts(network: Runnable, side: int, parts: Sequence[str]) -> list[openvino.Model]:
    logger.info("preparing the network for this processor, once")
    quick, descriptor = network.quick(), network.descriptor
    height, width = descriptor.size or (side, side)
    if len(parts) == 1:
        return [converted(quick, "trunk", torch.rand(1, 3 * descriptor.frames, height, width))]
    if parts[0] == STEMS[torch.uint8]:
        given = torch.zeros(1, 3 * descriptor.pictures, height, width, dtype=torch.uint8)
    else:
        given = torch.rand(1, 3 * descriptor.frames, height, width)
    stem, choices = getattr(quick, parts[0])(given)
    examples = (given, stem, (choices, quick.trunk(stem)))
    return [converted(quick, part, example) for part, example in zip(parts, examples, strict=True)]


@torch.inference_mode()
def converted(network: nn.Module, part: str, example: Tensor | tuple[Tensor, ...]) -> openvino.Model:
    """A method of `network`, traced with `example`, as a model in float32."""
    with warnings.catch_warnings(), _told_as_runtime_errors():
        # Tracing fixes how many levels a motion pyramid has, hence a conversion for each `side`.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.simplefilter("ignore", DeprecationWarning)
        # Not openvino.convert_model, which takes twice as long and reports each use to its makers.
        frontend = FrontEndManager().load_by_framework("pytorch")
        # By a name, as the model is read from it up to the end of the conversion.
        # Not traced twice to compare: what comes of it is compared with the network itself.
        once = {"check_trace": False}
        decoder = TorchScriptPythonDecoder(_Part(network, part), example_input=example, trace_kwargs=once)
        return frontend.convert(frontend.load(decoder))


def read_onnx(path: Path) -> openvino.Model:
    """An ONNX file as it is. Raises RuntimeError where it is none that OpenVINO reads."""
    with _told_as_runtime_errors():
        frontend = FrontEndManager().load_by_framework("onnx")
        model: openvino.Model = frontend.convert(frontend.load(str(path)))
    return model


@contextlib.contextmanager
def _told_as_runtime_errors() -> Iterator[None]:
    """What goes wrong while a network is read, which OpenVINO says in kinds of its own, and a module in any."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(str(error).strip() or type(error).__name__) from error


def _in_float32(model: openvino.Model) -> openvino.Model:
    """A model of one input and one output that are float32, whatever it computes in."""
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.f32)
    steps.output().tensor().set_element_type(openvino.Type.f32)
    return steps.build()


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
