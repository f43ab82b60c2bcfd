"""An ONNX file of a user's as a network: what it takes is read from it, and what does not fit is said in one line.

Read by OpenVINO, which comes with streamderain; see docs/own-network.md for what a file may look like.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamderain.backends.runnable import Descriptor, Runnable
from streamderain.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    import openvino

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Height and width may have to be multiples of one of these, which is tried; U-nets, which halve, ask for no others."""

ROOM = 256
"""Pixels of a side on which a file is tried, plus a multiple."""

OVERHEAD = 1.2
"""What OpenVINO takes over the tensors that are alive at a time."""


def load(path: Path) -> Runnable:
    """The network in an ONNX file. Raises WeightsError where it does not take frames and return the current one."""
    if importlib.util.find_spec("openvino") is None:
        raise WeightsError(f"{path} is read by OpenVINO, which is not installed; try: pip install openvino")
    from streamderain.backends.openvino import read_onnx

    try:
        model = read_onnx(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(f"{path} is no ONNX file that OpenVINO reads ({reason})") from error
    try:
        return Runnable(_sized(model, _described(model, path), path), file=path)
    except ConfigError as error:
        raise WeightsError(f"{path} cannot be run: {error}") from error


def _described(model: openvino.Model, path: Path) -> Descriptor:
    """What the file says of its network: all of the descriptor but sizes and memory."""
    for what, ports in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(ports) != 1:
            names = ", ".join(port.any_name if port.names else "?" for port in ports)
            raise WeightsError(f"{path} has {len(ports)} {what} ({names}); expected 1, of frames")
        kind = ports[0].element_type.to_string()
        if kind not in ("f32", "f16"):
            raise WeightsError(f"{path} has {what} of {kind}; expected float32 or float16, RGB in 0..1")
    given, answer = _shape(model.inputs[0]), _shape(model.outputs[0])
    apart = len(given) == 5
    channels = 3 * (given[1] or 0) if apart and given[2] == 3 else given[1] if len(given) == 4 else None
    if not channels or channels % 3:
        raise WeightsError(f"{path} takes {_shown(given)}; expected (N, 3 * frames, H, W) or (N, frames, 3, H, W)")
    if len(answer) != 4 or answer[1] not in (3, None):
        raise WeightsError(f"{path} answers {_shown(answer)}; expected (N, 3, H, W), the current frame")
    if given[0] not in (1, None):
        raise WeightsError(f"{path} takes batches of {given[0]}; export it with a batch of 1, or a free one")
    facts = _facts(model)
    past, future = _window(channels // 3, facts, path)
    black, white = (_number(facts, name, default, path) for name, default in (("black", 0.0), ("white", 1.0)))
    return Descriptor(path.name, past, future, black=black, white=white, most=given[0] or 0, frames_apart=apart)


def _window(frames: int, facts: dict[str, str], path: Path) -> tuple[int, int]:
    """Frames before and after the current one: what the metadata says, else it is the middle one."""
    if "past" in facts or "future" in facts:
        past, future = (int(_number(facts, name, 0, path)) for name in ("past", "future"))
        if past + 1 + future != frames:
            raise WeightsError(f"{path} takes {frames} frames, and its metadata says past {past} and future {future}")
        return past, future
    if frames % 2 == 0:
        raise WeightsError(
            f"{path} takes {frames} frames, of which none is the middle one; add past and future to its metadata"
        )
    return frames // 2, frames // 2


def _sized(model: openvino.Model, descriptor: Descriptor, path: Path) -> Descriptor:
    """With sizes and memory, found by having OpenVINO work out all shapes."""
    height, width = _shape(model.inputs[0])[-2:]
    if (height is None) != (width is None):
        raise WeightsError(f"{path} takes pictures of {_shown((height, width))}; expected both sides free, or neither")
    if height and width:
        fitting = [(1, (height, width))]
    else:
        fitting = [(multiple, (ROOM + multiple, 2 * ROOM + multiple)) for multiple in MULTIPLES]
    for multiple, side in fitting:
        if (held := _held(model, descriptor, side)) is not None:
            size = side if height else None
            return replace(descriptor, size_multiple=multiple, size=size, bytes_per_pixel=OVERHEAD * held)
    tried = _shown(fitting[-1][1])
    raise WeightsError(f"{path} does not answer in the size that it is given, tried up to {tried}")


def _held(model: openvino.Model, descriptor: Descriptor, size: tuple[int, int]) -> float | None:
    """Bytes for each pixel that tensors take at a time, at the most; None where what comes out is of another size."""
    window = (descriptor.frames, 3) if descriptor.frames_apart else (3 * descriptor.frames,)
    try:
        model.reshape([1, *window, *size])
    except RuntimeError:
        return None
    if _shape(model.outputs[0]) != (1, 3, *size):
        return None
    return _most_alive(model) / (size[0] * size[1])


def _most_alive(model: openvino.Model) -> int:
    """Bytes of the tensors that are still needed, at the worst moment, one operation after the other."""
    operations = [each for each in model.get_ordered_ops() if each.get_type_name() != "Constant"]
    last_use: dict[str, int] = {}
    for number, operation in enumerate(operations):
        for port in operation.inputs():
            last_use[port.get_source_output().get_node().get_friendly_name()] = number
    changes = [0] * (len(operations) + 2)
    for number, operation in enumerate(operations):
        held = sum(math.prod(port.get_shape()) * port.element_type.size for port in _settled(operation))
        changes[number] += held
        changes[last_use.get(operation.get_friendly_name(), number) + 1] -= held
    return max(accumulate(changes))


def _settled(operation: Any) -> list[Any]:
    """The outputs whose size is known, which all pictures are."""
    return [port for port in operation.outputs() if port.get_partial_shape().is_static]


def _shape(port: Any) -> tuple[int | None, ...]:
    """Lengths, None where one is free."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(each.get_length() if each.is_static else None for each in shape)


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('free' if each is None else str(each) for each in shape)})" if shape else "any shape"


def _facts(model: openvino.Model) -> dict[str, str]:
    """The file's metadata."""
    return dict(model.get_rt_info("framework").value) if model.has_rt_info("framework") else {}


def _number(facts: dict[str, str], name: str, default: float, path: Path) -> float:
    try:
        return float(facts.get(name, default))
    except ValueError:
        raise WeightsError(f"{path} says {name} {facts[name]} in its metadata; expected a number") from None
