"""`streamderain batch`: an archive over many workers, and the table at the end."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from streamderain.batch.spread.config import BatchConfig
from streamderain.cli.options import configured
from streamderain.cli.progress import INTERRUPTED, Shown, bar

if TYPE_CHECKING:
    from streamderain.batch.spread.driver import Outcome, Standing

logger = logging.getLogger(__name__)

_COLOUR, _LONGEST = re.compile(r"\x1b\[[\d;]*m"), 200


@configured(BatchConfig, with_saved=True)
def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(help="files, folders, globs, URLs such as s3://bucket/folder, manifests (.csv, .jsonl)"),
    ],
    *,
    out: Annotated[str, typer.Option(help="The folder, or the URL of one, to write to.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, nothing else.")] = False,
    config: BatchConfig,
) -> None:
    """Derain an archive by many workers: INPUTS are cut into parts, which Ray runs wherever there is room.

    The same command again goes on from where it was.
    """
    from streamderain.batch.spread.archive import derain_archive

    shown, began = Shown(quiet, as_json), time.monotonic()
    outcomes: list[Outcome] = []
    is_stopped, stdout = False, sys.stdout
    with _bar(shown.has_bar) as report, redirect_stdout(_Brief()):
        try:
            for outcome in derain_archive(inputs, out, config, report):
                outcomes.append(outcome)
                _tell(outcome, shown, stdout)
        except KeyboardInterrupt:
            is_stopped = True
    _print(outcomes, time.monotonic() - began, shown)
    if is_stopped:
        print("streamderain: stopped; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if any(outcome.result == "failed" for outcome in outcomes):
        raise typer.Exit(1)


class _Brief(io.TextIOBase):
    """Stdout for Ray, which prints there what died, with pages of its state: of each the first line, as a warning."""

    def write(self, text: str) -> int:
        line = _COLOUR.sub("", text).strip().partition("\n")[0]
        if line:
            logger.warning("%s", line[:_LONGEST])
        return len(text)


def _tell(outcome: Outcome, shown: Shown, stdout: TextIO) -> None:
    """What must not wait for the end, which may be days away."""
    name = outcome.item.name
    if outcome.said:
        print(f"streamderain: {name}: {outcome.said}", file=sys.stderr, flush=True)
    if not shown.talks:
        return
    for warning in outcome.warnings:
        print(f"streamderain: {name}: {warning}", file=sys.stderr, flush=True)
    if outcome.frames:
        done = f"{name}: {outcome.result}, {outcome.frames} frames, {outcome.seconds:.1f} s of work"
        print(done, file=stdout, flush=True)


def _print(outcomes: Sequence[Outcome], seconds: float, shown: Shown) -> None:
    results = ("derained", "done before", "exists", "failed")
    counts = {result: sum(outcome.result == result for outcome in outcomes) for result in results}
    if shown.as_json:
        files = [{"name": each.item.name, **_without(asdict(each), "item")} for each in outcomes]
        print(json.dumps({"files": files, **counts, "seconds": seconds}))
    elif not shown.quiet:
        words = ", ".join(f"{count} {result}" for result, count in counts.items() if count or result == "derained")
        print(f"{len(outcomes)} files in {seconds:.1f} s: {words}")
        for outcome in outcomes:
            if outcome.result == "failed":
                print(f"failed: {outcome.item.name}: {outcome.said}")


def _without(values: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in values.items() if key != name}


@contextmanager
def _bar(is_shown: bool) -> Iterator[Callable[[Standing], None]]:
    """What draws how far all files are on stderr, or nothing."""
    from rich.progress import BarColumn, MofNCompleteColumn

    pace = "frames  {task.fields[fps]:.1f} fps  ETA {task.fields[eta]}"
    with bar(is_shown, "{task.description}", BarColumn(), MofNCompleteColumn(), pace, fps=0.0, eta="-") as update:

        def report(standing: Standing) -> None:
            update(
                description=f"{standing.files} of {standing.of_files} files",
                completed=standing.frames,
                total=standing.expected,
                fps=standing.made / standing.seconds if standing.seconds else 0.0,
                eta=_clock(standing.left_seconds),
            )

        yield report


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
