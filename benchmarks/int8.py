"""Makes the int8 form of weights, and has the judge say what that costs.

Calibrated on the held-out photos in training rain, and written beside the weights, or into --folder. The judge then
asks the network every case twice, in OpenVINO in float32 and in int8, all else the same. A loss is the float32 answer's
PSNR on Y less the int8 one's; the worst tenth of losses is of the cases that lose most. At most 0.1 dB may be lost in
the mean. Both calibrate and judge look at the held-out photos, in rain that is drawn apart;
--calibrate-on-learnt takes those that were learnt from instead.

Needs NNCF: pip install nncf. Writes int8.json.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from results import DATA, FOLDER, save

from streamderain.backends import quantised
from streamderain.evaluation.judge.judge import QUICK, judge
from streamderain.evaluation.judge.material import HELD_OUT_PHOTOS, Material
from streamderain.evaluation.judge.verdict import Verdict
from streamderain.media.images import list_images, read_image
from streamderain.networks import weights
from streamderain.networks.registry import runnable
from streamderain.networks.restorer import Restorer
from streamderain.training.quantising import codes_of_rain
from streamderain.training.quantising import quantised as made

ALLOWED_DB = 0.1


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
    parser.add_argument("--windows", type=int, default=24, help="to calibrate on")
    parser.add_argument("--calibrate-on-learnt", action="store_true")
    parser.add_argument("--folder", type=Path, help="for the int8 forms, and for int8.json")
    parser.add_argument("--quick", action="store_true", help="one case of seven")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    material = Material.read(arguments.photos, arguments.clip)
    photos = material.photos
    if arguments.calibrate_on_learnt:
        photos = [read_image(path) for path in list_images(arguments.photos)[:HELD_OUT_PHOTOS]]
    found: dict[str, dict[str, Any]] = {}
    for name in arguments.weights:
        file, network = weights.find(name), weights.load(name)
        path = quantised.place((arguments.folder or file.parent) / file.name)
        quantised.save(made(network, codes_of_rain(network, photos, arguments.windows)), network, path)
        given = replace(runnable(network), rounded=path)
        full, rounded = (
            judge(Restorer(given, "cpu", "openvino", precision), material, QUICK if arguments.quick else 1)
            for precision in ("float32", "int8")
        )
        lost = losses(full, rounded)
        found[file.stem] = {
            "bytes": path.stat().st_size,
            "dB_lost": lost,
            "allowed": lost["all rain"]["mean"] <= ALLOWED_DB and (rounded.passes_gate or not full.passes_gate),
            "lowest_dry_dB": {"float32": lowest_dry(full), "int8": lowest_dry(rounded)},
        }
    about = {"allowed_dB": ALLOWED_DB, "windows": arguments.windows, "quick": arguments.quick, "weights": found}
    save("int8", about, arguments.folder or FOLDER, keep_others=True)


if __name__ == "__main__":
    main()
