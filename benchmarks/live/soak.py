"""Whether an hour of the real program takes memory that it does not give back.

`python -m streamderain rtsp://camera rtsp://server rec.mkv --json` runs for --minutes with the bundled network `fast`
at 640x360, from a real camera to a real server and a file. Its memory, files and threads are read from /proc each five
seconds. A leak of one frame, 340 KiB, per thousand would be 30 MiB an hour at 25 frames a second; one of 100 bytes per
frame that is dropped 9 MiB.

Prediction: what is kept by intent fills up: 4096 durations for each of seven stations, 4096 latencies twice, together
1.2 MiB, full after 4096 frames that went out, about a quarter of an hour at five a second. Beyond that the index of the
recording grows by some 30 bytes for each keyframe, 0.1 MiB an hour. So the slope after 10 minutes is below 1 MiB an
hour, most of it from the first minutes.

A window of five frames is 14 MiB, and one more or less is there at any moment, so the slope is that of the least of
each minute after the warm-up, and of those the median over all pairs of minutes (Theil and Sen), which jumps by a
window leave alone where least squares follow them; `between` holds its 95 % confidence interval. soak.json is written
each minute, so that a run that is killed has its results; what the program itself printed comes in the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from parts import FOLDER, Vitals, camera, load, save, server, vitals
from scipy.stats import theilslopes

SAMPLE_SECONDS = 5.0
SAVE_EVERY = 12
STUB = f"""
import sys
sys.path.append({str(FOLDER)!r})
from parts import Stub
from streamderain.cli import main
from streamderain.live import derain
derain.load_network = lambda config: Stub(0.01)
main()
"""


@contextmanager
def program(arguments: list[str], stub: bool, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program; what it prints goes to `said`. It is told to stop in the end, and has 20 s for that."""
    command = [sys.executable, *(["-c", STUB] if stub else ["-m", "streamderain"]), *arguments]
    with said.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()  # Not SIGINT, which a shell has its background jobs, and what they start, ignore.
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def judged(rows: list[tuple[float, Vitals]], warm_up: float) -> dict[str, Any]:
    """What the samples, with their seconds since the start, say; those after `warm_up` seconds of growth."""
    warm = [held for seconds, held in rows if seconds >= warm_up]
    minutes = [warm[first : first + SAVE_EVERY] for first in range(0, len(warm) - SAVE_EVERY + 1, SAVE_EVERY)]
    least = [min(held.rss_mib for held in minute) for minute in minutes]
    hours = [number / 60 for number in range(len(least))]
    steep, _, *between = theilslopes(least, hours) if len(least) > 1 else [None] * 4
    first, last = warm[0] if warm else None, rows[-1][1]
    return {
        "minutes": rows[-1][0] / 60,
        "rss_mib_per_hour": steep,
        "between": between,
        "after_warm_up": first._asdict() if first else None,
        "last": last._asdict(),
        "most": Vitals(*map(max, zip(*(held for _, held in rows), strict=True)))._asdict(),
        "least_rss_mib_each_minute": [round(each, 2) for each in least],
    }


def numbers_in(said: Path) -> dict[str, Any] | str:
    """The JSON that the program printed last, or all that it said."""
    text = said.read_text(errors="replace")
    for line in reversed(text.splitlines()):
        with suppress(ValueError):
            found: dict[str, Any] = json.loads(line)
            return found
    return text[-2000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=10.0, help="minutes that are not judged")
    parser.add_argument("--kill-every", type=float, default=0.0, help="minutes between two deaths of the camera")
    parser.add_argument("--stub", action="store_true", help="a network that sleeps 10 ms, so that 25 fps go through")
    arguments = parser.parse_args()
    warm_up = 60 * min(arguments.warm_up, arguments.minutes / 2)
    about = {
        "size": "640x360",
        "fps": 25,
        "network": "stub, 10 ms" if arguments.stub else "fast",
        "warm_up_minutes": warm_up / 60,
        "kill_every_minutes": arguments.kill_every or None,
        "load_at_begin": load(),
    }
    rows: list[tuple[float, Vitals]] = []
    deaths = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(camera())
        target = stack.enter_context(server(folder / "out.mkv"))
        told = [source.url, target, str(folder / "rec.mkv"), "--json", *([] if arguments.stub else ["--model", "fast"])]
        said = folder / "said"
        with program(told, arguments.stub, said) as process:
            began = time.monotonic()
            while (seconds := time.monotonic() - began) < 60 * arguments.minutes and process.poll() is None:
                rows.append((seconds, vitals(process.pid)))
                if len(rows) % SAVE_EVERY == 0:
                    with redirect_stdout(StringIO()):
                        save("soak", {**about, "deaths": deaths, **judged(rows, warm_up), "ended": False})
                if arguments.kill_every and seconds > 60 * arguments.kill_every * (deaths + 1):
                    deaths += 1
                    source.kill()
                    source.start()
                time.sleep(SAMPLE_SECONDS - (time.monotonic() - began) % SAMPLE_SECONDS)
        found = numbers_in(said)
    ended = {"ended": True, "exit_code": process.returncode, "numbers": found}
    save("soak", {**about, "deaths": deaths, **judged(rows, warm_up), **ended})


if __name__ == "__main__":
    main()
