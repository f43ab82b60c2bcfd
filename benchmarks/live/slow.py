"""What a network twice too slow for its camera does to latency, to the count of frames, and to their spacing.

The camera sends 640x360 at 25 frames a second, the network takes 80 ms for each, so about half the frames can't be
used. A queue of any length would fill and stay full, and its length times 80 ms would be the latency. The gate keeps
the frames that can be out within --max-latency and drops the others before the network.

Prediction: the network's thread also converts colours, about 5 ms, so it can hold 1/0.085 = 11.8 frames a second; it
settles a few per cent below that, with two frames in flight, at a latency of about 2 * 85 ms and what follows, 250 ms
at most. The camera's grid is 40 ms, so intervals of 87 ms are a mix of 80 and 120: their coefficient of variation is
0.17 at best, and 0.2 is expected. Blending is off, as on two cores it would be slower than this network.

Each second the count is looked at: frames in = out + dropped + in flight, with at most the one in the gate's hand
missing. In the end it is exact. It publishes to a real server, where latency is taken, and records beside that; the
recording, read back, holds the published frames and those that were filled in. Where it only recorded, 4 frames of
6,182 took over 500 ms, in a row; a recording is put on the disk each second, for which a busy disk takes its time, and
no viewer waits for that. Writes slow.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import numpy as np
from parts import Latencies, Stub, camera, load, milliseconds, running, save, server, unaccounted, wait_for

from streamderain.config import LiveConfig
from streamderain.live.run import LiveRun

FPS = 25
NETWORK_SECONDS = 0.08
SETTLED_SECONDS = 20.0
"""From here on the spacing is judged; latency and count are from the first frame on."""


def evenness(times: list[float]) -> dict[str, float]:
    """Of the intervals between `times`, in seconds: mean, coefficient of variation, the best that a source's grid of
    1/FPS allows for that mean, and the longest.
    """
    intervals = np.diff(times)
    mean, grid = float(intervals.mean()), 1 / FPS
    longer = mean / grid % 1
    return {
        "mean_ms": 1000 * mean,
        "variation": float(intervals.std()) / mean,
        "best_variation": grid * (longer * (1 - longer)) ** 0.5 / mean,
        "longest_ms": 1000 * float(intervals.max()),
    }


def times_in(path: Path) -> list[float]:
    """Presentation times of the frames of a recording, which are all decoded."""
    with av.open(path) as file:
        return [frame.time for frame in file.decode(video=0)]


def each_second(run: LiveRun, latencies: Latencies, seconds: float) -> list[dict[str, Any]]:
    """What was seen in each second of so many."""
    samples = []
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        time.sleep(max(0.0, min(1.0, end - begin)))
        numbers = run.numbers()
        last = milliseconds(latencies.between(begin))
        samples.append({"latency_ms": last, "unaccounted": unaccounted(numbers), "held_fps": numbers.held_fps})
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--max-latency", type=float, default=0.5)
    parser.add_argument("--blend", type=float, default=0.0)
    arguments = parser.parse_args()
    began = load()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(camera(fps=FPS))
        target, output = stack.enter_context(server(folder / "published.mkv")), folder / "recorded.mkv"
        config = LiveConfig(max_latency=arguments.max_latency, blend=arguments.blend, overload="frames")
        run = LiveRun(source.url, [target, str(output)], config, Stub(NETWORK_SECONDS))
        latencies = Latencies(run)
        with running(run):
            wait_for(lambda: bool(latencies.all))
            samples = each_second(run, latencies, 60 * arguments.minutes)
        done = run.numbers()
        times = times_in(output)
    seen = [sample["latency_ms"] for sample in samples if sample["latency_ms"]["count"]]
    settled = [moment for moment in times if moment - times[0] >= SETTLED_SECONDS]
    spacing = evenness(settled if len(settled) > 2 else times)
    save(
        "slow",
        {
            "size": "640x360",
            "fps": FPS,
            "network_ms": 1000 * NETWORK_SECONDS,
            "minutes": arguments.minutes,
            "max_latency_ms": 1000 * arguments.max_latency,
            "blend": arguments.blend,
            "latency_ms": milliseconds([seconds for _, seconds in latencies.all]),
            "worst_second_ms": {name: max(each[name] for each in seen) for name in ("p50", "p95", "max")},
            "over_max_latency": sum(seconds > arguments.max_latency for _, seconds in latencies.all),
            "seconds_without_a_frame": len(samples) - len(seen),
            "unaccounted_while_running": dict(sorted(Counter(sample["unaccounted"] for sample in samples).items())),
            "unaccounted_at_end": unaccounted(done),
            "received": done.received,
            "published": done.published,
            "dropped": {reason: count for reason, count in done.dropped.items() if count},
            "filled": done.filled,
            "in_recording": len(times),
            "recording_is_whole": len(times) == done.published + done.filled,
            "spacing": spacing,
            "fps_settled": 1000 / spacing["mean_ms"],
            "fps_possible": 1 / NETWORK_SECONDS,
            "held_fps_each_10_seconds": [round(sample["held_fps"] or FPS, 2) for sample in samples[::10]],
            "load_at_begin": began,
        },
    )


if __name__ == "__main__":
    main()
