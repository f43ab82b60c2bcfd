"""A run of `streamderain batch` in events: machines, a store that they fetch from, and one driver; for scale.py.

As the driver does it: parts of files that were begun come before another file, twice as many tasks are under way as
there are workers, and the join of a file follows its last part. A machine fetches a file once, by its own line and by
what the others leave of the store's. Each task costs the driver a moment, one after the other.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any

MACHINES = (4, 8, 16, 32, 64, 128, 256)
CORES = 8
"""Workers of a machine, of one core each."""

LINE, STORE = 125e6, 2.5e9
"""Bytes a second that a machine takes, and that the store gives to all."""


@dataclass(frozen=True)
class Job:
    """So many files of one length and size, cut into parts."""

    name: str
    files: int
    seconds: float
    size: str
    bytes_per_second: float
    part_seconds: float
    fps: int = 25


ARCHIVE = Job("2,000 hours of dashcam in files of 5 minutes", 24_000, 300, "1080p", 1.5e6, 60)
FILM = Job("one film of 4 hours", 1, 4 * 3600, "2160p", 6e6, 60)
SHORT = replace(FILM, name="the same film in shorter parts", part_seconds=10)


@dataclass(order=True)
class _File:
    """How many parts are neither handed out nor done. Of events at one moment that of the first file comes first."""

    number: int
    open: int
    left: int


class _Run:
    def __init__(self, job: Job, machines: int, costs: dict[str, float]) -> None:
        self.job, self.costs = job, costs
        self.parts = max(1, round(job.seconds / job.part_seconds))
        self.frames = job.seconds * job.fps
        self.free = [(0.0, machine) for machine in range(machines) for _ in range(CORES)]
        self.cold = len(self.free)
        self.has: set[tuple[int, int]] = set()
        self.store = self.driver = self.now = 0.0
        self.busy = self.fetching = 0.0
        self.unseen, self.begun = deque(range(job.files)), deque[_File]()
        self.events: list[tuple[float, int, str, _File]] = []
        self.first: deque[tuple[str, _File]] = deque()

    def run(self) -> float:
        """The seconds until all is done."""
        heapq.heapify(self.free)
        while self.events or self.unseen or self.begun or self.first:
            while self.free and (task := self.task()):
                self.start(*task)
            if not self.events:
                break
            self.now, machine, kind, file = heapq.heappop(self.events)
            heapq.heappush(self.free, (self.now, machine))
            self.ended(kind, file)
        return self.now

    def task(self) -> tuple[str, _File] | None:
        if self.first:
            return self.first.popleft()
        if self.begun:
            file = self.begun[0]
            file.open -= 1
            if not file.open:
                self.begun.popleft()
            return "part", file
        if self.unseen:
            return "survey", _File(self.unseen.popleft(), self.parts, self.parts)
        return None

    def start(self, kind: str, file: _File) -> None:
        at, machine = heapq.heappop(self.free)
        # The driver hands out one task after the other.
        self.driver = max(self.driver, at, self.now) + self.costs["driver"]
        begins = self.fetched(machine, file.number, self.driver)
        work = self.work(kind)
        if self.cold:
            self.cold -= 1
            work += self.costs["start"]
        self.busy += work
        heapq.heappush(self.events, (begins + work, machine, kind, file))

    def work(self, kind: str) -> float:
        if kind == "part":
            # Most of what a part costs beside its frames are frames on both sides, of the same size.
            beside = self.costs["part"] / self.costs["frame_640x360"]
            return (beside + self.frames / self.parts) * self.costs[f"frame_{self.job.size}"]
        return self.frames * self.costs[f"{kind}_frame"]

    def fetched(self, machine: int, file: int, at: float) -> float:
        """When the file is on the machine."""
        if (machine, file) in self.has:
            return at
        self.has.add((machine, file))
        size = self.job.seconds * self.job.bytes_per_second
        self.store = max(self.store, at) + size / STORE
        ready = max(self.store, at + size / LINE)
        self.fetching += ready - at
        return ready

    def ended(self, kind: str, file: _File) -> None:
        if kind == "survey":
            self.begun.append(file)
        elif kind == "part":
            file.left -= 1
            if not file.left:
                self.first.append(("join", file))


def simulated(job: Job, machines: int, costs: dict[str, float]) -> dict[str, Any]:
    """How long the job takes so many machines, and how much of their cores is put to use."""
    run = _Run(job, machines, costs)
    seconds = run.run()
    alone = job.files * run.frames * costs[f"frame_{job.size}"]
    return {
        "job": asdict(job),
        "machines": machines,
        "workers": machines * CORES,
        "hours": seconds / 3600,
        "useful": alone / (seconds * machines * CORES),
        "busy": run.busy / (seconds * machines * CORES),
        "fetching": run.fetching / (seconds * machines * CORES),
        "driver": (job.files * (run.parts + 2)) * costs["driver"] / seconds,
    }
