"""Writes docs/scale.md from scale.json; every figure on that page comes from there."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quality_page import rows
from results import ROOT, load

PAGE = ROOT / "docs" / "scale.md"
SIZES = ("720p", "1080p", "2160p")
FPS = 25
BENT = 0.9
"""Of the cores' time that makes frames, under which a run has bent."""

HEAD = """\
# How far an archive scales

Made by `benchmarks/scale_page.py` from `benchmarks/scale.json`; `python benchmarks/scale.py` measures and simulates
anew. How it is used: [many machines](many-machines.md).
"""


def workers(found: dict[str, Any]) -> Iterator[str]:
    """One worker and two."""
    one, two = found["one"], found["two"]
    yield "## One worker and two, measured\n"
    yield (
        f"{one['frames']} frames of 640x360 in three parts, `fast` on a CPU, each worker pinned to a core of its own, "
        "with one thread, warm.\n"
    )
    table = [("workers", "core-seconds", "core-seconds a frame", "wall seconds", "load of the machine meanwhile")]
    table += [
        (
            str(each["workers"]),
            f"{each['core_seconds']:.1f}",
            f"{each['core_seconds'] / each['frames']:.3f}",
            f"{each['wall_seconds']:.0f}",
            f"{each['load'][0]:.1f} to {each['load'][1]:.1f}",
        )
        for each in (one, two)
    ]
    yield from rows(table)
    yield ""
    yield (
        f"By the clock two workers make **{found['wall_ratio']:.2f} times** the frames of one, by core-seconds "
        f"{found['core_ratio']:.2f} times, where each has its core to itself. Where the load is above their number, "
        "the clock says more of the machine's other work than of a second worker.\n"
    )


def spent(costs: dict[str, float]) -> Iterator[str]:
    """What each thing costs."""
    yield "## What is spent on what\n"
    names = {
        "frame_640x360": "a frame of 640x360, one thread",
        "part": "a part, beside its frames: opening, going there, and the frames on both sides",
        "start": "the start of the first worker on a machine: Python, libraries, preparing the network",
        "survey_frame": "finding the key pictures, a frame",
        "join_frame": "joining, a frame: counting, copying, reading back",
        "driver": "the driver, a part: Ray's calls and the journal",
    }
    yield from rows([("", "core-seconds"), *((what, f"{costs[name]:.4f}") for name, what in names.items())])
    yield ""
    yield "What an hour of video costs, at 25 frames a second, with `fast` on such a CPU:\n"
    table = [("", "core-seconds a frame", "core-hours for an hour", "at 0.04 of a currency a core-hour")]
    for size in SIZES:
        hours = costs[f"frame_{size}"] * FPS
        table.append((size, f"{costs[f'frame_{size}']:.2f}", f"{hours:.0f}", f"{hours * 0.04:.2f}"))
    yield from rows(table)
    yield ""
    yield (
        "The frame of 640x360 is measured with one thread; those of the other sizes are what `streamderain profile` "
        "measured with two (`benchmarks/profile.json`), times what one thread alone needs at 640x360 against that. The "
        "price is an example: put your own in its place. No GPU was at hand.\n"
    )


def simulated(runs: Sequence[dict[str, Any]], costs: dict[str, float]) -> Iterator[str]:
    """A job on ever more machines."""
    job = runs[0]["job"]
    frames = job["files"] * job["seconds"] * FPS
    yield f"### {job['name'].capitalize()}, {job['size']}\n"
    yield (
        f"{frames / 1e6:.1f} million frames, {frames * costs['frame_' + job['size']] / 3600:,.0f} core-hours, in parts "
        f"of {job['part_seconds']} s.\n"
    )
    table = [("machines", "workers", "hours", "cores at frames", "cores that fetch", "driver at work")]
    table += [
        (
            str(run["machines"]),
            str(run["workers"]),
            f"{run['hours']:.1f}",
            f"{run['useful']:.1%}",
            f"{run['fetching']:.2%}",
            f"{run['driver']:.3%}",
        )
        for run in runs
    ]
    yield from rows(table)
    yield ""
    yield _bend(runs) + "\n"


def _bend(runs: Sequence[dict[str, Any]]) -> str:
    bent = next((run for run in runs if run["useful"] < BENT), None)
    if bent is None:
        last = runs[-1]
        return (
            f"It does not bend up to {last['machines']} machines: cores make frames {last['useful']:.0%} of the time."
        )
    job = bent["job"]
    parts = job["files"] * round(job["seconds"] / job["part_seconds"])
    reasons = {
        "cores wait for what they fetch": bent["fetching"],
        "the driver is behind": bent["driver"] if bent["driver"] > 0.5 else 0.0,
        f"there are {parts} parts for {bent['workers']} workers, and the last of them are waited for": 1 - bent["busy"],
        "parts, starts and joins cost beside frames": bent["busy"] - bent["useful"],
    }
    return f"**It bends at {bent['machines']} machines**: {max(reasons, key=lambda why: reasons[why])}."


def page() -> str:
    """All of docs/scale.md."""
    found = load("scale")
    lines = [HEAD, *workers(found["measured"]), *spent(found["costs"]), "## 4 to 256 machines, simulated\n"]
    lines += [
        "Machines of eight cores, eight workers each; 1 Gbit/s for a machine, 20 Gbit/s for the store. A machine "
        "fetches a file once. The order of tasks is the driver's own (`benchmarks/scale_simulation.py`). No such "
        "cluster was at hand: these hours follow from the figures above and from nothing else; machines that fail are "
        "not in them.\n",
    ]
    for runs in found["simulated"].values():
        lines += simulated(runs, found["costs"])
    lines += [f"Machine: {found['machine']['processor']}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.parse_args().page.write_text(page())
