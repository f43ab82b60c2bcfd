"""Makes the int8 trunk of weights, and has the judge say what that costs.

Calibrated on the held-out photos in training rain, and written beside the weights, or into --folder. The judge then
asks the network every case twice, with its trunk in OpenVINO in float32 and in int8, all else the same. A loss is the
float32 answer's PSNR on Y less the int8 one's; the worst tenth of losses is of the cases that lose most. At most
0.1 dB may be lost in the mean. Both calibrate and judge look at the held-out photos, in rain that is drawn apart;
--calibrate-on-learnt takes those that were learnt from instead.

Needs NNCF: pip install nncf. Writes int8.json.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from statistics import fmean
from typing import Any

import openvino
import torch
from results import DATA, save
from torch import Tensor

from streamderain.backends import quantised
from streamderain.backends.padding import padded
from streamderain.evaluation.judge.judge import QUICK, judge
from streamderain.evaluation.judge.material import HELD_OUT_PHOTOS, Material
from streamderain.evaluation.judge.verdict import Verdict
from streamderain.media.images import list_images, read_image
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.training.quantising import quantised as made
from streamderain.training.quantising import stems, trunk_of

ALLOWED_DB = 0.1


class Compiled:
    """A network whose trunk is an OpenVINO model, compiled for each size that comes; see frames.Network."""

    device = torch.device("cpu")

    def __init__(self, network: DRSformer, model: openvino.Model, core: openvino.Core) -> None:
        self.network, self.model, self.core = network, model, core
        self.past, self.future = network.variant.past, network.variant.future
        self._for_shape = functools.cache(self._compiled)

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        model = self.model.clone()
        model.reshape(list(shape))
        hints = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        return self.core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", **hints})

    def restore(self, windows: Tensor) -> Tensor:
        """See frames.Network."""
        return padded(self._forward, windows.flatten(1, 2), self.network.variant.size_multiple).clamp(0, 1)

    def _forward(self, frames: Tensor) -> Tensor:
        stem, choices = self.network.stem(frames)
        answer = self._for_shape(tuple(stem.shape))([stem.numpy()])[0]
        return self.network.joined(choices, torch.from_numpy(answer))


def losses(full: Verdict, rounded: Verdict) -> dict[str, dict[str, float]]:
    """In dB, of each group of cases and of all rain: the mean, and that of the tenth that loses most."""
    groups: dict[str, list[float]] = {}
    for before, after in zip(full.scores, rounded.scores, strict=True):
        lost = before.derained - after.derained
        groups.setdefault(f"{before.group}, {before.kind}", []).append(lost)
        if before.group not in ("dry", "look-alikes"):
            groups.setdefault("all rain", []).append(lost)
    return {
        name: {
            "cases": len(lost),
            "mean": round(fmean(lost), 4),
            "worst_tenth": round(fmean(sorted(lost, reverse=True)[: -(-len(lost) // 10)]), 4),
        }
        for name, lost in groups.items()
    }


def lowest_dry(verdict: Verdict) -> dict[str, float]:
    return {kind: round(harm.lowest, 1) for kind, harm in verdict.dry().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", help="by name or file")
    parser.add_argument("--photos", type=Path, default=DATA / "train" / "clean")
    parser.add_argument("--clip", type=Path, default=DATA / "clips" / "clean" / "pedestrians.mp4")
    parser.add_argument("--windows", type=int, default=48, help="to calibrate on")
    parser.add_argument("--calibrate-on-learnt", action="store_true")
    parser.add_argument("--folder", type=Path, help="for the int8 trunks, and for int8.json")
    parser.add_argument("--quick", action="store_true", help="one case of seven")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    core, material = openvino.Core(), Material.read(arguments.photos, arguments.clip)
    photos = material.photos
    if arguments.calibrate_on_learnt:
        photos = [read_image(path) for path in list_images(arguments.photos)[:HELD_OUT_PHOTOS]]
    found: dict[str, dict[str, Any]] = {}
    for name in arguments.weights:
        file, network = weights.find(name), weights.load(name)
        path = quantised.place((arguments.folder or file.parent) / file.name)
        quantised.save(made(network, stems(network, photos, arguments.windows)), network, path)
        full, rounded = (
            judge(Compiled(network, model, core), material, QUICK if arguments.quick else 1)
            for model in (trunk_of(network), quantised.load(path, network, core))
        )
        lost = losses(full, rounded)
        found[file.stem] = {
            "bytes": path.stat().st_size,
            "dB_lost": lost,
            "allowed": lost["all rain"]["mean"] <= ALLOWED_DB and (rounded.passes_gate or not full.passes_gate),
            "lowest_dry_dB": {"float32": lowest_dry(full), "int8": lowest_dry(rounded)},
        }
    about = {"allowed_dB": ALLOWED_DB, "windows": arguments.windows, "quick": arguments.quick, "weights": found}
    save("int8", about, *([arguments.folder] if arguments.folder else []))


if __name__ == "__main__":
    main()
