"""`streamderain rain`, `streamderain train`, `streamderain campaign`: how weights come to be."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from streamderain.cli.options import configured
from streamderain.cli.progress import Shown, progress_bar
from streamderain.config import RainConfig, TrainConfig, read_sets


@configured(RainConfig)
def rain(
    clean: Annotated[Path, typer.Argument(help="a video, a picture or a folder of pictures")],
    rainy: Annotated[Path, typer.Argument(help="what to write, of the same kind")],
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    config: RainConfig,
) -> None:
    """Let it rain on CLEAN, into RAINY: the same rain for the same settings.

    The camera adds noise and compresses RAINY. For a pair that differs by the rain alone, write both halves, the
    clean one with --rate 0; or write RAINY with --crf 0 --noise 0.
    """
    from streamderain.training.rainmaker import make_rainy

    with progress_bar(Shown(quiet, as_json=False).has_bar) as report:
        done = make_rainy(clean, rainy, config, report)
    if not quiet:
        print(f"{rainy}: {done.frames} frames in {done.seconds:.1f} s, {done.frames_per_second:.2f} fps")


def _print_row(row: Mapping[str, float | str]) -> None:
    shown = (f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}" for name, value in row.items())
    print("  ".join(shown), flush=True)


@configured(TrainConfig)
def train(*, config: TrainConfig) -> None:
    """Train a network; a run that was stopped goes on from its last checkpoint."""
    from streamderain.training.trainer import train as train_network

    logging.getLogger("streamderain").setLevel(logging.INFO)
    print(f"weights are in {train_network(config, _print_row)}")


def campaign(
    plan: Annotated[Path, typer.Argument(help="a YAML file: folder, settings for all, and stages with their own")],
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="a setting for all stages, key=value; may be repeated")
    ] = None,
) -> None:
    """Train the stages of PLAN one after the other; what was stopped goes on from its last checkpoint."""
    from streamderain.evaluation.judge.material import Material
    from streamderain.training.campaign import read_plan, run_campaign
    from streamderain.training.rest import Rest

    logging.getLogger("streamderain").setLevel(logging.INFO)
    stages = read_plan(plan, read_sets(tuple(sets or ())))
    common = stages[0].config
    judged_on = Material.read(common.photos, common.held_out_clip, common.held_out_photos)
    with Rest() as rest:
        run_campaign(stages, lambda stage, row: _print_row({"stage": stage, **row}), rest, judged_on)
