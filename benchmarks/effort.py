"""What each effort of a network is worth live, and what it costs: `fast` on the bundled sample, neighbours of the past.

PSNR on Y against the clean clip, and seconds of one core for a frame on its way from planes to planes, the network's
share included; decoding and encoding come on top. Writes effort.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from results import ROOT, save
from through import live, picture
from torch import Tensor

from streamderain.config import LiveConfig
from streamderain.engine.engine import load_network
from streamderain.evaluation.metrics import luma, psnr
from streamderain.frames import Effort, Network
from streamderain.media.images import read_clip

FRAMES = 40
WARM_UP = 4


def measured(effort: Effort, network: Network, rainy: Tensor, clean: Tensor) -> dict[str, Any]:
    """One effort's score and cost."""
    scores, began = [], 0.0
    for number, pair in enumerate(live(network, rainy, 25, effort)):
        if number == WARM_UP:
            began = time.process_time()
        scores.append(psnr(luma(picture(pair.clean)[None]), luma(clean[number][None])))
    seconds = (time.process_time() - began) / (FRAMES - WARM_UP)
    return {"effort": effort.value, "psnr": statistics.fmean(scores[WARM_UP:]), "core_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    model = parser.parse_args().model
    torch.set_num_threads(1)
    network = load_network(LiveConfig(model=model, device="cpu"))
    rainy, clean = (read_clip(ROOT / "samples" / f"rainy-temple{each}.mp4", FRAMES) for each in ("", "-clean"))
    efforts = [measured(effort, network, rainy, clean) for effort in Effort]
    size = f"{rainy.shape[-1]}x{rainy.shape[-2]}"
    save("effort", {"model": model, "size": size, "frames": FRAMES, "efforts": efforts})


if __name__ == "__main__":
    main()
