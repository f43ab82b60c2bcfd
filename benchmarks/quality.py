"""PSNR and SSIM of the bundled network on the sample and, where ../shared/data is, on its test pairs."""

from __future__ import annotations

from pathlib import Path

from results import FOLDER, save

from streamderain.config import DerainConfig
from streamderain.evaluation.evaluate import evaluate, mean

ROOT = FOLDER.parent
TEST = ROOT.parent / "shared" / "data" / "test"
SETS = ("rain100l", "rain100h", "rain200l", "rain200h")


def main() -> None:
    pairs: dict[str, tuple[Path, Path]] = {
        clean.name.replace("-clean.mp4", ""): (clean.with_name(clean.name.replace("-clean", "")), clean)
        for clean in sorted((ROOT / "samples").glob("*-clean.mp4"))
    }
    pairs |= {name: (TEST / name / "rainy", TEST / name / "clean") for name in SETS if (TEST / name).is_dir()}
    sets = {}
    for name, (rainy, clean) in pairs.items():
        scores = evaluate(rainy, clean, DerainConfig())
        sets[name] = {"items": len(scores), **mean(scores)}
        print(name, sets[name], flush=True)
    save("quality", {"model": "fast", "sets": sets})


if __name__ == "__main__":
    main()
