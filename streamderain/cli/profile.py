"""`streamderain profile`: what this machine can do, as a table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from streamderain.cli.options import configured
from streamderain.config import DerainConfig


@configured(DerainConfig, "model", "device", "backend", "precision", "memory", "batch", "neighbours", "blend")
def profile(
    *,
    resolution: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT; may be repeated")] = None,
    frames: Annotated[int, typer.Option(min=2, help="frames to measure at each resolution")] = 8,
    save: Annotated[Path | None, typer.Option("--json", help="also write the figures to this file")] = None,
    config: DerainConfig,
) -> None:
    """Measure which resolution this machine derains how fast."""
    from rich.console import Console
    from rich.table import Table

    from streamderain.profiling import RESOLUTIONS
    from streamderain.profiling import profile as profiled

    table = Table("resolution", "fps", "network fps", "peak memory", "verdict")
    measured = []
    console = Console()
    with console.status("measuring"):
        for row in profiled(tuple(resolution or RESOLUTIONS), config, frames):
            measured.append(dataclasses.asdict(row) | {"verdict": row.verdict()})
            memory = f"{row.peak_memory_mib:.0f} MiB"
            table.add_row(row.resolution, f"{row.fps:.2f}", f"{row.network_fps:.2f}", memory, row.verdict())
    console.print(table)
    if save:
        save.write_text(json.dumps(measured, indent=2) + "\n")
