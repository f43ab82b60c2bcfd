"""Measures one setup at one size: makes the video, warms up, runs."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine, batch_size
from streamderain.errors import DeviceError
from streamderain.media.images import read_clip
from streamderain.media.synthetic import write_test_video
from streamderain.networks import weights
from streamderain.networks.restorer import Restorer, pick_device
from streamderain.profiling.memory import Peak
from streamderain.profiling.rows import Measured, Setup, Size
from streamderain.profiling.runs import SWING, run, timed

FIDELITY_SIZE = Size(360, 640)
"""The size at which a network is first tried, and its precision judged."""

PIXELS_A_SECOND = 2.5e7
"""How fast videos are made, about, on two cores."""


@dataclass(frozen=True)
class Effort:
    """How much is enough: `steps` of a batch that a median is taken over, `seconds` that they should fill, `passes` of
    the network alone, `windows` that a precision is judged by.
    """

    steps: int = 8
    seconds: float = 2.0
    passes: int = 5
    windows: int = 2

    def frames(self, pace: float, batch: int, delay_frames: int) -> int:
        """Frames of a run where one takes `pace` seconds."""
        least = delay_frames + batch * (1 + self.steps)
        filling = math.ceil(self.seconds / pace)
        if SWING / 4 < filling < SWING:
            filling = SWING  # which is not far, and then the encoder is in swing
        return max(least, min(filling, 2 * SWING))


QUICK = Effort(steps=3, seconds=0.5, passes=2, windows=1)


@dataclass(frozen=True)
class Ready:
    """A network that has run once: the setup as it turned out, and seconds that a frame of FIDELITY_SIZE takes it."""

    setup: Setup
    network: Restorer
    pace: float


class Bench:
    """Measures in `folder` with the device, memory, neighbours, blending and encoder of `config`."""

    def __init__(self, folder: Path, config: DerainConfig, effort: Effort) -> None:
        self.effort = effort
        self._folder, self._config = folder, replace(config, overwrite=True)
        self.device = pick_device(config.device)

    def ready(self, wanted: Setup) -> Ready:
        """Load a network and run it, so that what has to be made for it once is made.

        Raises WeightsError, and DeviceError for what this device has not.
        """
        config = self._config
        network = Restorer.load(wanted.model, str(self.device), wanted.backend, wanted.precision, config.memory)
        batch = batch_size(replace(config, batch=wanted.batch), self.device, live=True)
        setup = Setup(weights.named(wanted.model), network.backend.name, network.backend.precision, batch)
        window = self._windows(network, FIDELITY_SIZE, 1)
        passes = [timed(lambda: network.restore(window), self.device) for _ in range(3)]
        return Ready(setup, network, min(passes))

    def psnr(self, ready: Ready) -> float:
        """PSNR over RGB, in dB, of the network against itself in float32, in plain torch if it runs there: of
        `effort.windows` frames of FIDELITY_SIZE. Infinite where they are equal.
        """
        plain = ready.setup.backend if ready.network.is_file else "torch"
        if (ready.setup.backend, ready.setup.precision) == (plain, "float32"):
            return math.inf
        windows = torch.split(self._windows(ready.network, FIDELITY_SIZE, self.effort.windows), 1)
        ours = [ready.network.restore(each) for each in windows]
        with _exact():
            reference = Restorer.load(ready.setup.model, str(self.device), plain, "float32", self._config.memory)
            exact = [reference.restore(each) for each in windows]
        error = float(((torch.cat(ours) - torch.cat(exact)) ** 2).mean())
        return -10 * math.log10(error) if error else math.inf

    def cost(self, ready: Ready, size: Size, pace: float) -> float:
        """Seconds that `measure` will take, getting ready for the size apart, where a frame takes `pace` seconds."""
        batch = ready.setup.batch
        warm, later = _warm_up_frames(batch, ready.network.future), Engine(ready.network, self._config).delay
        frames = self.effort.frames(pace, batch, later)
        runs = 2 if self.device.type == "cuda" else 1
        passed = warm + (1 + self.effort.passes) * batch + runs * frames
        return passed * pace + 2 * frames * size.pixels / PIXELS_A_SECOND

    def measure(self, ready: Ready, size: Size, report: Callable[[float, str], None]) -> Measured:
        """Measure at `size`. `report` is told the share that is done, 0 to 1, and what comes next.

        Raises DeviceError where frames of that size do not fit into memory.
        """
        began = time.perf_counter()
        network, device = ready.network, self.device
        config = replace(self._config, batch=ready.setup.batch)
        batch, later = ready.setup.batch, Engine(network, config).delay
        network.plan(batch, *size)
        report(0.0, "warming up")
        try:
            passes = self._passes(network, size, batch)
        except torch.OutOfMemoryError as error:
            raise DeviceError("does not fit into the GPU's memory; try --memory") from error
        pace = statistics.median(passes[1:])
        warm = _warm_up_frames(batch, network.future)
        output = self._folder / "derained.mp4"
        before = time.perf_counter()
        run(self._clip(size, warm), output, network, config)
        warming = time.perf_counter() - before
        frames = self.effort.frames(pace / batch, batch, later)
        clip = self._clip(size, frames)
        report(0.4, "measuring")
        peak = Peak(device)
        done = run(clip, output, network, config)
        # On a GPU, latency needs a clock that waits, and throughput one that does not.
        settled = run(clip, output, network, config, settled=True) if device.type == "cuda" else done
        return Measured(
            setup=ready.setup,
            size=size,
            fps=1 / done.seconds_per_frame(batch, later),
            network_fps=batch / pace,
            latency=settled.latency(),
            peak_memory_mib=peak.process_mib(),
            peak_gpu_mib=peak.gpu_mib(),
            frames=frames,
            delay_frames=later,
            blend=config.blending,
            seconds=time.perf_counter() - began,
            preparing=max(0.0, passes[0] - pace) + max(0.0, warming - warm * pace / batch),
        )

    def _passes(self, network: Restorer, size: Size, batch: int) -> list[float]:
        """Seconds of each pass of `batch` frames through the network alone, the first, which prepares, included."""
        windows = self._windows(network, size, batch)
        passes = [timed(lambda: network.restore(windows), self.device) for _ in range(1 + self.effort.passes)]
        while sum(passes[1:]) < self.effort.seconds / 2 and len(passes) < 100:
            passes.append(timed(lambda: network.restore(windows), self.device))
        return passes

    def _windows(self, network: Restorer, size: Size, count: int) -> Tensor:
        """(count, past + 1 + future, 3, H, W): decoded frames between their neighbours, as the pipeline gives them."""
        reach = network.past + 1 + network.future
        pictures = read_clip(self._clip(size, count + reach - 1), count + reach - 1)
        pictures = pictures.to(self.device).float() / 255
        return torch.stack([pictures[first : first + reach] for first in range(count)])

    def _clip(self, size: Size, frames: int) -> Path:
        """A video of so many frames, made when it is first asked for."""
        path = self._folder / f"{size}-{frames}.mp4"
        if not path.exists():
            write_test_video(path, *size, frames)
        return path


def _warm_up_frames(batch: int, future: int) -> int:
    """How many frames it takes for the network to meet each number of windows that it will be given at a time."""
    return batch * (1 + math.ceil(future / batch))


@contextmanager
def _exact() -> Iterator[None]:
    """While this lasts, float32 on a GPU is not rounded to TF32."""
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = convolution.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = before
