"""Writes benchmarks/temporal.md from temporal.json and blending.json."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quality_page import rows
from results import FOLDER, load

HEAD = """# Neighbouring frames

Generated from the JSON files beside it by `make temporal`. What the figures mean, and what was decided by them, is in
[docs/time.md](../docs/time.md).

Means over six clips, {frames} frames of each, in light, medium and heavy rain (seeds of each: {seeds}). PSNR on Y in
dB, of the picture and of what moves by itself; flicker is the warping error, in codes of Y, beyond the clean clip's;
tOF in pixels.
"""
COLUMNS = (
    ("psnr", "PSNR", ".2f"),
    ("moving", "of what moves", ".2f"),
    ("flicker", "flicker", ".2f"),
    ("tof", "tOF", ".3f"),
)


def _means(result: dict[str, Any]) -> list[list[str]]:
    table = [["", *(title for _, title, _ in COLUMNS)]]
    for way, found in result["all"].items():
        table.append([way, *(format(found[key], form) for key, _, form in COLUMNS)])
    return table


def _psnrs(result: dict[str, Any]) -> list[list[str]]:
    parts = {**result["by_rain"], **result["by_clip"]}
    table = [["PSNR", *parts]]
    for way in result["ways"]:
        table.append([way, *(f"{part[way]['psnr']:.2f}" for part in parts.values())])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    result, cost = load("temporal", folder), load("blending", folder)
    shares = ", ".join(f"{way} {share:.2f}" for way, share in cost["over_without"].items() if way != "without")
    lines = [
        HEAD.format(**result),
        *rows(_means(result)),
        "",
        *rows(_psnrs(result)),
        "",
        f"Frames per second of `{cost['model']}` at {cost['size']} on {cost['threads']} threads, over those without "
        f"blending ({cost['frames_per_second']['without']:.2f}): {shares}.",
        "",
        f"Machine: {result['machine']['processor']}.",
    ]
    (folder / "temporal.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
