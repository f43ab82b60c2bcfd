"""A camera that is killed and frozen again and again: does the run recover each time, and what does it cost?

A killed camera closes its connection, so the loss is seen at once, and attempts to reach it follow after half a second,
a second and so on. A frozen one keeps the connection open and sends nothing; that is seen after --frozen-after, here
one second. Every tenth time the camera comes back with another size, which makes new decoders and new buffers.
Each connection has a decoder with its threads, sockets, and a clock; one thing per connection that stayed would show
as a slope: a thread, a file, or the MiB that a decoder takes.

Prediction: 100 recoveries of 100; from the camera's return to the first frame 1.0 s in the median, half of it the
camera's own start and half the pause before the next attempt; at most 3 s, when an attempt came just before the camera
was ready and the next one waits twice as long. Files and threads are those of the start; memory grows by less than
10 KiB per recovery once torch and libav hold what they need, after 20.

Writes recoveries.json, with what the process held after each recovery.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts import Stub, camera, load, running, save, server, slope, unaccounted, vitals, wait_for

from streamderain.config import LiveConfig
from streamderain.live.run import LiveRun
from tests.cameras import Camera

SIZES = ((320, 180), (640, 360))
CHANGE_EVERY = 10
NETWORK_SECONDS = 0.005
FRAMES = 5
"""So many must come after each return."""


def kill(camera: Camera, run: LiveRun, number: int) -> Callable[[], None]:
    """Kill it; what brings it back, at times with another size."""
    camera.kill()
    width, height = SIZES[number // CHANGE_EVERY % len(SIZES)]
    return lambda: camera.start(width, height)


def freeze(camera: Camera, run: LiveRun, number: int) -> Callable[[], None]:
    """Freeze it; what brings it back."""
    camera.freeze()
    return camera.thaw


def recovery(camera: Camera, run: LiveRun, number: int) -> dict[str, Any]:
    """Take the camera away, bring it back, and wait for its frames."""
    way = kill if number % 2 else freeze
    bring_back = way(camera, run, number)
    noticed = wait_for(lambda: not run.numbers().connected)
    began, before = time.monotonic(), run.numbers()
    bring_back()
    listening = time.monotonic() - began
    wait_for(lambda: run.numbers().reconnects > before.reconnects)
    # What was on its way when the camera went is out by now, or is too little to count as FRAMES.
    first = run.numbers().published
    wait_for(lambda: run.numbers().published > first)
    back = time.monotonic() - began
    wait_for(lambda: run.numbers().published >= first + FRAMES)
    held = vitals()._asdict()
    return {"way": way.__name__, "noticed": noticed, "listening": listening, "back": back, **held}


def spread(seconds: list[float]) -> dict[str, float]:
    return {"median": statistics.median(seconds), "max": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--frozen-after", type=float, default=1.0)
    parser.add_argument("--warm-up", type=int, default=20, help="recoveries after which memory is judged")
    arguments = parser.parse_args()
    load_before, threads_before, before = load(), set(threading.enumerate()), vitals()
    with tempfile.TemporaryDirectory() as name, camera(*SIZES[0]) as source:
        folder = Path(name)
        with server(folder / "out.mkv") as url:
            config = LiveConfig(frozen_after=arguments.frozen_after, blend=0.0)
            run = LiveRun(source.url, [str(folder / "rec.mkv"), url], config, Stub(NETWORK_SECONDS))
            with running(run):
                wait_for(lambda: run.numbers().published >= FRAMES)
                rows = [recovery(source, run, number) for number in range(arguments.times)]
                outputs = run.numbers().outputs
            done = run.numbers()
    time.sleep(1)
    left = [thread.name for thread in threading.enumerate() if thread not in threads_before]
    warm = rows[min(arguments.warm_up, len(rows) // 2) :]
    counts = list(range(len(warm)))
    growth = {what: slope(counts, [row[what] for row in warm]) for what in ("rss_mib", "files", "threads")}
    ways = {way: [row for row in rows if row["way"] == way] for way in ("kill", "freeze")}
    save(
        "recoveries",
        {
            "times": arguments.times,
            "recoveries": done.reconnects,
            "events": done.events,
            "noticed_seconds": {way: spread([row["noticed"] for row in each]) for way, each in ways.items()},
            "back_seconds": {way: spread([row["back"] for row in each]) for way, each in ways.items()},
            "camera_start_seconds": spread([row["listening"] for row in ways["kill"]]),
            "before": before._asdict(),
            "after_first": {what: rows[0][what] for what in growth},
            "after_warm_up": {what: warm[0][what] for what in growth},
            "after_last": {what: rows[-1][what] for what in growth},
            "after_end": vitals()._asdict(),
            "per_recovery": {what: {"slope": steep, "error": error} for what, (steep, error) in growth.items()},
            "threads_left": left,
            "unaccounted": unaccounted(done),
            "outputs_lost": {output.name.split(":")[0]: [output.dropped, output.reopened] for output in outputs},
            "each": rows,
            "load_at_begin": load_before,
        },
    )


if __name__ == "__main__":
    main()
