"""The training log as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from streamderain.errors import TrainingError

PANELS = {"loss": ("loss",), "gain in dB": ("still_gain", "moving_gain"), "dry, PSNR in dB": ("dry",)}
"""What is drawn above each other: the label of an axis, and the columns of the log along it."""


def draw_log(log: Path, picture: Path) -> None:
    """Draw log.csv over its steps into `picture`, whose ending says the format.

    Raises TrainingError where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError(
            "a plot needs matplotlib; try: pip install 'streamderain[plot]', or leave --plot out"
        ) from error
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(8, 9), layout="constrained")
    for axes, (label, columns) in zip(figure.subplots(len(PANELS), sharex=True), PANELS.items(), strict=True):
        for column in columns:
            points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
            axes.plot(*zip(*points, strict=True) if points else ((), ()), marker=".", label=column)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    axes.set_xlabel("step")
    figure.savefig(picture)
