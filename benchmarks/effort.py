"""What each effort of a network is worth live, and what it costs: `fast` on the bundled sample, neighbours of the past.

PSNR on Y against the clean clip, and seconds of one core for a frame on its way from planes to planes, the network's
share included; decoding and encoding come on top. Writes effort.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from results import ROOT, save

from streamderain.config import LiveConfig
from streamderain.engine.colour import add_rgb, to_rgb
from streamderain.engine.engine import Dials, Engine, load_network
from streamderain.evaluation.metrics import luma, psnr
from streamderain.frames import Effort, Frame, PixelLayout
from streamderain.live.run import for_live
from streamderain.media.images import read_clip

FRAMES = 40
WARM_UP = 4


def frames(pictures: torch.Tensor) -> Iterator[Frame]:
    """(N, 3, H, W) uint8 RGB as frames of 25 a second."""
    layout = PixelLayout(*pictures.shape[-2:], chroma="444", full_range=True)
    black = torch.zeros(1, layout.samples, dtype=torch.uint8)
    black[:, layout.height * layout.width :] = 128
    for number, picture in enumerate(pictures):
        yield Frame(add_rgb(black, picture[None] / 255, layout)[0], layout, number, Fraction(1, 25))


def measured(effort: Effort, engine: Engine, rainy: torch.Tensor, clean: torch.Tensor) -> dict[str, Any]:
    """One effort's score and cost."""
    scores, spent = [], 0.0
    for number, pair in enumerate(engine.run(frames(rainy))):
        if number == WARM_UP:
            spent = time.process_time()
        if number >= WARM_UP:
            derained = to_rgb(pair.clean.data[None], pair.clean.layout) * 255
            scores.append(psnr(luma(derained), luma(clean[number][None])))
    spent = time.process_time() - spent
    return {"effort": effort.value, "psnr": statistics.fmean(scores), "core_seconds": spent / (FRAMES - WARM_UP)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = LiveConfig(model=arguments.model, device="cpu")
    network = load_network(config)
    rainy, clean = (read_clip(ROOT / "samples" / f"rainy-temple{each}.mp4", FRAMES) for each in ("", "-clean"))
    efforts = []
    for effort in Effort:
        dials = Dials(1.0, 0.0, effort)
        engine = Engine(network, for_live(config, network.device), dials)
        engine.prepare(next(frames(rainy)), may_halve=True)
        efforts.append(measured(effort, engine, rainy, clean))
    size = f"{rainy.shape[-1]}x{rainy.shape[-2]}"
    save("effort", {"model": arguments.model, "size": size, "frames": FRAMES, "efforts": efforts})


if __name__ == "__main__":
    main()
