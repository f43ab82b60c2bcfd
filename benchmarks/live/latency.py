"""How long a frame takes from the arrival of its packet until its own packet is written, and where the time goes.

The camera sends 640x360 at 25 frames a second, part of it noise, so that a picture needs several packets as real ones
do; the network takes 10 ms and no core. A frame is decoded, converted to RGB, restored, blended with the two frames
before it, converted back, encoded (x264, veryfast, zerolatency) and written to a server by RTSP or to a file. The
stations work at the same time, each on another frame, so what counts is the way of one frame: the sum of its
stations' work and of what it waits between them. It waits for nothing as long as each station is done with a frame
within 40 ms; beyond that the gate drops frames, and each waits for the slowest.

Prediction: decoding 4 ms, its last packet not waited for, the network with its conversions 20, conversion back 5,
encoding 8, writing 1, about 40 ms in all without blending, which is what a live stream on a CPU gets unless it asks
for more. Blending at 640x360 moves two neighbours by optical flow and compares them: 40 ms or more on two cores,
which the camera and the encoder want too, so that p50 is about 90 ms and p95 near 130. A recording is synced to the
disk each second, so its p99 is that of the disk. Wanted: p95 below 80 ms without blending; with it two cores are no
machine that is fast enough for 25 frames.

Each case has a run of its own. The age of each frame is taken behind each station; a station's share is the median
of how much the ages grow from the one before it to its own, waiting included. The share of writing is a difference
of medians, as packets tell no frame. On a machine that others use, `chrt -f 5` before the command keeps them away: with
twelve more processes wanting a core, and no such priority, p95 was ten times as long. Writes latency.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from parts import Latencies, Stub, camera, load, milliseconds, running, save, server, unaccounted, wait_for

from streamderain.config import LiveConfig
from streamderain.frames import Restored
from streamderain.live import run as live
from streamderain.live.run import LiveRun
from streamderain.stream.pipeline import Pipeline, Station

NETWORK_SECONDS = 0.01
WARM_UP_SECONDS = 5.0
"""Not counted: the server is opened, and the first frames wait for that."""

WANTED_MS = 80
ORDER = ("decode", "gate", "upload", "restore", "blend", "download", "encode")

Ages = dict[str, dict[int, float]]
"""By station, by pts: seconds from the arrival of a frame's packet until it left the station."""


class Stamps:
    """The ages of one run's frames. While it is entered, every LiveRun's pipeline books them."""

    def __init__(self) -> None:
        self.ages: Ages = defaultdict(dict)
        self.pipeline: Pipeline | None = None

    def __enter__(self) -> Stamps:
        live.Pipeline = self._stamped  # type: ignore[assignment,misc,attr-defined]
        return self

    def __exit__(self, *_: object) -> None:
        live.Pipeline = Pipeline  # type: ignore[misc,attr-defined]

    def encoded(self, pair: Restored) -> None:
        """A frame went into the encoder, and its packets to the outputs."""
        self._book("encode", pair)

    def _stamped(self, source: object, *stations: Station, **options: Any) -> Pipeline:
        self.pipeline = Pipeline(source, *(self._station(station) for station in stations), **options)
        return self.pipeline

    def _station(self, station: Station) -> Station:
        def run(feed: Any) -> Iterator[Any]:
            for item in station.run(feed):
                self._book(station.name, item)
                yield item

        return station if station.name == "publish" else station._replace(run=run)

    def _book(self, name: str, item: Any) -> None:
        """A frame, a batch of records, or a pair."""
        now = time.monotonic()
        batch = [record.frame for record in item] if isinstance(item, list) else [getattr(item, "rainy", item)]
        for frame in batch:
            self.ages[name][frame.pts] = now - frame.arrived


def shares(ages: Ages, total_ms: float) -> dict[str, float]:
    """Milliseconds of a frame's way, by station."""
    whole = [pts for pts in ages["encode"] if all(pts in ages[name] for name in ORDER)]
    found = {"decode": statistics.median(ages["decode"][pts] for pts in whole)}
    for before, name in pairwise(ORDER):
        found[name] = statistics.median(ages[name][pts] - ages[before][pts] for pts in whole)
    found = {name: 1000 * seconds for name, seconds in found.items()}
    found["write"] = total_ms - 1000 * statistics.median(ages["encode"][pts] for pts in whole)
    return found


def measured(output: str, blend: float, seconds: float) -> dict[str, Any]:
    """One run: `output` is "published" or "recorded"."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(camera(640, 360, 25, "--pattern", "smpte"))
        target = stack.enter_context(server(folder / "out.mkv")) if output == "published" else str(folder / "rec.mkv")
        stamps = stack.enter_context(Stamps())
        began = load()
        # What is measured is the way of a frame, whatever the network's size.
        run = LiveRun(
            source.url, [target], LiveConfig(blend=blend, overload="frames"), Stub(NETWORK_SECONDS), show=stamps.encoded
        )
        latencies = Latencies(run)
        with running(run):
            wait_for(lambda: bool(latencies.all))
            time.sleep(WARM_UP_SECONDS)
            for ages in stamps.ages.values():
                ages.clear()
            start = time.monotonic()
            time.sleep(seconds)
            end, during = time.monotonic(), run.numbers()
        done = run.numbers()
    found = milliseconds(latencies.between(start, end))
    return {
        "output": output,
        "blend": blend,
        "latency_ms": found,
        "within_wanted": found["p95"] < WANTED_MS,
        "station_ms": shares(stamps.ages, found["p50"]),
        "fps_out": during.fps_out,
        "received": done.received,
        "published": done.published,
        "dropped": {reason: count for reason, count in done.dropped.items() if count},
        "unaccounted": unaccounted(done),
        "load_at_begin": began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--blend", type=float, nargs="+", default=[0.0, 1.0])
    arguments = parser.parse_args()
    ways = [(output, blend) for output in ("published", "recorded") for blend in arguments.blend]
    cases = [measured(output, blend, arguments.seconds) for output, blend in ways]
    is_first = os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
    about = {"size": "640x360", "fps": 25, "network_ms": 1000 * NETWORK_SECONDS, "seconds": arguments.seconds,
             "real_time_priority": is_first}  # fmt: skip
    save("latency", {**about, "wanted_p95_ms": WANTED_MS, "cases": cases})


if __name__ == "__main__":
    main()
