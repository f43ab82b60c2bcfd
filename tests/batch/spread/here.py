"""Workers that run tasks in the test's own process, one by one, and a network that changes every frame."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from streamderain.batch.spread.driver import Driver, Outcome
from streamderain.batch.spread.inputs import items_of
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.tasks import Report, Settings, Task
from streamderain.batch.spread.work import run
from streamderain.config import DerainConfig

CONFIG = DerainConfig(preset="ultrafast", crf=0, device="cpu")


class Looking:
    """A network that makes a frame the mean of itself and its neighbours, so that a missing one shows."""

    device, past, future = torch.device("cpu"), 2, 2

    def restore(self, windows: Tensor) -> Tensor:
        return windows.mean(1)


class Here:
    """Runs what `do` says, or the task itself. `ran` counts tasks by kind."""

    def __init__(self, do: Callable[[Task], Report | None] = lambda task: None, room: int = 3) -> None:
        self._waiting: deque[Task] = deque()
        self._do, self.room, self.ran = do, room, Counter[str]()

    def start(self, task: Task) -> None:
        self._waiting.append(task)

    def ended(self) -> list[tuple[Task, Report]]:
        task = self._waiting.popleft()
        self.ran[task.kind] += 1
        return [(task, self._do(task) or run(task))]


def spread(folder: Path, workers: Here, out: str = "", config: DerainConfig = CONFIG, inputs: tuple[str, ...] = (),
           part_seconds: float = 0.2) -> list[Outcome]:  # fmt: skip
    """What comes of the files in `folder / "in"`."""
    out = out or str(folder / "out")
    items = items_of(inputs or (str(folder / "in"),), out)
    with Journal(folder / "journal.jsonl") as journal:
        return list(Driver(items, Settings(out, config, part_seconds), workers, journal).run())


def overwriting(config: DerainConfig = CONFIG) -> DerainConfig:
    return replace(config, overwrite=True)
