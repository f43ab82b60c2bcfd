"""PSNR and SSIM of the bundled networks, of doing nothing and of a median of three frames.

On the sample, and where ../shared/data is, on its test sets and on a clip that no network was trained on, in
light, medium and heavy rain that this script draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from rainy_clips import RAINS, rained_on
from results import DATA, FOLDER, ROOT, save

from streamderain.config import DerainConfig
from streamderain.evaluation.evaluate import Score, as_json, evaluate, evaluate_clip
from streamderain.evaluation.methods import Method, every_method
from streamderain.evaluation.pairs import find_sets
from streamderain.media.images import read_clip

HELD_OUT = "clips/clean/pedestrians.mp4"
HELD_OUT_FRAME_RATE = 10


def drawn(clip: Path, frames: int, methods: Sequence[Method]) -> Iterator[Score]:
    """Scores on the first frames of a clean clip in each of the rains."""
    clean = read_clip(clip, frames)
    for name, rain in RAINS.items():
        rainy = rained_on(clean, rain, HELD_OUT_FRAME_RATE)
        yield from evaluate_clip(f"{clip.stem}, {name} rain", clip.name, rainy, clean, methods)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--frames", type=int, help="only look at the first frames of the sample")
    parser.add_argument("--held-out-frames", type=int, default=24)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--model", nargs="*", default=(), help="networks to score; by default all bundled ones")
    arguments = parser.parse_args()
    methods = every_method(arguments.model, DerainConfig())
    folders = [ROOT / "samples", arguments.data / "test"]
    sets = [found for folder in folders if folder.is_dir() for found in find_sets(folder)]
    scores = evaluate(sets, methods, lambda score: print(score, flush=True), arguments.frames)
    if (arguments.data / HELD_OUT).is_file():
        scores += drawn(arguments.data / HELD_OUT, arguments.held_out_frames, methods)
    means = {name: {"items": len(found["items"]), "mean": found["mean"]} for name, found in as_json(scores).items()}
    result = {"methods": [method.name for method in methods], "sets": means}
    save("quality", result, arguments.out, keep_others=bool(arguments.model))


if __name__ == "__main__":
    main()
