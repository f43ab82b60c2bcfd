"""Two checkouts of streamderain derain the same video, in turns; JSON with the ratio of their frame rates.

    python benchmarks/against.py ../before . --video samples/rainy-temple.mp4 --clean samples/rainy-temple-clean.mp4

Each run is a process of its own, so start-up and encoding count. What else the
machine does meets both alike, as they take turns; the best of the rounds counts. Runs that warm caches are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from streamderain.evaluation.evaluate import upright
from streamderain.evaluation.metrics import luma, psnr
from streamderain.media.decoder import decode
from streamderain.media.source import open_source


def main() -> None:
    """Print, and write with --out, what both took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--video", type=Path, default=Path("samples/rainy-temple.mp4"))
    parser.add_argument("--clean", type=Path, help="the same video without rain, for a PSNR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("options", nargs="*", help="behind --, for both: -- --blend 0")
    asked = parser.parse_args()
    found = compared(asked)
    text = json.dumps(found, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


def compared(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of both, the ratio of their best rates, and the PSNR of both on Y where there is a clean video."""
    sides = {"before": asked.before.resolve(), "after": asked.after.resolve()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {name: Path(folder) / f"{name}.mp4" for name in sides}
        for number in range(asked.rounds + 1):
            for name, checkout in sides.items():
                took = _seconds(checkout, asked, outputs[name])
                if number:
                    seconds[name].append(round(took, 2))
        quality = {name: round(_psnr(path, asked.clean), 3) for name, path in outputs.items()} if asked.clean else {}
    best = {name: min(each) for name, each in seconds.items()}
    return {
        "video": asked.video.name,
        "options": asked.options,
        "threads": asked.threads,
        "seconds": seconds,
        "ratio": round(best["before"] / best["after"], 2),
        **({"psnr": quality} if quality else {}),
    }


def _seconds(checkout: Path, asked: argparse.Namespace, output: Path) -> float:
    command = [sys.executable, "-m", "streamderain", str(asked.video.resolve()), str(output), "--overwrite", "--model",
               "fast", *asked.options]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(asked.threads)}
    began = time.perf_counter()
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{checkout.name}: {run.stderr.strip()}")
    return time.perf_counter() - began


def _psnr(derained: Path, clean: Path) -> float:
    """Mean over the frames, in dB."""
    with open_source(derained) as ours, open_source(clean) as reference:
        reference.drop_passengers()
        ours.drop_passengers()
        pairs = zip(decode(ours), decode(reference), strict=True)
        found = [psnr(*(luma(upright(frame)) for frame in pair)) for pair in pairs]
    return float(torch.tensor(found).mean())


if __name__ == "__main__":
    main()
