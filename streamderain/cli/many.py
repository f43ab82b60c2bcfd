"""Many files for `streamderain derain`: which they are, and the table at the end."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamderain.cli.progress import INTERRUPTED, Shown, at_work
from streamderain.config import DerainConfig
from streamderain.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from streamderain.batch.jobs import Job
    from streamderain.batch.many import Outcome

_STYLES = {"derained": "green", "skipped": "yellow", "failed": "red", "stopped": "red"}


def derain_listed(names: Sequence[str], list_file: str, config: DerainConfig, shown: Shown) -> None:
    """Derain the files that a list names, - for standard input, into the one folder of `names`."""
    from streamderain.batch.jobs import jobs_of, read_list

    if len(names) != 1:
        raise ConfigError(
            f"--list names the inputs, and {len(names)} names stand beside it; name one folder to write to"
        )
    try:
        lines = sys.stdin.readlines() if list_file == "-" else Path(list_file).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{list_file} cannot be read as a list of names: {error}") from error
    folder = _folder(names[0])
    _run_all(jobs_of(read_list(lines), folder), config, shown)


def derain_many_files(names: Sequence[str], config: DerainConfig, shown: Shown) -> None:
    """Derain all but the last of `names` into that folder."""
    from streamderain.batch.jobs import jobs_of

    folder = _folder(names[-1])
    _run_all(jobs_of(names[:-1], folder), config, shown)


def derain_watched(names: Sequence[str], config: DerainConfig, shown: Shown) -> None:
    """Derain what comes into the first folder of `names` into the second, until Ctrl-C."""
    from streamderain.batch.watch import watched

    if len(names) != 2 or not os.path.isdir(names[0]):
        raise ConfigError("--watch needs a folder that is there, and one to write to: streamderain --watch IN OUT")
    folder = _folder(names[1])
    if os.path.realpath(names[0]) == os.path.realpath(folder):
        raise ConfigError(f"{folder} is the folder that is watched; name another to write to")
    _run(watched(Path(names[0]), folder), config, shown)


def _folder(name: str) -> Path:
    from streamderain.batch.jobs import ENDINGS

    is_file = Path(name).suffix.lower() in ENDINGS and not name.endswith(("/", os.sep))
    if "://" in name or (not os.path.isdir(name) and (os.path.exists(name) or is_file)):
        raise ConfigError(f"{name} is no folder; several files go into one: name a folder to write to")
    return Path(name)


def _run_all(jobs: Sequence[Job], config: DerainConfig, shown: Shown) -> None:
    _run(jobs, config, shown, f" of {len(jobs)}")


def _run(jobs: Iterable[Job], config: DerainConfig, shown: Shown, of: str = "") -> None:
    from streamderain.batch.many import derain_many

    config.refuse(("compare", "report", "start", "end"), "{option} is for one file; leave it out")
    outcomes: list[Outcome] = []
    warnings: list[list[str]] = []
    began = time.monotonic()
    with at_work(shown) as (draw, found):

        def report(job: Job, progress: object) -> None:
            draw(progress, f"{len(outcomes) + 1}{of}: {job.source.name}")

        try:
            for outcome in derain_many(jobs, config, report):
                outcomes.append(outcome)
                warnings.append([*found])
                found.clear()
                _tell(outcome, shown, is_watch=not of)
        except KeyboardInterrupt:
            pass  # between two files: the way to end a watch
    _print(outcomes, warnings, time.monotonic() - began, shown)
    if any(outcome.result == "stopped" for outcome in outcomes):
        raise typer.Exit(INTERRUPTED)
    if any(outcome.result == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _tell(outcome: Outcome, shown: Shown, is_watch: bool) -> None:
    """What must not wait for the table, which may be hours away; of a watch all."""
    if outcome.result in ("failed", "stopped"):
        name = str(outcome.job.source)
        which = "" if outcome.said.startswith(name) else f"{name}: "
        print(f"streamderain: {which}{outcome.said}", file=sys.stderr, flush=True)
    elif outcome.result == "skipped" and shown.talks:
        print(f"streamderain: {outcome.said}", file=sys.stderr, flush=True)
    elif is_watch and shown.talks:
        print(f"{outcome.job.output}: {outcome.frames} frames in {outcome.seconds:.1f} s", flush=True)


def _print(outcomes: Sequence[Outcome], warnings: Sequence[list[str]], seconds: float, shown: Shown) -> None:
    counts = {result: sum(outcome.result == result for outcome in outcomes) for result in _STYLES}
    if shown.as_json:
        files = [
            {
                "input": str(outcome.job.source),
                "output": str(outcome.job.output),
                "result": outcome.result,
                "frames": outcome.frames,
                "seconds": outcome.seconds,
                "said": outcome.said,
                "warnings": warned,
            }
            for outcome, warned in zip(outcomes, warnings, strict=True)
        ]
        print(json.dumps({"files": files, **counts, "seconds": seconds}))
    elif not shown.quiet:
        _print_table(outcomes)
        words = ", ".join(f"{count} {result}" for result, count in counts.items() if count or result == "derained")
        print(f"{len(outcomes)} files in {seconds:.1f} s: {words}")


def _print_table(outcomes: Sequence[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for name in ("frames", "s", "fps"):
        table.add_column(name, justify="right")
    table.add_column("result", overflow="fold")
    for each in outcomes:
        pace = f"{each.frames / each.seconds:.2f}" if each.seconds else ""
        counts = (str(each.frames), f"{each.seconds:.1f}") if each.frames else ("", "")
        what = os.path.relpath(each.job.output) if each.result == "derained" else f"{each.result}: {each.said}"
        name = os.path.relpath(each.job.source)
        table.add_row(Text(name), *counts, pace, Text(what, style=_STYLES[each.result]))
    Console().print(table)
