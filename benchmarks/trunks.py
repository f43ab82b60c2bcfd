"""What a trunk costs: candidates for the small network beside the bundled `fast`, in OpenVINO and in training.

The trunk is all of a network that has weights. It is timed at 640x360, padded to 640x368, at half resolution, with a
static shape: in float32, in bfloat16, and in int8 by NNCF, where dense convolutions are int8 and depthwise ones,
normalisation and the attention's products stay float32. Weights are random; what they are does not change the time.

All take turns, so that a busy machine is as busy for each. Of one thread the processor's time is given, which
neighbours do not lengthen much; of two threads the shortest wall time, as they wait for each other. Needs NNCF, which
the project does not: pip install nncf. Writes trunks.json.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import openvino
import torch
from results import save
from torch import Tensor, nn

from streamderain.backends import openvino as backend
from streamderain.networks import weights
from streamderain.networks.drsformer.fused import fused
from streamderain.networks.drsformer.network import DRSformer, ResidualBlock
from streamderain.networks.drsformer.variant import Variant
from streamderain.training.quantising import IN_FLOAT

# NNCF reports each use to its makers, but not from a build server.
os.environ["CI"] = "true"

STEM = (1, 68, 368 // 2, 640 // 2)
ROUNDS = 9
STEPS = 5
PATCHES = (8, 68, 48, 48)
"""The stems of a training step: eight samples of 96x96."""

PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""What OpenVINO is asked for; in int8 the rest is in float32."""


def _candidate(
    widths: tuple[int, int, int, int],
    blocks: tuple[int, int, int, int],
    residual: tuple[int, int, int, int],
    dense: tuple[int, int],
    expansion: float,
) -> Variant:
    return Variant(
        widths=widths,
        blocks=blocks,
        residual=residual,
        dense=dense,
        expansion=expansion,
        mefc=False,
        scale=2,
        past=2,
        future=2,
        aligned=True,
    )


CANDIDATES = {
    "a": _candidate((16, 48, 96, 128), (0, 0, 1, 1), (0, 2, 1, 0), (2, 1), 1.5),
    "b": _candidate((16, 48, 96, 128), (0, 0, 1, 2), (0, 1, 1, 0), (1, 1), 1.0),
    "c": _candidate((16, 32, 64, 128), (0, 0, 1, 1), (0, 2, 2, 0), (2, 1), 2.0),
    "d": _candidate((16, 32, 64, 128), (0, 0, 2, 2), (0, 2, 1, 0), (1, 1), 1.5),
    "e": _candidate((16, 48, 64, 96), (0, 0, 1, 1), (0, 1, 1, 0), (1, 1), 1.0),
    "f": _candidate((16, 48, 64, 96), (0, 0, 1, 2), (0, 2, 2, 0), (1, 1), 1.5),
    "g": _candidate((24, 48, 96, 128), (0, 0, 1, 1), (0, 1, 1, 0), (1, 0), 1.0),
    "h": _candidate((32, 48, 64, 96), (0, 0, 1, 1), (0, 1, 1, 0), (2, 0), 1.0),
    "i": _candidate((16, 64, 96, 128), (0, 0, 1, 1), (0, 1, 1, 0), (1, 1), 1.0),
    "j": _candidate((16, 64, 128, 128), (0, 0, 1, 2), (0, 1, 1, 0), (1, 0), 1.0),
    "k": _candidate((16, 32, 48, 64), (0, 0, 1, 1), (0, 1, 1, 0), (1, 0), 1.0),
    "l": _candidate((8, 32, 64, 96), (0, 0, 1, 1), (0, 1, 1, 0), (1, 1), 1.0),
}
"""The last two are meant to be quick enough in float32 alone."""


def networks() -> Iterator[tuple[str, DRSformer]]:
    """`fast`, then the candidates with random weights that are zero nowhere."""
    yield "fast", weights.load("fast")
    for name, variant in CANDIDATES.items():
        torch.manual_seed(0)
        network = DRSformer(variant).eval().requires_grad_(False)
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                block.second.weight.normal_(0, 0.02)
        yield name, network


def converted(network: DRSformer) -> openvino.Model:
    """The fused trunk, for stems of the shape `STEM`."""
    model = backend.converted(fused(network), "trunk", torch.zeros(STEM))
    model.reshape(list(STEM))
    return model


def quantised(model: openvino.Model, stem: np.ndarray[Any, Any]) -> openvino.Model:
    """The same in int8, but for operations of `IN_FLOAT`."""
    import nncf

    kept = nncf.IgnoredScope(types=list(IN_FLOAT), validate=False)
    return nncf.quantize(model, nncf.Dataset([stem]), subset_size=1, ignored_scope=kept)


def kilo_macs(network: DRSformer) -> float:
    """Thousands of multiplications for each pixel of a frame, those of convolutions."""
    side, counted = 64, []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        counted.append(layer.get_parameter("weight").numel() * output.shape[-2] * output.shape[-1])

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    with torch.inference_mode():
        network.trunk(torch.zeros(1, STEM[1], side, side))
    for hook in hooks:
        hook.remove()
    return sum(counted) / (2 * side) ** 2 / 1000


def passes(network: DRSformer, core: openvino.Core) -> dict[str, Callable[[], object]]:
    """By precision and threads, what runs the trunk once."""
    stem = np.random.default_rng(0).random(STEM, np.float32)
    model = converted(network)
    models = {"float32": model, "bfloat16": model, "int8": quantised(converted(network), stem)}
    found: dict[str, Callable[[], object]] = {}
    for precision, each in models.items():
        for threads in (1, 2):
            hints = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            }
            request = core.compile_model(each, "CPU", hints).create_infer_request()
            found[f"{precision}, {threads} thread{'s' * (threads - 1)}"] = lambda run=request: run.infer([stem])
    return found


def step(network: DRSformer) -> Callable[[], object]:
    """What takes a training step's way through the trunk once, forth and back."""
    trained = DRSformer(network.variant).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stems = torch.rand(PATCHES).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        trained.zero_grad()
        trained.trunk(stems).square().mean().backward()

    return run


def timed(runs: dict[tuple[str, str], Callable[[], object]], rounds: int) -> dict[tuple[str, str], dict[str, float]]:
    """Milliseconds of each, all in turn: the median of the processor's time, and the least wall time."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in runs}
    for number in range(rounds + 1):
        for key, run in runs.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            took = (1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - wall))
            if number:  # the first round warms up
                times[key].append(took)
    return {
        key: {
            "processor_ms": round(statistics.median(each for each, _ in taken), 1),
            "least_wall_ms": round(min(each for _, each in taken), 1),
        }
        for key, taken in times.items()
    }


def main() -> None:
    torch.set_num_threads(1)
    core, found = openvino.Core(), dict(networks())
    about = {
        name: {
            "variant": asdict(network.variant),
            "kmac_per_pixel": round(kilo_macs(network), 1),
            "million_parameters": round(sum(each.numel() for each in network.parameters()) / 1e6, 2),
        }
        for name, network in found.items()
    }
    runs = {(name, what): run for name, each in found.items() for what, run in passes(each, core).items()}
    steps = {(name, "training step"): step(network) for name, network in found.items()}
    times = timed(runs, ROUNDS) | timed(steps, STEPS)
    for (name, what), taken in times.items():
        # In one thread the processor's time is the wall time of a quiet machine.
        measure = "least_wall_ms" if "2 threads" in what else "processor_ms"
        yardstick = times["fast", "float32, 2 threads" if "2 threads" in what else "float32, 1 thread"]
        if what == "training step":
            yardstick = times["fast", what]
        about[name][what] = {**taken, "of_fast_in_float32": round(taken[measure] / yardstick[measure], 3)}
    save("trunks", {"stem": STEM, "rounds": ROUNDS, "float_in_int8": IN_FLOAT, "trunks": about})


if __name__ == "__main__":
    main()
