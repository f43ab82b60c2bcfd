"""A progress bar for the commands that work through a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamderain.live.numbers import LiveNumbers
    from streamderain.run import Progress


@contextmanager
def progress_bar(shown: bool) -> Iterator[Callable[[Progress], None]]:
    """What draws the progress that it is called with on stderr, or nothing where it is not `shown`."""
    if not shown:
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames  {task.fields[fps]:.1f} fps  ETA"),
        TimeRemainingColumn(),
        TextColumn("slowest: {task.fields[slowest]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, fps=0.0, slowest="-")

        def report(progress: Progress) -> None:
            pace, slowest = progress.frames_per_second, progress.slowest.name
            bar.update(task, completed=progress.frames, total=progress.expected, fps=pace, slowest=slowest)

        yield report


@contextmanager
def live_line(shown: bool) -> Iterator[Callable[[LiveNumbers], None]]:
    """What keeps a line with the numbers that it is called with on stderr, or nothing where it is not `shown`."""
    if not shown:
        yield lambda numbers: None
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting for the source") as status:
        yield lambda numbers: status.update(numbers.line())
