"""`streamderain evaluate`: what the measures say of networks, as a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamderain.cli.options import configured
from streamderain.config import DerainConfig

if TYPE_CHECKING:
    from rich.table import Table

    from streamderain.evaluation.evaluate import Score

MOST_ROWS = 12
"""A set with more pairs than this shows its mean alone."""


@configured(DerainConfig, "device", "backend", "precision", "memory", "batch", "neighbours", "blend", "strength")
def evaluate(
    rainy: Annotated[Path, typer.Argument(help="a video, a folder of pictures or videos, or a folder of sets")],
    clean: Annotated[Path | None, typer.Argument(help="the same without rain, under the same names")] = None,
    *,
    model: Annotated[list[str] | None, typer.Option(help="weights by name or file; may be repeated")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="only look at the first frames of videos")] = None,
    save: Annotated[Path | None, typer.Option("--json", help="also write the scores to this file")] = None,
    plot: Annotated[Path | None, typer.Option(help="a folder for a temporal profile of each video and method")] = None,
    still: Annotated[bool, typer.Option("--still", help="no CLEAN: a median over time stands in for it")] = False,
    config: DerainConfig,
) -> None:
    """Derain RAINY and score it against CLEAN: PSNR and SSIM on Y, of each model (all bundled ones where none
    is named), of doing nothing, and for videos of a median of three frames. Of videos also how they flicker.

    A folder alone is judged set by set: the folders in it that hold rainy/ and clean/, and videos NAME.mp4
    beside NAME-clean.mp4. With --still, RAINY is a video, or a folder of them, of a camera that hardly moves; up to
    100 frames of it are held in memory, and judged where nothing moves.
    """
    from rich.console import Console

    from streamderain.evaluation.evaluate import evaluate as evaluate_pairs
    from streamderain.evaluation.evaluate import write_json
    from streamderain.evaluation.methods import every_method
    from streamderain.evaluation.pairs import find_sets
    from streamderain.evaluation.still import evaluate_still, find_videos

    console = Console()
    judged = (
        partial(evaluate_still, find_videos(rainy, clean))
        if still
        else partial(evaluate_pairs, find_sets(rainy, clean))
    )
    methods = every_method(model or (), config)
    with console.status("evaluating") as status:

        def report(score: Score) -> None:
            status.update(f"{score.set}, {score.name}, {score.method}: {score.psnr:.2f} dB")

        scores = judged(methods, report, frames, plot)
    console.print(_score_table(scores, [method.name for method in methods]))
    if save:
        write_json(save, scores)


def _score_table(scores: list[Score], methods: list[str]) -> Table:
    """A row for each pair and the mean of its set; of large sets the mean alone."""
    from rich.table import Table

    from streamderain.evaluation.evaluate import MEAN, table

    shown = Table("set", "name", *methods, caption="PSNR in dB / SSIM, on Y; flicker in codes, tOF in px")
    for set_name, items in table(scores).items():
        for name, row in items.items():
            if name != MEAN and len(items) > MOST_ROWS:
                continue
            label = f"{MEAN} of {len(items) - 1}" if name == MEAN else name
            cells = (row[key].lines() if key in row else "-" for key in methods)
            shown.add_row(set_name, label, *cells, end_section=name == MEAN)
    return shown
