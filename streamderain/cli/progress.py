"""What commands show on a terminal while they work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamderain.carry import Progress
    from streamderain.live.numbers import LiveNumbers


INTERRUPTED = 130
"""The exit code of a run that was stopped, as shells have it for Ctrl-C."""


@dataclass(frozen=True)
class Shown:
    """How a command tells what it does."""

    quiet: bool
    as_json: bool

    @property
    def talks(self) -> bool:
        """Whether it says more than errors and, as JSON, a summary."""
        return not self.quiet and not self.as_json

    @property
    def has_bar(self) -> bool:
        """Whether there is somebody to look at one."""
        return self.talks and sys.stderr.isatty()


@contextmanager
def progress_bar(shown: bool) -> Iterator[Callable[..., None]]:
    """What draws the progress that it is called with on stderr, behind the name of a file where one is given, or
    nothing where it is not `shown`.
    """
    if not shown:
        yield lambda progress, name="": None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames  {task.fields[fps]:.1f} fps  ETA"),
        TimeRemainingColumn(),
        TextColumn("slowest: {task.fields[slowest]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar, log_above():
        task = bar.add_task("", total=None, fps=0.0, slowest="-")

        def report(progress: Progress, name: str = "") -> None:
            pace, slowest = progress.frames_per_second, progress.slowest.name
            bar.update(
                task,
                description=escape(name),
                completed=progress.frames,
                total=progress.expected,
                fps=pace,
                slowest=slowest,
            )

        yield report


@contextmanager
def live_line(shown: bool) -> Iterator[Callable[[LiveNumbers], None]]:
    """What keeps a line with the numbers that it is called with on stderr, or nothing where it is not `shown`."""
    if not shown:
        yield lambda numbers: None
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting for the source") as status, log_above():
        yield lambda numbers: status.update(numbers.line())


@contextmanager
def log_above() -> Iterator[None]:
    """Inside, the log goes through what rich has put in stderr's place, so that no line lands in what rich draws."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    before = [each.setStream(sys.stderr) for each in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.setStream(stream or sys.stderr)
