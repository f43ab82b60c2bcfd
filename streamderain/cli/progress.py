"""What commands show on a terminal while they work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamderain.batch.warned import warnings_in_log
from streamderain.cli.keys import pausing

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

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
def at_work(shown: Shown) -> Iterator[tuple[Callable[..., None], list[str]]]:
    """What is called with the progress behind each frame, and the warnings that a summary as JSON will hold: inside,
    there is a bar, and `p` pauses.
    """
    with (
        warnings_in_log(kept=shown.as_json) as warnings,
        progress_bar(shown.has_bar) as draw,
        pausing(not shown.talks) as pause,
    ):

        def report(progress: Progress, name: str = "") -> None:
            draw(progress, name)
            pause()

        yield report, warnings


@contextmanager
def progress_bar(shown: bool) -> Iterator[Callable[..., None]]:
    """What draws the progress that it is called with on stderr, behind the name of a file where one is given, or
    nothing where it is not `shown`.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    pace, last = "frames  {task.fields[fps]:.1f} fps  ETA", "slowest: {task.fields[slowest]}"
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), pace, TimeRemainingColumn(), last)
    with bar(shown, *columns, fps=0.0, slowest="-") as update:

        def report(progress: Progress, name: str = "") -> None:
            update(description=escape(name), completed=progress.frames, total=progress.expected,
                   fps=progress.frames_per_second, slowest=progress.slowest.name)  # fmt: skip

        yield report


@contextmanager
def bar(
    shown: bool, *columns: str | ProgressColumn, total: float | None = None, transient: bool = False, **fields: Any
) -> Iterator[Callable[..., None]]:
    """What updates a bar of rich's on stderr, with these columns and `fields` of their own, or nothing where it is not
    `shown`.
    """
    if not shown:
        yield lambda **values: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(*columns, console=Console(stderr=True), transient=transient) as drawn, log_above():
        task = drawn.add_task("", total=total, **fields)
        yield lambda **values: drawn.update(task, **values)


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
