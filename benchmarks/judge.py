"""What the judge says of the bundled networks, and of a median of three frames: judge.json, one thread."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from results import DATA, FOLDER, save

from streamderain.evaluation.baselines import MedianOfThree
from streamderain.evaluation.judge.judge import judge
from streamderain.evaluation.judge.material import Material
from streamderain.evaluation.methods import bundled
from streamderain.frames import Network
from streamderain.networks.restorer import Restorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--model", nargs="*", default=(), help="networks to judge; by default all, and a median")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    networks: dict[str, Network] = {} if arguments.model else {"median": MedianOfThree(torch.device("cpu"))}
    networks |= {
        name: Restorer.load(name, "cpu", precision="float32") for name in dict.fromkeys(arguments.model or bundled())
    }
    material = Material.read(arguments.data / "train" / "clean", arguments.data / "clips" / "clean" / "pedestrians.mp4")
    found: dict[str, Any] = {}
    for name, network in networks.items():
        verdict = judge(network, material)
        found[name] = {**verdict.summary(), "cases": len(verdict.scores)}
        print(name, flush=True)
    save("judge", {"networks": found}, arguments.out, keep_others=bool(arguments.model))


if __name__ == "__main__":
    main()
