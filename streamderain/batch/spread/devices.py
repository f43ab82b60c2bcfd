"""Workers on this machine: a process for each device, started again when it dies. No Ray is needed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Self

from streamderain.batch.spread.tasks import Report, Task
from streamderain.batch.spread.work import run

NAP_SECONDS = 1.0
"""How long `ended` waits at most, so that progress is shown meanwhile."""


@dataclass(eq=False)
class _Worker:
    """A process that has `device`, and the task that it is at, tried for the so many-th time."""

    device: str
    process: SpawnProcess
    connection: Connection
    task: Task | None = None
    attempt: int = 0


class Devices:
    """Workers, one for each of these `devices` as torch calls them; a task is tried `attempts` times where its process
    dies.
    """

    def __init__(self, devices: Sequence[str], attempts: int = 3) -> None:
        self._attempts = attempts
        self._waiting: deque[tuple[Task, int]] = deque()
        # torch and CUDA bear no fork.
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._begun(device) for device in devices]

    @property
    def room(self) -> int:
        """See Workers."""
        return len(self._workers) + 1

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that there are now."""
        return [worker.process.pid for worker in self._workers if worker.process.pid]

    def start(self, task: Task) -> None:
        """See Workers."""
        self._waiting.append((task, 1))
        self._hand_out()

    def ended(self) -> list[tuple[Task, Report]]:
        """See Workers."""
        reports = []
        for connection in wait([worker.connection for worker in self._workers if worker.task], NAP_SECONDS):
            worker = next(each for each in self._workers if each.connection is connection)
            task, worker.task = worker.task, None
            assert task
            try:
                reports.append((task, worker.connection.recv()))
            except (EOFError, OSError):
                if report := self._died(worker, task):
                    reports.append((task, report))
        self._hand_out()
        return reports

    def _hand_out(self) -> None:
        for number, worker in enumerate(self._workers):
            if self._waiting and worker.task is None:
                if not worker.process.is_alive():
                    self._workers[number] = worker = self._again(worker)
                worker.task, worker.attempt = self._waiting.popleft()
                with suppress(OSError):  # it died just now, which `ended` finds
                    worker.connection.send(worker.task)

    def _died(self, worker: _Worker, task: Task) -> Report | None:
        worker.process.join()
        code = worker.process.exitcode
        self._workers[self._workers.index(worker)] = self._again(worker)
        if worker.attempt < self._attempts:
            self._waiting.appendleft((task, worker.attempt + 1))
            return None
        return Report(None, f"its process ended {worker.attempt} times, the last time with exit code {code}")

    def _again(self, worker: _Worker) -> _Worker:
        worker.connection.close()
        worker.process.join()
        worker.process.close()
        return self._begun(worker.device)

    def _begun(self, device: str) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, device), daemon=True)
        process.start()
        # The process alone has that end now, so that it is closed when it dies.
        theirs.close()
        return _Worker(device, process, ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.connection.close()
            worker.process.kill()
            worker.process.join()
            worker.process.close()


def _serve(connection: Connection, device: str) -> None:
    """Run tasks until whoever gives them is gone, even if it is killed. Ctrl-C is for that one to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def beat() -> None:
        if os.getppid() != parent:
            os._exit(0)

    while True:
        try:
            task = connection.recv()
            connection.send(run(replace(task, settings=replace(task.settings, device=device)), beat))
        except (EOFError, OSError):
            os._exit(0)
