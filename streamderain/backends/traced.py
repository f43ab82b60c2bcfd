"""A network as a file, ONNX or TorchScript: pictures of any size go in, and what comes out is in its range.

Written is the quick form, traced once. A trace holds no branches; those of the network are on sizes alone, and the
padding here sees to it that all sizes take the same ones. See docs/export.md for how such files are used.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamderain import __version__
from streamderain.backends.padding import padded
from streamderain.backends.runnable import Descriptor, Runnable
from streamderain.errors import ExportError

OPSET = 17
"""Of ONNX: the first with layer normalisation, one after the first that reads pictures where a flow points to."""

SMALLEST = 40
"""Pixels of a side of a picture that an export is tried with, at the least."""

TOLERANCE = 1e-3
"""Largest difference between the file and the network, of 0..1; rounding makes 1e-6 of it."""

UNKNOWN_LICENCE = "that of its weights, which streamderain does not know"


def to_onnx(network: Runnable, path: Path, licence: str = UNKNOWN_LICENCE) -> None:
    """Write `network`, which is on the CPU, as an ONNX file, and check it with ONNX Runtime.

    Input "frames": float32 (N, 3 * frames, H, W), RGB in 0..1, the window in order of time, any N, H and W. Output
    "derained": (N, 3, H, W), 0..1. The file's metadata says what the window is, and the licence of the weights. Raises
    ExportError where `onnx` or `onnxruntime` is missing, the file answers otherwise than `network`, or `path` cannot be
    written.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ExportError(f"{error.name} is missing; install the extra: pip install 'streamderain[onnx]'") from error

    file = io.BytesIO()
    axes = {0: "N", 2: "H", 3: "W"}
    with _tracing(), torch.no_grad():
        whole = _Whole(network)
        torch.onnx.export(
            whole,
            (whole.example(),),
            file,  # type: ignore[arg-type]  # a path or, as it was always, what can be written to
            dynamo=False,  # the other exporter wants one more package, and to be told of every bound of every size
            opset_version=OPSET,
            input_names=["frames"],
            output_names=["derained"],
            dynamic_axes={"frames": axes, "derained": axes},
        )
    described = onnx.load_from_string(file.getvalue())
    onnx.helper.set_model_props(described, _facts(network.descriptor, licence))
    content = described.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    _check(network, lambda frames: torch.from_numpy(session.run(None, {"frames": frames.numpy()})[0]))
    _write(path, content)


def to_torchscript(network: Runnable, path: Path, licence: str = UNKNOWN_LICENCE) -> None:
    """Write `network`, which is on the CPU, as TorchScript, for `torch.jit.load` and ffmpeg's filter `dnn_processing`.

    The module takes one frame at a time, (1, 3, H, W) float32 RGB in 0..1, in order, and returns it derained, the same
    shape and range. It remembers the frames before; copies stand for those that are yet to come. Raises ExportError
    where the file answers otherwise than `network`, or `path` cannot be written.
    """
    descriptor = network.descriptor
    with _tracing(), torch.no_grad():
        whole = _Whole(network)
        # Compared with the network below, and on other sizes.
        traced = torch.jit.trace(whole, (whole.example(),), check_trace=False)  # type: ignore[no-untyped-call]
        stream = torch.jit.script(_Stream(traced, descriptor.past, descriptor.future))
        file = io.BytesIO()
        facts = json.dumps(_facts(descriptor, licence))
        torch.jit.save(stream, file, _extra_files={"streamderain.json": facts})
        content = file.getvalue()
        loaded = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
        # As ffmpeg does by default; and nothing is worth optimising for two pictures.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            _check(network, loaded.whole)
    _write(path, content)


class _Whole(nn.Module):
    """A network in its quick form for pictures of any size, with what it needs around it."""

    def __init__(self, network: Runnable) -> None:
        super().__init__()
        if network.descriptor.size is not None:
            height, width = network.descriptor.size
            raise ExportError(f"{network.descriptor.name} takes {width}x{height} alone; what is written takes any size")
        self.network, self.descriptor = network.quick(), network.descriptor

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3 * frames, H, W) -> (N, 3, H, W), both in the network's range."""
        height, width = frames.shape[-2:]
        rows, columns = (self._mirrored(length, frames.device) for length in (height, width))
        derained: Tensor = self.network(frames[:, :, rows][:, :, :, columns])
        # A program that only looks at the memory, such as ffmpeg, needs it without gaps.
        return derained[..., :height, :width].clamp(self.descriptor.black, self.descriptor.white).contiguous()

    def _mirrored(self, length: int, device: torch.device) -> Tensor:
        """Where the pixels of a side of the padded picture come from: what `padding.padded` does where there are pixels
        enough to mirror, without its branches.
        """
        # A number, but in a trace a tensor.
        side: Any = torch.as_tensor(length, device=device)
        multiple, least = self.descriptor.size_multiple, self.descriptor.least_side
        padded_side = ((side + multiple - 1) // multiple * multiple).clamp(min=-(-least // multiple) * multiple)
        period = (2 * side - 2).clamp(min=1)
        place = torch.arange(padded_side, device=device) % period
        return torch.minimum(place, period - place)

    def example(self) -> Tensor:
        """Frames for a trace: a size that needs padding on both sides."""
        return _frames(self.descriptor, _sizes(self.descriptor)[0])


class _Stream(nn.Module):
    """The frames of a stream one by one, for programs that know nothing of windows."""

    def __init__(self, whole: nn.Module, past: int, future: int) -> None:
        super().__init__()
        self.whole, self.past, self.future = whole, past, future
        self.size = [0]
        self.register_buffer("seen", torch.zeros(1, 0, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        """(1, 3, H, W) in 0..1 -> the same, derained."""
        size = list(picture.shape)
        begins = size != self.size
        if begins:
            self.size = size
            self.seen = picture.new_zeros([size[0], 0, size[2], size[3]])
        window = torch.cat([self.seen, picture], dim=1)
        missing = self.past + 1 - window.shape[1] // 3
        before = window[:, :3].repeat(1, missing, 1, 1)
        after = picture.repeat(1, self.future, 1, 1)
        # The first picture of a size is forgotten: ffmpeg asks with uninitialised memory how large the output is.
        if not begins:
            self.seen = window[:, max(0, window.shape[1] - 3 * self.past) :]
        derained: Tensor = self.whole(torch.cat([before, window, after], dim=1))
        return derained


def _sizes(descriptor: Descriptor) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two heights and widths to try, which the network does not take without padding if it minds its size at all."""
    side = max(descriptor.least_side, 5 * descriptor.size_multiple, SMALLEST)
    return (side + 3, side + descriptor.size_multiple + 1), (side + descriptor.size_multiple + 5, side - 1)


def _frames(descriptor: Descriptor, size: tuple[int, int]) -> Tensor:
    """Windows of soft pictures in a rain of noise, (1, 3 * frames, H, W): always the same ones."""
    random = torch.Generator().manual_seed(0)
    scene = F.interpolate(torch.rand(1, 3, 9, 9, generator=random), size, mode="bilinear")
    noise = torch.rand(1, 3 * descriptor.frames, *size, generator=random)
    return descriptor.entered((scene.repeat(1, descriptor.frames, 1, 1) + 0.3 * noise**8).clamp(0, 1))


def _check(network: Runnable, run: Callable[[Tensor], Tensor]) -> None:
    """Raise ExportError where `run`, which stands for a file, answers otherwise than `network`."""
    descriptor = network.descriptor
    assert network.module is not None
    for size in _sizes(descriptor):
        frames = _frames(descriptor, size)
        with torch.inference_mode():
            expected = descriptor.left(padded(network.module, frames, descriptor.size_multiple)).clamp(0, 1)
            difference = float((descriptor.left(run(frames)) - expected).abs().max())
        # Written so that NaN is a fault too.
        if not difference <= TOLERANCE:
            shown = f"{size[1]}x{size[0]}"
            raise ExportError(
                f"the exported network is off by {difference:.2g} at {shown}, which is more than rounding"
            )


def _facts(descriptor: Descriptor, licence: str) -> dict[str, str]:
    """What a program must know of the network, and its user of the weights."""
    names = ("past", "future", "size_multiple", "black", "white")
    return {**{name: str(getattr(descriptor, name)) for name in names}, "licence": licence, "streamderain": __version__}


def _write(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that no half file ever has its name."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _tracing() -> Iterator[None]:
    """Passes over what torch says while it traces."""
    with warnings.catch_warnings():
        # Branches on sizes, of which all sizes take the same; numbers made tensors that are tensors in a trace.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        # Tracing is what both exporters here live on, and torch prefers others.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        yield
