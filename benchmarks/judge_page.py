"""Writes the figures of judge.json into docs/judge.md, between its BENCHMARKS marks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quality_page import rows
from results import FOLDER, ROOT, load

PAGE = ROOT / "docs" / "judge.md"
BEGIN, END = "<!-- BENCHMARKS -->", "<!-- /BENCHMARKS -->"

Networks = Mapping[str, Mapping[str, Any]]


def gains(networks: Networks) -> Iterator[Sequence[str]]:
    """Groups of rain downwards, networks across."""
    first = next(iter(networks.values()))["gains"]
    yield "gain in dB: mean / worst tenth", "untouched", *networks
    for name, found in first.items():
        cells = (network["gains"][name] for network in networks.values())
        yield (
            f"{name} ({found['cases']})",
            f"{found['untouched']:.1f} dB",
            *(f"{cell['mean']:+.2f} / {cell['worst_tenth']:+.2f}" for cell in cells),
        )


def axes(networks: Networks) -> Iterator[Sequence[str]]:
    """The grid's axes, value by value."""
    first = next(iter(networks.values()))["axes"]
    yield "mean gain in dB: still / moving", *networks
    for axis, values in first.items():
        for value in values:
            cells = (network["axes"][axis][value] for network in networks.values())
            yield f"{axis} {value}", *(f"{cell['still']:+.2f} / {cell['moving']:+.2f}" for cell in cells)


def harm(networks: Networks) -> Iterator[Sequence[str]]:
    """Dry material, then what looks like rain."""
    first = next(iter(networks.values()))
    yield "output against input", *networks
    for kind, found in first["dry"].items():
        cells = (network["dry"][kind] for network in networks.values())
        yield (
            f"dry, {kind} ({found['cases']}): mean / lowest",
            *(f"{cell['mean']:.1f} / {cell['lowest']:.1f} dB" for cell in cells),
        )
    yield "gate of 42 dB", *("holds" if network["passes_gate"] else "**fails**" for network in networks.values())
    for scene in first["look_alikes"]:
        cells = (network["look_alikes"][scene] for network in networks.values())
        yield f"{scene}: still / moving", *(f"{cell['still']:.1f} / {cell['moving']:.1f} dB" for cell in cells)


def text(result: Mapping[str, Any]) -> str:
    """The part of the page between the marks, which it begins and ends with."""
    networks: Networks = result["networks"]
    first = next(iter(networks.values()))
    lines = [
        BEGIN,
        *rows(gains(networks)),
        "",
        *rows(axes(networks)),
        "",
        *rows(harm(networks)),
        "",
        f"{first['cases']} windows, judge version {first['version']}. Machine: {result['machine']['processor']}.",
        END,
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    found, page = text(load("judge", arguments.folder)), arguments.page.read_text()
    arguments.page.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: found, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
