"""A camera that is killed and frozen again and again: does the run recover each time, and what does it cost?

A killed camera closes its connection, so the loss is seen at once, and attempts to reach it follow after half a second,
a second and so on. A frozen one keeps the connection open and sends nothing; that is seen after --frozen-after, here
one second. Every tenth time the camera comes back with another size, which makes new decoders and new buffers. Every
fifth time its clock jumps before by an hour, forth or back, as faketime makes it; libav tells times by it once a sender
report has told it, of the pictures at one moment and of the sound at another.
Each connection has a decoder with its threads, sockets, and a clock; one thing per connection that stayed would show
as a slope: a thread, a file, or the MiB that a decoder takes.

Prediction: 100 recoveries of 100; from the camera's return to the first frame 1.0 s in the median, half of it the
camera's own start and half the pause before the next attempt; at most 3 s, when an attempt came just before the camera
was ready and the next one waits twice as long. Files and threads are those of the start; memory grows by less than
10 KiB per recovery once torch and libav hold what they need, after 20. There is sound to the end, whatever the clock
did.

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

import av
from parts import Stub, camera, load, running, save, server, slope, unaccounted, vitals, wait_for

from streamderain.config import LiveConfig
from streamderain.live.run import LiveRun
from tests.cameras import FAKETIME, Camera, moved

SIZES = ((320, 180), (640, 360))
CHANGE_EVERY = 10
JUMP_EVERY, JUMPS = 5, ("+3600s", "+0", "-3600s", "+0")
JUMP_SECONDS = 6.0
"""A sender report comes within five."""
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


def jump(clock: Path, run: LiveRun, number: int) -> None:
    """Have the camera's clock jump, which must cost no picture."""
    clock.write_text(JUMPS[number // JUMP_EVERY % len(JUMPS)] + "\n")
    time.sleep(JUMP_SECONDS)
    before = run.numbers().published
    wait_for(lambda: run.numbers().published >= before + FRAMES)


def sound_of(recording: Path) -> dict[str, float]:
    """How much sound there is, and how long before the picture it ends."""
    ends = dict.fromkeys(("video", "audio"), 0.0)
    count = 0
    with av.open(recording) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                ends[packet.stream.type] = max(ends[packet.stream.type], float(packet.pts * packet.time_base))
                count += packet.stream.type == "audio"
    return {"packets": count, "ends_before_picture_seconds": ends["video"] - ends["audio"]}


def spread(seconds: list[float]) -> dict[str, float]:
    return {"median": statistics.median(seconds), "max": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--frozen-after", type=float, default=1.0)
    parser.add_argument("--warm-up", type=int, default=20, help="recoveries after which memory is judged")
    arguments = parser.parse_args()
    load_before, threads_before, before = load(), set(threading.enumerate()), vitals()
    if not FAKETIME.is_file():
        raise SystemExit(f"{FAKETIME} is missing; apt install faketime")
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), Path(name) / "clock"
        clock.write_text("+0\n")
        with camera(*SIZES[0], 25, "--audio", environment=moved(clock)) as source, server(folder / "out.mkv") as url:
            config = LiveConfig(frozen_after=arguments.frozen_after, blend=0.0)
            run = LiveRun(source.url, [str(folder / "rec.mkv"), url], config, Stub(NETWORK_SECONDS))
            with running(run):
                wait_for(lambda: run.numbers().published >= FRAMES)
                rows = []
                for number in range(arguments.times):
                    if number % JUMP_EVERY == 0:
                        jump(clock, run, number)
                    rows.append(recovery(source, run, number))
                time.sleep(JUMP_SECONDS)
                outputs = run.numbers().outputs
            done = run.numbers()
        sound = sound_of(folder / "rec.mkv")
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
            "jumps": len(rows[::JUMP_EVERY]),
            "sound": sound,
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
            "outputs_lost": {Path(each.name.split(":")[0]).name: [each.dropped, each.reopened] for each in outputs},
            "each": rows,
            "load_at_begin": load_before,
        },
    )


if __name__ == "__main__":
    main()
