"""What the bundled networks do to material without rain: PSNR on Y of the output against the input.

Clean pictures, clean clips, and drawn scenes that look like rain. The aim is 42 dB or more.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from results import DATA, FOLDER, ROOT, save

from streamderain.config import DerainConfig
from streamderain.evaluation.dry_scenes import SCENES, panned
from streamderain.evaluation.evaluate import Score, evaluate, evaluate_clip
from streamderain.evaluation.methods import Method, networks
from streamderain.evaluation.pairs import Pair, PairSet
from streamderain.media.images import list_images

AIM_DB = 42
HELD_OUT_PHOTOS = 16
HELD_OUT_CLIP = "pedestrians"
"""As in configs/train-fast.yaml: what no network was trained on."""


@dataclass(frozen=True)
class Kind:
    """Dry files that share a row; `trained_on` says that networks saw them in training."""

    name: str
    files: Sequence[Path]
    trained_on: bool = False


def kinds(data: Path) -> Iterator[Kind]:
    """The dry files that are here."""
    for folder in sorted((data / "test").glob("*/clean")):
        yield Kind(f"{folder.parent.name}, clean pictures", list_images(folder))
    if (data / "train" / "clean").is_dir():
        yield Kind("photographs held out from training", list_images(data / "train" / "clean")[-HELD_OUT_PHOTOS:])
    for clip in sorted((data / "clips" / "clean").glob("*.mp4")):
        yield Kind(f"{clip.stem}, clean clip", [clip], clip.stem != HELD_OUT_CLIP)
    for clip in sorted((ROOT / "samples").glob("*-clean.mp4")):
        yield Kind(f"{clip.stem}, clean clip", [clip])


def scores_of(kind: Kind, methods: Sequence[Method], frames: int) -> list[Score]:
    """Every file against itself."""
    return evaluate(
        [PairSet(kind.name, tuple(Pair(path.name, path, path) for path in kind.files))], methods, frames=frames
    )


def drawn(methods: Sequence[Method]) -> Iterator[tuple[str, list[Score]]]:
    """Each scene as a still and as a clip."""
    for kind in SCENES:
        clip = panned(kind)
        for how, pictures in (("drawn still", clip[:1]), ("drawn, panning", clip)):
            yield f"{kind}, {how}", list(evaluate_clip(kind, how, pictures, pictures, methods))


def row(name: str, scores: Sequence[Score], trained_on: bool = False) -> tuple[str, dict[str, Any]]:
    """A row of the table and what it is of; None stands for a PSNR of equal pictures."""
    by_method: dict[str, list[float]] = {}
    for score in scores:
        by_method.setdefault(score.method, []).append(score.psnr)
    figures = {name: {"mean": _plain(fmean(psnrs)), "lowest": _plain(min(psnrs))} for name, psnrs in by_method.items()}
    print(name, figures, flush=True)
    items = len(scores) // len(by_method)
    return name, {"items": items, "trained_on": trained_on, "psnr": figures}


def _plain(psnr: float) -> float | None:
    return psnr if math.isfinite(psnr) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--frames", type=int, default=24, help="only look at the first frames of clips")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--model", nargs="*", default=(), help="networks to look at; by default all bundled ones")
    arguments = parser.parse_args()
    methods = networks(arguments.model, DerainConfig())
    rows = dict(
        row(kind.name, scores_of(kind, methods, arguments.frames), kind.trained_on) for kind in kinds(arguments.data)
    )
    rows |= dict(row(name, scores) for name, scores in drawn(methods))
    result = {"aim_db": AIM_DB, "frames": arguments.frames, "models": [method.name for method in methods], "rows": rows}
    save("harm", result, arguments.out, keep_others=bool(arguments.model))


if __name__ == "__main__":
    main()
