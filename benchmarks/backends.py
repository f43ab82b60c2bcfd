"""The bundled `fast` at 640x480 on a CPU, in eager torch and in OpenVINO, beside S2VD's derainer in eager torch.

S2VD (Yue et al., CVPR 2021) is a video derainer of 0.53 M parameters. Its layers are built here by their published
sizes, with random weights, which cost as much as trained ones; it derains a clip at once, so its time is that of
nine frames, divided. All are measured in turn in one process, so that their ratios hold where seconds don't.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from results import ROOT, save
from torch import Tensor, nn

from streamderain.model import weights
from streamderain.model.drsformer import DRSformer
from streamderain.video.images import read_clip

HEIGHT, WIDTH = 480, 640
CLIP = 9
ROUNDS = 5


class PeerDerainer(nn.Module):
    """S2VD's derainer by its sizes: 32 features at half resolution in eight blocks, then a tail at full resolution."""

    def __init__(self) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> nn.Conv3d:
            return nn.Conv3d(inputs, outputs, 3, padding=1)

        def block() -> nn.Sequential:
            halves = ((nn.BatchNorm3d(32), nn.ReLU(), convolution(32, 32)) for _ in range(2))
            return nn.Sequential(*(layer for half in halves for layer in half))

        self.head = nn.Sequential(convolution(12, 32), nn.ReLU(), convolution(32, 32))
        self.blocks = nn.ModuleList(block() for _ in range(8))
        self.join = nn.Sequential(nn.BatchNorm3d(32), nn.ReLU(), convolution(32, 12))
        self.tail = nn.Sequential(convolution(3, 32), nn.ReLU(), convolution(32, 32), nn.ReLU(), convolution(32, 3))

    def forward(self, clip: Tensor) -> Tensor:
        """(3, T, H, W) -> the same shape."""
        small = F.pixel_unshuffle(clip.transpose(0, 1), 2).transpose(0, 1)[None]
        x = self.head(small)
        for block in self.blocks:
            x = x + block(x)
        rain = F.pixel_shuffle(self.join(x)[0].transpose(0, 1), 2).transpose(0, 1)
        out: Tensor = self.tail((clip - rain)[None])[0]
        return out


def in_openvino(network: DRSformer, window: Tensor, precision: str, threads: int) -> Callable[[], Tensor]:
    """The network, compiled for windows of this shape."""
    import openvino

    converted = openvino.convert_model(network, example_input=window, input=list(window.shape))
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = openvino.Core().compile_model(converted, "CPU", settings)
    return lambda: torch.from_numpy(compiled(window.numpy())[0])


def seconds(call: Callable[[], object]) -> float:
    """What one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = weights.load(arguments.model)
    frames = F.interpolate(read_clip(ROOT / "samples" / "rainy-temple.mp4", CLIP).float() / 255, (HEIGHT, WIDTH))
    window, clip = frames[: network.variant.frames].flatten(0, 1)[None], frames.transpose(0, 1)
    peer = PeerDerainer().eval()
    eager = network.to(memory_format=torch.channels_last)
    expected = eager(window)
    ways: dict[str, tuple[Callable[[], Tensor], int]] = {
        "S2VD": (lambda: peer(clip), CLIP),
        "eager torch": (lambda: eager(window), 1),
        "OpenVINO, float32": (in_openvino(network, window, "f32", arguments.threads), 1),
        "OpenVINO, bfloat16": (in_openvino(network, window, "bf16", arguments.threads), 1),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, (call, frames) in ways.items():
            took = seconds(call) / frames
            if number:
                times[name].append(took)
    medians = {name: statistics.median(each) for name, each in times.items()}
    errors = {
        name: -10 * float(((call() - expected) ** 2).mean().clamp(min=1e-20).log10())
        for name, (call, _) in ways.items()
        if name.startswith("OpenVINO")
    }
    result = {
        "model": arguments.model,
        "size": f"{WIDTH}x{HEIGHT}",
        "threads": arguments.threads,
        "seconds_per_frame": medians,
        "over_s2vd": {name: each / medians["S2VD"] for name, each in medians.items()},
        "psnr_to_eager": errors,
    }
    save("backends", result)


if __name__ == "__main__":
    main()
