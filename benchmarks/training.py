"""How many samples a second training learns from, against an earlier commit: both in turn, on the same machine.

Each trains the network of its own configs/train-fast.yaml with one thread, while one process renders. Samples count by
their pixels, as those of 96 by 96.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from results import DATA, ROOT, save

BEFORE = "a2779e3"
SAMPLE_PIXELS = 96 * 96

THEN = """
from streamderain.training.trainer import _divided
trainer = Trainer(config, *_divided(config))
def step(batches=trainer._batches()):
    rainy, clean = next(batches)
    trainer._learn(rainy, clean)
    return clean.shape[0] * clean.shape[-1] * clean.shape[-2]
"""
NOW = """
from streamderain.training.cache import Batch
trainer = Trainer.prepared(config)
def step(batches=trainer._cache.batches(0)):
    batch = Batch.of(next(batches))
    trainer._learn(batch)
    return batch.clean.shape[0] * batch.clean.shape[-1] * batch.clean.shape[-2]
"""
STEPS = """
import dataclasses, json, sys, time, torch
torch.set_num_threads(1)
from streamderain.config import TrainConfig, build
from streamderain.training.trainer import Trainer
folder, warm_up, steps, data = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
clips = f"{data}/clips/clean"
paths = dict(photos=f"{data}/train/clean", pairs=f"{data}/train/pairs", clips=(f"{clips}/dashcam.mp4",),
             held_out_clip=f"{clips}/pedestrians.mp4")
known = [each.name for each in dataclasses.fields(TrainConfig)]
config = build(TrainConfig, "train-fast", folder=folder, workers=1, held_out_samples=1,
               **{name: path for name, path in paths.items() if name in known})
{body}
for _ in range(warm_up):
    step()
began = time.monotonic()
pixels = sum(step() for _ in range(steps))
print(json.dumps(dict(pixels=pixels, seconds=time.monotonic() - began)))
"""


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """The tree at `revision`, in a folder that goes again."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, revision], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def samples_per_second(tree: Path, body: str, steps: int) -> float:
    """Of the training of one checkout."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-c", STEPS.replace("{body}", body), folder, "6", str(steps), str(DATA)],
            cwd=tree, env={"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result["pixels"] / SAMPLE_PIXELS / result["seconds"]


def measured(rounds: int, steps: int) -> dict[str, Any]:
    """Both in turn, `rounds` times."""
    before, now = [], []
    with checkout(BEFORE) as tree:
        for _ in range(rounds):
            before.append(samples_per_second(tree, THEN, steps))
            now.append(samples_per_second(ROOT, NOW, steps))
    ratios = [after / earlier for earlier, after in zip(before, now, strict=True)]
    return {
        "against": BEFORE,
        "samples_per_second": {"before": before, "now": now},
        "ratios": ratios,
        "ratio": median(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    save("training", measured(arguments.rounds, arguments.steps))


if __name__ == "__main__":
    main()
