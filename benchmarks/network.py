"""The network alone: cost per pixel, and time per frame by resolution, on a CPU or a GPU.

Imports neither PyAV nor OpenCV. A GPU is timed with its own events, warm, medians; a CPU with the clock.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from streamderain.model import weights
from streamderain.model.drsformer import DRSformer
from streamderain.model.restorer import Restorer, pick_device

SIZES = ((240, 320), (360, 640), (720, 1280), (1080, 1920))
RUNS = 5


def multiply_accumulates_per_pixel(network: DRSformer, side: int = 64) -> float:
    """Of all convolutions, counted while the network runs; attention's own products come on top."""
    total = 0

    def count(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += layer.weight.numel() * output.shape[-2] * output.shape[-1]

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    with torch.inference_mode():
        network(torch.zeros(1, 3 * network.variant.frames, side, side))
    for hook in hooks:
        hook.remove()
    return total / side**2


def seconds_per_frame(restorer: Restorer, height: int, width: int) -> float:
    """Median over runs of one frame each, after one to warm up."""
    window = torch.rand(1, restorer.past + 1 + restorer.future, 3, height, width, device=restorer.device)
    times = []
    for run in range(RUNS + 1):
        began = time.perf_counter()
        restorer.restore(window)
        if restorer.device.type == "cuda":
            torch.cuda.synchronize()
        if run:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "network.json")
    arguments = parser.parse_args()
    network = weights.load(arguments.model)
    cost = multiply_accumulates_per_pixel(network)
    restorer = Restorer(network, pick_device(arguments.device))
    on = torch.cuda.get_device_name() if restorer.device.type == "cuda" else platform.processor() or platform.machine()
    result = {
        "model": arguments.model,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "mac_per_pixel": cost,
        "device": on,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds_per_frame": {
            f"{width}x{height}": seconds_per_frame(restorer, height, width) for height, width in SIZES
        },
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
