"""Runs that are killed, again and again, and go on: `python -m tests.parts.kills CLIP FOLDER --kills 200`.

Each run is a process of its own that ends by SIGKILL at an event that is counted in it (`--at` gives them: a frame is
written, a file gets its name, a packet is joined), or at a random moment. Prints a line of JSON: how many results were
equal to that of a run without a break, and how many runs were killed on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.errors import StreamderainError
from streamderain.media import parts as media_parts
from streamderain.media.partial import Partial
from streamderain.media.sink import FileSink
from streamderain.parts import journal, resume
from streamderain.parts.journal import Journal
from streamderain.run import derain

CONFIG = DerainConfig(preset="ultrafast", resume=True, blend=0.0)
EVENTS = ((media_parts.PartSink, "write"), (media_parts.PartSink, "commit"), (media_parts, "put"), (journal, "put"),
          (FileSink, "take"), (FileSink, "commit"), (Partial, "publish"), (os, "replace"), (Path, "unlink"),
          (Path, "rmdir"), (Journal, "add"))  # fmt: skip
"""What is counted, before and after it."""


class Mean:
    """A network that answers with the mean of its window."""

    device, past, future = torch.device("cpu"), 2, 1

    def restore(self, windows: Tensor) -> Tensor:
        return windows.mean(1)


def count_events(then: Callable[[int], None]) -> None:
    """Have `then` called with the number of each event."""
    met = 0

    def counted(function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal met
            met += 1
            then(met)
            answer = function(*given, **named)
            met += 1
            then(met)
            return answer

        return call

    for owner, name in EVENTS:
        setattr(owner, name, counted(getattr(owner, name)))


def run(clip: Path, output: Path, at: int | None = None, after: float | None = None) -> int | None:
    """A run in a process of its own, killed at its event number `at`, or `after` so many seconds: its exit code, None
    where it was killed, 100 and more where it failed.
    """
    child = os.fork()
    if not child:
        if at is not None:
            count_events(lambda met: os.kill(os.getpid(), signal.SIGKILL) if met == at else None)
        try:
            derain(clip, output, CONFIG, network=Mean())
        except StreamderainError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(100)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def events_in(clip: Path, output: Path) -> int:
    """How many there are in a run."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        met = [0]
        count_events(lambda number: met.__setitem__(0, number))
        derain(clip, output, CONFIG, network=Mean())
        os.write(writes, str(met[0]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reads, 20))


def held(path: Path) -> str:
    """A hash of all that is in the file: pictures and when they are shown, sound and when it is heard."""
    found = sha256()
    with av.open(path) as container:
        for frame in container.decode(video=0):
            found.update(f"{frame.pts} {frame.time_base}".encode() + frame.to_ndarray().tobytes())
    with av.open(path) as container:
        for packet in container.demux(audio=0) if container.streams.audio else ():
            found.update(f"{packet.pts} {packet.duration}".encode() + bytes(packet))
    return found.hexdigest()


def left(output: Path) -> list[str]:
    """What is there beside the output that should not be."""
    return [path.name for path in output.parent.iterdir() if path != output]


def is_equal(clip: Path, output: Path, expected: str, kill: Callable[[int], dict[str, Any]]) -> tuple[bool, int]:
    """Whether a film that is begun, killed and gone on with is the expected one, and how often it was killed.
    `kill` tells of each run, by its number, how it ends.
    """
    kills = 0
    while (code := run(clip, output, **kill(kills))) is None:
        kills += 1
    if code and not output.exists():
        return False, kills
    equal = held(output) == expected and not left(output)
    output.unlink()
    return equal, kills


def kills(clip: Path, folder: Path, count: int, at: list[int], part_frames: int, seed: int = 1) -> dict[str, Any]:
    """So many films, each killed once or more."""
    resume.PART_FRAMES = part_frames
    chance, alone = random.Random(seed), folder / "alone"
    alone.mkdir(parents=True)
    began = time.monotonic()
    assert run(clip, alone / "out.mp4") == 0
    lasts, expected = time.monotonic() - began, held(alone / "out.mp4")
    events = events_in(clip, alone / "counted.mp4")

    def ending(number: int, first: int | None) -> dict[str, Any]:
        if number == 0 and first is not None:
            return {"at": first}
        if number > 2:
            return {}
        by_event = chance.random() < 0.7
        return {"at": chance.randint(1, events + 20)} if by_event else {"after": chance.uniform(0, lasts)}

    def output(number: int) -> Path:
        own = folder / str(number)
        own.mkdir()
        return own / "out.mp4"

    films = [[ending(0, each), each] for each in at] or [[ending(0, None), None] for _ in range(count)]
    results = [
        is_equal(clip, output(film), expected, lambda number, first=first: first[0] if not number else
                 ({} if first[1] is not None else ending(number, None)))
        for film, first in enumerate(films)
    ]  # fmt: skip
    return {"films": len(results), "equal": sum(equal for equal, _ in results),
            "kills": sum(killed for _, killed in results), "events": events}  # fmt: skip


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("clip", type=Path)
    given.add_argument("folder", type=Path)
    given.add_argument("--kills", type=int, default=20)
    given.add_argument("--at", type=int, nargs="*", default=[])
    given.add_argument("--part-frames", type=int, default=5)
    given.add_argument("--seed", type=int, default=1)
    asked = given.parse_args()
    print(json.dumps(kills(asked.clip, asked.folder, asked.kills, asked.at, asked.part_frames, asked.seed)))
