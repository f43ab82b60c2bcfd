"""What live outputs are tested with: pictures that can be told apart, and programs that take a stream."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import SystemRandom

import av
import numpy as np
import pytest
import torch

from streamderain.errors import SinkError
from streamderain.frames import Frame, VideoInfo
from streamderain.media.broadcast import Broadcast, Chunk
from streamderain.media.encoder import Encoding
from streamderain.media.outlet import Outlet
from streamderain.media.pixels import layout_of

CLOCK = Fraction(1, 90000)
PATIENCE = 20.0
INFO = VideoInfo("h264", "yuv420p", 72, 128, CLOCK, Fraction(25))


def brightness(number: int) -> int:
    """The luma of the frame of this number."""
    return 40 + number * 8 % 160


def frame(number: int, info: VideoInfo = INFO) -> Frame:
    """One of 25 a second, all grey and each brighter than the one before, for a while."""
    layout = layout_of(info)
    data = torch.full((layout.samples,), 128, dtype=torch.uint8)
    layout.split(data)[0].fill_(brightness(number))
    return Frame(data, layout, number * 3600, CLOCK, arrived=float(number))


def chunks(count: int, clip: Path | None = None, info: VideoInfo = INFO, encoding: Encoding | None = None) -> tuple[
        Broadcast, list[Chunk]]:  # fmt: skip
    """A broadcast of so many frames, with the sound of `clip`, and all that it sent."""
    sent: list[Chunk] = []
    if clip is None:
        broadcast = Broadcast(info, encoding or Encoding(), None, sent.append)
        for number in range(count):
            broadcast.write(frame(number, info))
    else:
        with av.open(clip) as container:
            broadcast = Broadcast(info, encoding or Encoding(), container.streams.audio[0], sent.append)
            packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        for number in range(count):
            broadcast.write(frame(number, info))
            while packets and packets[0].pts * packets[0].time_base <= number / 25:
                broadcast.sound(packets.pop(0))
    broadcast.close()
    return broadcast, sent


@dataclass
class Recorded:
    """What a file holds: luma and seconds of each frame, and how much sound."""

    lumas: list[int]
    times: list[float]
    sound: list[float]

    def holds(self, numbers: range, slack: int = 4) -> bool:
        """Whether the frames are those of these numbers, as far as the encoder's loss lets one tell."""
        wanted = [brightness(number) for number in numbers]
        return len(wanted) == len(self.lumas) and np.abs(np.subtract(wanted, self.lumas)).max() <= slack


def recorded(path: Path | str) -> Recorded:
    """Decode all of a file."""
    seen = Recorded([], [], [])
    with av.open(path) as container:
        for each in container.decode():
            if isinstance(each, av.VideoFrame):
                luma = np.frombuffer(memoryview(each.planes[0]), np.uint8).reshape(each.height, -1)
                seen.lumas.append(int(np.median(luma[:, : each.width])))
            times = seen.times if isinstance(each, av.VideoFrame) else seen.sound
            assert each.pts is not None
            times.append(float(each.pts * each.time_base))
    return seen


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that nobody listens at, below those that systems give out, so that no one else is given it meanwhile."""
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def receiver(path: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The system's ffmpeg, which copies what `arguments` name to `path`; killed in the end."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("no ffmpeg on PATH to receive with")
    command = [program, "-y", "-hide_banner", "-loglevel", "error", "-nostdin", *arguments, "-c", "copy", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def opened(open: Callable[[], Outlet]) -> Outlet:
    """An outlet, as soon as its receiver listens."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return open()
        except SinkError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def fill(outlet: Outlet, sent: list[Chunk]) -> None:
    """Write all chunks and close."""
    for chunk in sent:
        outlet.write(chunk)
    outlet.close()


def record_for_ever(*names: str) -> None:
    """Record to files in segments of six seconds until killed."""
    outlets: list[Outlet] = []

    def send(chunk: Chunk) -> None:
        outlets[:] = outlets or [Outlet(name, broadcast.streams, segment_seconds=5) for name in names]
        for outlet in outlets:
            outlet.write(chunk)

    broadcast = Broadcast(INFO, Encoding(), None, send)
    for number in itertools.count():
        broadcast.write(frame(number))
        time.sleep(0.004)
