"""Two checkouts of streamderain derain the same video, in turns; JSON with the ratios of their frame rates, of the
processor time that they take, and of their most memory.

    python benchmarks/against.py ../before . --video samples/rainy-temple.mp4 --clean samples/rainy-temple-clean.mp4

Each run is a process of its own, so start-up and encoding count. What else the machine does meets both alike, as they
take turns; the best of the rounds counts. Where others keep the cores busy, processor time is what can be compared.
Runs that warm caches are not counted.
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
from typing import Any, NamedTuple

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
    """What both took, the ratios of the best of it, and the PSNR of both on Y where there is a clean video."""
    sides = {"before": asked.before.resolve(), "after": asked.after.resolve()}
    taken: dict[str, list[Taken]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {name: Path(folder) / f"{name}.mp4" for name in sides}
        for number in range(asked.rounds + 1):
            for name, checkout in sides.items():
                took = _taken(checkout, asked, outputs[name])
                if number:
                    taken[name].append(took)
        quality = {name: round(_psnr(path, asked.clean), 3) for name, path in outputs.items()} if asked.clean else {}
    measured = {
        what: {name: [round(getattr(each, what), 2) for each in runs] for name, runs in taken.items()}
        for what in Taken._fields
    }
    ratios = {what: round(min(each["before"]) / min(each["after"]), 2) for what, each in measured.items()}
    return {
        "video": asked.video.name,
        "options": asked.options,
        "threads": asked.threads,
        **measured,
        "ratios": ratios,
        **({"psnr": quality} if quality else {}),
    }


class Taken(NamedTuple):
    """What a run took, by the clock and of all processors, and its most memory at a time."""

    seconds: float
    processor_seconds: float
    gibibytes: float


def _taken(checkout: Path, asked: argparse.Namespace, output: Path) -> Taken:
    command = [sys.executable, "-m", "streamderain", str(asked.video.resolve()), str(output), "--overwrite", "--model",
               "fast", *asked.options]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(asked.threads)}
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(command, cwd=checkout, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        if run.returncode:
            said.seek(0)
            raise SystemExit(f"{checkout.name}: {said.read().strip()}")
    return Taken(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


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
