"""The engine against what it replaces, as ratios in one process.

First the published network, full size: its published form in eager torch against the fused form in every backend and
precision of this device, at 256x256 on a CPU and 1280x720 on a GPU. Then the bundled `fast` at 640x480 against S2VD's
derainer in eager torch (peer.py), which derains a clip at once, so its time is that of nine frames, divided. All ways
take turns, so that ratios hold where seconds don't.

Writes engine.json, or engine-cuda.json on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from peer import PeerDerainer
from results import ROOT, save
from torch import Tensor, nn

from streamderain.backends.table import BACKENDS, PRECISIONS, open_backend
from streamderain.errors import DeviceError
from streamderain.media.images import read_clip
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.registry import runnable
from streamderain.networks.restorer import pick_device

ROUNDS = 5
CLIP = 9
PUBLISHED, PEER = "published form, eager torch, float32", "S2VD, eager torch, float32"

Way = tuple[Callable[[], Tensor], int]
"""What to time, and how many frames it derains."""


def in_backend(network: DRSformer, window: Tensor, backend: str, precision: str) -> Way | None:
    """The fused network, prepared; None where this machine cannot run it so."""
    try:
        opened = open_backend(runnable(network), window.device, backend, precision)
        opened(window)
    except DeviceError:
        return None
    return lambda: opened(window), 1


def in_all_backends(network: DRSformer, window: Tensor) -> dict[str, Way]:
    """Every backend and precision that there is here."""
    names = [row.name for row in BACKENDS]
    ways = {f"{name}, {kind}": in_backend(network, window, name, kind) for name in names for kind in PRECISIONS}
    return {name: way for name, way in ways.items() if way}


def compared(ways: dict[str, Way], rounds: int) -> dict[str, Any]:
    """Median seconds per frame of all ways in turn, the first round not counted; how many times as fast as the first
    each is, and the PSNR of its answer to that of the published form.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (call, frames) in ways.items():
            took = seconds(call) / frames
            if number:
                times[name].append(took)
    medians = {name: statistics.median(each) for name, each in times.items()}
    expected = ways[PUBLISHED][0]()
    errors = {name: float((call() - expected).square().mean()) for name, (call, _) in ways.items() if name != PEER}
    first = next(iter(medians.values()))
    return {
        "seconds_per_frame": medians,
        "times_as_fast": {name: first / each for name, each in medians.items()},
        "psnr": {name: -10 * float(torch.tensor(max(each, 1e-20)).log10()) for name, each in errors.items()},
    }


def seconds(call: Callable[[], object]) -> float:
    """What one call takes, up to the end of its work on a GPU."""
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def multiply_accumulates_per_pixel(network: DRSformer, side: int = 64) -> float:
    """Of all convolutions, counted while the network runs; attention's own products come on top."""
    total = 0

    def count(layer: nn.Conv2d, _: object, output: Tensor) -> None:
        nonlocal total
        total += layer.weight.numel() * output.shape[-2] * output.shape[-1]

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    network(torch.zeros(1, 3 * network.variant.frames, side, side))
    for hook in hooks:
        hook.remove()
    return total / side**2


def published(device: torch.device, rounds: int) -> dict[str, Any]:
    height, width = (720, 1280) if device.type == "cuda" else (256, 256)
    torch.manual_seed(0)
    network = DRSformer().eval().requires_grad_(False)
    picture = read_clip(ROOT / "samples" / "rainy-temple.mp4", 1).float() / 255
    picture = F.interpolate(picture, (height, width)).to(device)
    fused = in_all_backends(network, picture)
    eager = network.to(device)
    found = compared({PUBLISHED: (lambda: eager(picture), 1), **fused}, rounds)
    return {"size": f"{width}x{height}", **found}


def bundled(device: torch.device, rounds: int) -> dict[str, Any]:
    height, width = 480, 640
    network, peer = weights.load("fast"), PeerDerainer().eval().requires_grad_(False).to(device)
    about = {
        "size": f"{width}x{height}",
        "mac_per_pixel": multiply_accumulates_per_pixel(network),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    frames = F.interpolate(read_clip(ROOT / "samples" / "rainy-temple.mp4", CLIP).float() / 255, (height, width))
    window = frames[: network.variant.frames].flatten(0, 1)[None].to(device)
    clip = frames.transpose(0, 1).to(device)
    fused = in_all_backends(network, window)
    eager = network.to(device)
    ways = {PEER: (lambda: peer(clip), CLIP), PUBLISHED: (lambda: eager(window), 1), **fused}
    return {**about, **compared(ways, rounds)}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    name = "engine-cuda" if device.type == "cuda" else "engine"
    save(
        name,
        {
            "device": str(device),
            "threads": torch.get_num_threads(),
            "published": published(device, arguments.rounds),
            "fast": bundled(device, arguments.rounds),
        },
    )


if __name__ == "__main__":
    main()
