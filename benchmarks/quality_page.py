"""Writes benchmarks/quality.md from quality.json, harm.json and real.json."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results import FOLDER, load

Result = Mapping[str, Any]

INTRODUCTION = """# Quality

Generated from the JSON files beside it by `make quality`. Nothing here is set by hand.

## Rainy pairs

PSNR / SSIM on Y against the clean version; in brackets how many pictures or videos. `nothing` is the input, `median`
that of three frames, for videos. None of these pairs was trained on. The rain on `pedestrians` is drawn by this
project, like the sample's, and of the kind that the networks were trained with.
"""

HARM = """
## Do no harm

PSNR on Y of the output against the input where no rain is; of clips, the first {frames} frames. The aim is {aim_db} dB
or more; **bold** is what misses it.
"""

REAL = """
## Real rain

Without a clean version: the mean difference of colour between input and output (CIE76, where 1 is about what an eye
sees at best) over the pixels that are dry and still, that is, within three codes of their median over nine frames;
the mean change of luma from frame to frame in codes; and the most by which the output's change leaves the input's.
Rain comes and goes, so the input is not steady either.
"""


def rows(cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown; the first row is its head."""
    for number, row in enumerate(cells):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield "|---" * len(row) + "|"


def decibels(psnr: float | None) -> str:
    """A PSNR as text; None is that of equal pictures."""
    return "equal" if psnr is None else f"{psnr:.2f} dB"


def quality(result: Result) -> Iterator[Sequence[str]]:
    """Sets downwards, methods across."""
    methods = result["methods"]
    yield "pairs", *methods
    for name, found in result["sets"].items():
        mean = found["mean"]
        cells = (f"{decibels(mean[key]['psnr'])} / {mean[key]['ssim']:.3f}" if key in mean else "-" for key in methods)
        yield f"{name} ({found['items']})", *cells


def harm(result: Result) -> Iterator[Sequence[str]]:
    """Kinds of dry material downwards, networks across; what is under the aim is set in bold."""
    models = result["models"]
    yield "dry material", *models
    for kind, row in result["rows"].items():
        name = f"{kind} ({row['items']})" + (", trained on" if row["trained_on"] else "")
        yield name, *(_judged(row["psnr"][model], row["items"], result["aim_db"]) for model in models)


def _judged(psnr: Result, items: int, aim: float) -> str:
    text = decibels(psnr["mean"])
    if psnr["mean"] is not None and psnr["mean"] < aim:
        text = f"**{text}**"
    return text if items == 1 else f"{text}, lowest {decibels(psnr['lowest'])}"


def real(result: Result) -> Iterator[Sequence[str]]:
    """A row for each clip and network."""
    yield (
        "clip",
        "network",
        "CIE76 where dry",
        "dry share",
        "change of brightness, input",
        "output",
        "most pumping",
    )
    for clip, models in result["clips"].items():
        for model, found in models.items():
            yield (
                f"{clip} ({found['frames']} frames)",
                model,
                f"{found['dry_lab']:.2f}",
                f"{found['dry_share'] * 100:.0f}%",
                f"{found['input_change']:.2f}",
                f"{found['output_change']:.2f}",
                f"{found['most_pumping']:.2f}",
            )


def page(folder: Path) -> str:
    """The whole page, of those results that are in `folder`."""
    pairs = load("quality", folder)
    parts = [INTRODUCTION, *rows(quality(pairs))]
    if (folder / "harm.json").is_file():
        result = load("harm", folder)
        parts += [HARM.format_map(result), *rows(harm(result))]
    if (folder / "real.json").is_file():
        parts += [REAL, *rows(real(load("real", folder)))]
    return "\n".join([*parts, "", f"Machine: {pairs['machine']['processor']}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results are and the page goes")
    folder: Path = parser.parse_args().folder
    (folder / "quality.md").write_text(page(folder))


if __name__ == "__main__":
    main()
