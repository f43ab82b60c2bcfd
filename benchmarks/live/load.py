"""How many cameras two cores carry: 640x360 at 5 frames a second through `fast`, recorded, none thinned.

One to four cameras, each a process with gst-rtsp-server, through one network, as `streamderain serve` runs them, with
the settings of `serve` and `--overload frames`, so that nothing is hidden by half the size. Beside what comes out is
counted what a frame costs: core-milliseconds of this process, by the thread that spends them, which another load beside
it changes little where it changes the wall's clock much. The threads of a library (OpenVINO, x264) are its own and
stand together as `library`. `room` is how many cameras such a frame leaves room for on two cores.

The cameras' own encoders and the server's are not counted: they run elsewhere in real life. Writes load.json.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from parts import camera, load, save, unaccounted, wait_for

from streamderain.config import LiveConfig
from streamderain.engine.engine import load_network
from streamderain.engine.shared import SharedNetwork
from streamderain.serve.config import StreamConfig
from streamderain.serve.fleet import Fleet

WIDTH, HEIGHT, FPS = 640, 360, 5
MOST = 4
CORES = 2
WARM_UP_SECONDS = 6.0
EACH = ("decode", "gate", "publish")
"""Work on frames that came, those that were left out too, in whose place the one before is sent again; other work is on
frames that came out.
"""
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def spent() -> Counter[tuple[int, str]]:
    """Core-milliseconds of each thread of this process so far, by its number and what it does."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found: Counter[tuple[int, str]] = Counter()
    for task in Path("/proc/self/task").iterdir():
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        name = names.get(int(task.name), "library")
        found[int(task.name), re.sub(r"streamderain-|-?\d+$", "", name)] = (int(fields[11]) + int(fields[12])) * TICK_MS
    return found


def by_role(began: Counter[tuple[int, str]], received: int, published: int) -> dict[str, float]:
    """Core-milliseconds a frame since `began`."""
    roles: Counter[str] = Counter()
    for (number, role), total in spent().items():
        roles[role] += total - began[number, role]
    costs = {role: total / max(1, received if role in EACH else published) for role, total in roles.most_common()}
    return {role: cost for role, cost in costs.items() if cost >= 0.05}


def measured(count: int, shared: SharedNetwork, config: LiveConfig, seconds: float) -> dict[str, Any]:
    """So many cameras for so long."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sources = [stack.enter_context(camera(WIDTH, HEIGHT, FPS)) for _ in range(count)]
        streams = Fleet(shared, config)
        stack.callback(streams.close, 10)
        for number, source in enumerate(sources):
            streams.put(str(number), StreamConfig(source.url, (str(folder / f"{number}.mkv"),)))
        wait_for(lambda: all(stream.numbers().published >= 2 for stream in streams), 120)
        time.sleep(WARM_UP_SECONDS)
        before, began, start = [stream.numbers() for stream in streams], spent(), time.monotonic()
        time.sleep(seconds)
        after, lasted = [stream.numbers() for stream in streams], time.monotonic() - start
        pairs = list(zip(before, after, strict=True))
        published = sum(now.published - then.published for then, now in pairs)
        received = sum(now.received - then.received for then, now in pairs)
        costs = by_role(began, received, published)
        dropped = sum((Counter(now.dropped) - Counter(then.dropped) for then, now in pairs), Counter[str]())
        return {
            "cameras": count,
            "fps_in": received / lasted,
            "fps_out": published / lasted,
            "dropped": dict(dropped),
            "p95_ms": [now.latency_ms.p95 for now in after if now.latency_ms],
            "core_ms_a_frame": sum(costs.values()),
            "core_ms_by_thread": costs,
            "room": CORES * 1000 / (FPS * sum(costs.values())),
            "unaccounted": sum(map(unaccounted, after)),
            "load": load()[0],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each number of cameras")
    parser.add_argument("--cameras", type=int, nargs="+", default=list(range(1, MOST + 1)))
    arguments = parser.parse_args()
    torch.set_num_threads(CORES)
    config = LiveConfig(model="fast", overload="frames")
    network, began = load_network(config), load()
    shared = SharedNetwork(network, most=1, aside=True)
    try:
        cases = [measured(count, shared, config, arguments.seconds) for count in arguments.cameras]
    finally:
        shared.close()
    about = {"size": f"{WIDTH}x{HEIGHT}", "fps": FPS, "network": "fast", "seconds": arguments.seconds}
    save("load", {**about, "cases": cases, "load_at_begin": began})


if __name__ == "__main__":
    main()
