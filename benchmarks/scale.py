"""What a second worker is worth, what a part costs beside its frames, and what follows for 4 to 256 machines.

Measured: parts of the sample, 640x360, by one worker and by two, each pinned to a core of its own with one thread.
Workers share nothing but the disk, so a second one should give 1.9 times the frames or more, if the other core is free.
Whether it is, wall time alone does not tell: core-seconds do. What counts is therefore `core_ratio`, how many times the
frames two workers make for each core-second that both take, times two; `wall_ratio` stands beside it, with the load
that there was. A part of 50 frames and one of 100 tell what a part costs beside its frames; the others are the start of
a worker, a survey, a join, and what the driver spends on each task with Ray and with the journal.

Simulated with these: machines of eight cores, a store that all fetch from, and one driver. `python benchmarks/scale.py`
measures and simulates, `--simulate` takes what was measured before. Writes scale.json, of which scale_page.py makes
docs/scale.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from results import ROOT, load, save
from scale_simulation import ARCHIVE, FILM, MACHINES, simulated

from streamderain.batch.spread.config import BatchConfig
from streamderain.batch.spread.devices import Devices
from streamderain.batch.spread.driver import Driver
from streamderain.batch.spread.inputs import Item
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.tasks import Made, Report, Settings, Survey, Task
from streamderain.config import DerainConfig
from streamderain.parts.making import Span

SAMPLE = ROOT / "samples" / "rainy-temple.mp4"
CONFIG = DerainConfig(model="fast", device="cpu")
TASKS_OF_DRIVER = 500
SIZES = {"720p": "1280x720", "1080p": "1920x1080", "2160p": "3840x2160"}


def spans() -> dict[str, Span]:
    """The sample as a whole, and both its halves, by name."""
    with av.open(str(SAMPLE)) as container:
        times = sorted(each.pts for each in container.demux(video=0) if each.pts is not None)
    middle = Span(50, times[50], None, times[49])
    return {"first": Span(0, None, times[50]), "second": middle, "whole": Span()}


@contextmanager
def pinned(count: int) -> Iterator[Devices]:
    """So many workers, each on a core of its own."""
    with Devices(["cpu"] * count) as devices:
        for core, process in enumerate(devices.processes):
            os.sched_setaffinity(process, {core})
        yield devices


def task(kind: Any, folder: Path, span: Span | None = None, survey: Survey | None = None) -> Task:
    """One of the sample, its parts in `folder`."""
    settings = Settings(str(folder), CONFIG, 2, 1)
    return Task(kind, Item(str(SAMPLE), "a.mp4"), settings, survey or Survey("0", kind="mov"), span)


def all_of(devices: Devices, tasks: list[Task]) -> list[Report]:
    """What came of these, which are given out in order."""
    for each in tasks:
        devices.start(each)
    reports: list[Report] = []
    while len(reports) < len(tasks):
        reports += [report for _, report in devices.ended()]
    for report in reports:
        if report.said:
            raise SystemExit(report.said)
    return reports


def core_seconds_of(process: int) -> float:
    """All that a process has spent so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers(count: int, folder: Path) -> dict[str, Any]:
    """200 frames by so many workers, once all are warm."""
    parts = spans()
    with pinned(count) as devices:
        # A task for each, while both are busy.
        all_of(devices, [task("part", folder / f"warm-{each}", parts["first"]) for each in range(count)])
        start = sum(map(core_seconds_of, devices.processes)) / count
        began, load_before = time.monotonic(), os.getloadavg()[0]
        reports = all_of(
            devices, [task("part", folder / f"of-{count}-{name}", parts[name]) for name in ("whole", "first", "second")]
        )
        seconds = time.monotonic() - began
    spent = [report.core_seconds for report in reports]
    frames = {report.result.frames: report.core_seconds for report in reports if isinstance(report.result, Made)}
    return {
        "workers": count,
        "frames": 200,
        "wall_seconds": seconds,
        "core_seconds": sum(spent),
        "warm_up_core_seconds": start,
        "of_100_frames": frames[100],
        "of_50_frames": (sum(spent) - frames[100]) / 2,
        "load": [load_before, os.getloadavg()[0]],
    }


def whole_file(folder: Path) -> dict[str, float]:
    """What a survey and a join of the sample's two parts cost, in core-seconds."""
    parts = tuple(spans()[name] for name in ("first", "second"))
    with pinned(1) as devices:
        all_of(devices, [task("survey", folder)])
        (survey,) = all_of(devices, [task("survey", folder)])
        found = Survey("1", 100, parts, "mov,mp4,m4a,3gp,3g2,mj2")
        found = Survey("1", 100, parts, "mp4")
        all_of(devices, [task("part", folder, part, found) for part in parts])
        (join,) = all_of(devices, [task("join", folder, survey=found)])
    return {"survey": survey.core_seconds, "join": join.core_seconds, "frames": 100}


class Nobody:
    """Workers that are done at once, so that what the driver spends is seen."""

    room = 64

    def __init__(self) -> None:
        self._waiting: list[Task] = []

    def start(self, each: Task) -> None:
        """See Workers."""
        self._waiting.append(each)

    def ended(self) -> list[tuple[Task, Report]]:
        """See Workers."""
        ended = [(each, Report(self._result(each))) for each in self._waiting]
        self._waiting.clear()
        return ended

    def _result(self, each: Task) -> Survey | Made:
        if each.kind == "survey":
            return Survey("0", TASKS_OF_DRIVER, tuple(Span(number) for number in range(TASKS_OF_DRIVER)), "mp4")
        return Made(1, 1)


def driver(folder: Path) -> dict[str, float]:
    """Core-seconds of the driver for each part, with its journal, and with Ray."""
    settings = Settings(str(folder / "driver"), CONFIG, 2, 1)
    began = time.process_time()
    with Journal(folder / "journal.jsonl") as journal:
        list(Driver([Item("a.mp4", "a.mp4")], settings, Nobody(), journal).run())
    own = (time.process_time() - began) / TASKS_OF_DRIVER
    return {"journal": own, "ray": with_ray(settings)}


def with_ray(settings: Settings) -> float:
    """Core-seconds of this process for each task that Ray runs, which does nothing."""
    import ray

    from streamderain.batch.spread.rays import Rays

    with Rays(BatchConfig(ray="local", device="cpu")) as rays:
        rays._remote = ray.remote(nothing)
        began = time.process_time()
        for _ in range(TASKS_OF_DRIVER):
            rays.start(Task("part", Item("a.mp4", "a.mp4"), settings, Survey("0"), Span()))
        ended = 0
        while ended < TASKS_OF_DRIVER:
            ended += len(rays.ended())
        return (time.process_time() - began) / TASKS_OF_DRIVER


def nothing(each: Task) -> Report:
    """What Ray runs there."""
    return Report(Made(1, 1))


def measured() -> dict[str, Any]:
    """All that is measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, two = (workers(count, folder) for count in (1, 2))
        return {
            "one": one,
            "two": two,
            "core_ratio": 2 * one["core_seconds"] / two["core_seconds"],
            "wall_ratio": one["wall_seconds"] / two["wall_seconds"],
            "file": whole_file(folder),
            "driver": driver(folder),
        }


def costs(found: dict[str, Any]) -> dict[str, float]:
    """What the simulation is given, in core-seconds; `frame` by size, from what `streamderain profile` measured with
    all cores, times what one thread alone needs less at 640x360.
    """
    one = found["one"]
    frame = (one["of_100_frames"] - one["of_50_frames"]) / 50
    rows = {row["resolution"]: row for row in load("profile")["rows"] if row["model"] == "fast" and row.get("fps")}
    cores = int(load("profile")["machine"]["processor"].partition(" threads")[0].rpartition(" ")[2])
    alone = frame * rows["640x360"]["fps"] / cores
    sizes = {name: alone * cores / rows[size]["fps"] for name, size in SIZES.items() if size in rows}
    largest = max(sizes, key=lambda name: sizes[name])
    pixels = {name: int(size.partition("x")[0]) * int(size.partition("x")[2]) for name, size in SIZES.items()}
    for name in SIZES:
        sizes.setdefault(name, sizes[largest] * pixels[name] / pixels[largest])
    return {
        "frame_640x360": frame,
        **{f"frame_{name}": value for name, value in sizes.items()},
        "part": max(0.0, one["of_50_frames"] - 50 * frame),
        "start": max(0.0, one["warm_up_core_seconds"] - one["of_50_frames"]),
        "survey_frame": found["file"]["survey"] / found["file"]["frames"],
        "join_frame": found["file"]["join"] / found["file"]["frames"],
        "driver": found["driver"]["journal"] + found["driver"]["ray"],
    }


def main() -> None:
    """Measure, simulate, and write scale.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", action="store_true", help="take what was measured before")
    found = load("scale")["measured"] if parser.parse_args().simulate else measured()
    given = costs(found)
    jobs = {"archive": ARCHIVE, "film": FILM}
    runs = {name: [simulated(job, count, given) for count in MACHINES] for name, job in jobs.items()}
    save("scale", {"measured": found, "costs": given, "simulated": runs})


if __name__ == "__main__":
    main()
