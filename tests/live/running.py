"""A live run beside whoever looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamderain.live.numbers import LiveNumbers
from streamderain.live.run import LiveRun
from streamderain.stream.background import Background


@contextmanager
def running(run: LiveRun) -> Iterator[LiveRun]:
    """The run in a thread of its own; afterwards it has ended, and what it raised is raised."""

    def whole() -> Iterator[LiveNumbers]:
        yield run.run()

    thread = Background("run", whole)
    try:
        yield run
    finally:
        run.stop()
        assert thread.join(10)
    thread.get()
