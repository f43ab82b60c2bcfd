"""`streamderain profile`: what this machine can do, as tables, JSON, a plot, and settings."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamderain.cli.options import configured
from streamderain.cli.progress import bar
from streamderain.config import DerainConfig
from streamderain.folders import settings_file

if TYPE_CHECKING:
    from rich.table import Table

    from streamderain.profiling.rows import Profile, Row

_SHARED = ("device", "memory", "neighbours", "blend", "encoder", "crf", "preset", "hwaccel")


@configured(DerainConfig, *_SHARED)
def profile(
    *,
    resolution: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT; may be repeated  [default: 426x240 to 3840x2160]")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="weights by name or file; may be repeated, the better first")
    ] = None,
    backend: Annotated[list[str] | None, typer.Option(help="what runs the network; may be repeated")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="what it computes in; may be repeated")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="frames at once; may be repeated")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A minute at most: fewer sizes, less care.")] = False,
    at_most: Annotated[
        float | None, typer.Option(help="seconds for a size; slower ones are estimated  [default: 120]", min=1)
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="also write all figures to this file")] = None,
    plot: Annotated[Path | None, typer.Option(help="also draw frames per second to this .png, .svg or .html")] = None,
    save: Annotated[bool, typer.Option("--save", help="Let `derain` use the settings found best from now on.")] = False,
    config: DerainConfig,
) -> None:
    """Measure which resolution this machine derains how fast, and whether that is live. See docs/profile.md.

    Of --model, --backend, --precision and --batch, each combination is measured.
    """
    from rich.console import Console

    from streamderain.profiling.plot import check_plot, draw
    from streamderain.profiling.profile import QUICK_SIZES, SIZES
    from streamderain.profiling.profile import profile as profiled
    from streamderain.profiling.rows import Setup, Size
    from streamderain.profiling.settings import best_settings, save_settings
    from streamderain.profiling.verdict import summary, verdict, write_json

    if plot:
        check_plot(plot)
    sizes = [Size.parse(text) for text in resolution or (QUICK_SIZES if quick else SIZES)]
    asked = (model or [config.model], backend or [config.backend], precision or [config.precision])
    setups = [Setup(*each) for each in product(*asked, batch or [config.batch])]
    with _progress_bar(shown=sys.stderr.isatty()) as report:
        found = profiled(setups, sizes, config, quick, at_most, report)
    console = Console()
    console.print(_throughput(found))
    if found.measured:
        console.print(_latency(found))
    print(f"Measured on {found.device}: {found.machine['processor']}; GPU: {found.machine['cuda']}.")
    for row in found.rows:
        about = ", ".join(f"{name} {getattr(row.setup, name)}" for name in found.varying)
        print(f"{verdict(row, found)} ({about})" if about else verdict(row, found))
    print(summary(found))
    if as_json:
        write_json(as_json, found)
    if plot:
        draw(found, plot)
    if save and (best := best_settings(found)):
        save_settings(settings_file(), best)
        print(f"{', '.join(f'{key} {value}' for key, value in best.items())}: saved in {settings_file()}")


def _throughput(found: Profile) -> Table:
    """A row for each size and setup."""
    from streamderain.profiling.rows import Skipped
    from streamderain.profiling.verdict import highest_rate

    table = _table(found, "fps", "network alone", "live at", "memory", "GPU memory", "PSNR")
    table.title = ", ".join(f"{name} {value}" for name, value in vars(found.setups[0]).items()
                            if name not in found.varying)  # fmt: skip
    for row in found.rows:
        if isinstance(row, Skipped):
            guess = f"~{row.expected_fps:.2g}" if row.expected_fps else "-"
            table.add_row(*_about(row, found), guess, "-", "skipped", "-", "-", "-", style="dim")
            continue
        rate = highest_rate(row)
        table.add_row(
            *_about(row, found),
            f"{row.fps:.2f}",
            f"{row.network_fps:.2f}",
            f"{rate} fps" if rate else "no",
            _mebibytes(row.peak_memory_mib),
            _mebibytes(row.peak_gpu_mib),
            _decibels(found.psnr.get(row.setup)),
        )
    return table


def _latency(found: Profile) -> Table:
    """Three lines for each size and setup that was measured, a column for each station."""
    from streamderain.profiling.rows import STATIONS, Latency

    table = _table(found, "ms", *STATIONS)
    for row in found.measured:
        figures = ("\n".join(map(_short, row.latency[name])) for name in STATIONS)
        table.add_row(*_about(row, found), "\n".join(Latency._fields), *figures, end_section=True)
    return table


def _table(found: Profile, *columns: str) -> Table:
    """An empty table, narrow enough for a small terminal, whose first columns say which row is which."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    for name in ("resolution", *found.varying):
        table.add_column(name, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _about(row: Row, found: Profile) -> list[str]:
    return [str(row.size), *(str(getattr(row.setup, name)) for name in found.varying)]


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def _mebibytes(memory: float | None) -> str:
    return "-" if memory is None else f"{memory:.0f} MiB"


def _decibels(psnr: float | None) -> str:
    if psnr is None:
        return "-"
    return "equal" if math.isinf(psnr) else f"{psnr:.1f} dB"


@contextmanager
def _progress_bar(shown: bool) -> Iterator[Callable[[float, str], None]]:
    """What draws the share, 0 to 1, that it is called with on stderr, or nothing where it is not `shown`."""
    from rich.progress import BarColumn, TimeElapsedColumn

    with bar(shown, BarColumn(), TimeElapsedColumn(), "{task.description}", total=1.0, transient=True) as update:
        yield lambda share, text: update(completed=share, description=text)
