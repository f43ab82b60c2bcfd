"""Restorer: a network on a device, ready to derain pictures of any size."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn

from streamderain.backends.padding import padded
from streamderain.backends.runnable import Runnable, fingerprint
from streamderain.backends.table import Backend, open_backend
from streamderain.errors import DeviceError
from streamderain.networks.loading import load
from streamderain.networks.memory import Plan, budget, planned
from streamderain.networks.registry import runnable
from streamderain.networks.steps import Untold, are_sound, in_units, in_words, is_out_of_memory, smaller
from streamderain.networks.tiling import tiled, tiled_to
from streamderain.temporal.aligning import is_available, network_window, planes_of, ways_through

logger = logging.getLogger(__name__)

PIPELINE_BYTES, WINDOW_BYTES = 520, 30
"""What the rest of a run holds for each pixel of its frames: decoded, blended and encoded ones, and for each frame of a
window. Measured on 40 frames of 3840x2160 with x264 on a CPU.
"""


def pick_device(wanted: str) -> torch.device:
    """The device behind "auto" (cuda, then mps, then cpu), "cpu", "cuda", "cuda:1" or "mps".

    Raises DeviceError when this machine lacks it.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise DeviceError(f"no device is called {wanted}; allowed: auto, cpu, cuda, cuda:N, mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"{wanted} is not here: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; "
            "try --device auto, or `streamderain doctor`"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps is not here: this is no Mac with Apple silicon; try --device auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"{wanted} is a device streamderain does not use; allowed: auto, cpu, cuda, cuda:N, mps")
    return device


class Restorer:
    """Derains pictures on `device`; `past` and `future` are the neighbours it wants beside each frame.

    `network` is one of the registry's kinds, or what `networks.loading` made of any other; one that `is_file` does not
    run in plain torch. Where memory gives out, frames go through in smaller pieces, which the log says once for each
    step. `recomputed` counts answers that could be none and were computed again in float32; `untouched` frames that
    stay as they came, as that made no numbers either, or as a GPU told of them later.
    """

    def __init__(
        self,
        network: nn.Module | Runnable,
        device: torch.device | str = "cpu",
        backend: str = "auto",
        precision: str = "auto",
        memory: float = 0.0,
    ) -> None:
        self.device = torch.device(device)
        described = network if isinstance(network, Runnable) else runnable(network)
        self.descriptor = described.descriptor
        self.is_file = described.file is not None
        self.backend = open_backend(described, self.device, backend, precision)
        self._described = described
        self._memory = memory
        self._plans: dict[tuple[int, int, int], Plan] = {}
        # What memory has turned out to allow, by height and width.
        self._most: dict[tuple[int, int], Plan] = {}
        self._running: Backend = self.backend
        self._told: set[str] = set()
        self.recomputed = self.untouched = 0
        # To look at each answer, this thread would have to wait for a GPU.
        self._is_trusting = self.device.type == "cuda"
        self._untold: deque[Untold] = deque()

    @classmethod
    def load(
        cls,
        model: str = "default",
        device: str = "auto",
        backend: str = "auto",
        precision: str = "auto",
        memory: float = 0.0,
    ) -> Restorer:
        """The network called `model`, or in the file of that path, on `device`, in at most `memory` GiB, 0 for most of
        what is free; see `open_backend` for the rest.

        Raises WeightsError and DeviceError.
        """
        picked = pick_device(device)
        return cls(load(model), picked, backend, precision, memory)

    @cached_property
    def fingerprint(self) -> str:
        """What tells it from every other: its weights, and what runs them, how exactly and where."""
        state, file = self._described.module, self._described.file
        weights = fingerprint(state.state_dict() if state else {}, file.read_bytes() if file else b"")
        return f"{weights} {self.backend.name} {self.backend.precision} {self.device}"

    @property
    def past(self) -> int:
        """Frames before the current one that the network reads."""
        return self.descriptor.past

    @property
    def future(self) -> int:
        """Frames after the current one that the network reads."""
        return self.descriptor.future

    @property
    def takes_aligned(self) -> bool:
        """Whether `restore` also takes windows that were aligned outside, which is done best on a CPU."""
        return self.descriptor.aligned and self.backend.takes_aligned and self.device.type == "cpu" and is_available()

    @torch.inference_mode()
    def restore(self, windows: Tensor) -> Tensor:
        """Derain N frames that stand between their neighbours.

        `windows`: (N, past + 1 + future, 3, H, W) float32 RGB in 0..1 on `device`, in order of time, any H
        and W. Or, where it `takes_aligned`, uint8 (N, K, 3, H, W), each what `temporal.aligning.network_window` makes.
        Returns (N, 3, H, W) float32 in 0..1.
        """
        if windows.is_floating_point() and self.takes_aligned:
            windows = self._aligned(windows)
        return self._sound(self._within_memory(windows), windows)

    def _within_memory(self, windows: Tensor) -> Tensor:
        """The answers, unclamped; where memory gives out, in smaller pieces from then on, and at last on the CPU."""
        count, (height, width) = len(windows), windows.shape[-2:]
        while True:
            plan = self.plan(count, height, width)
            try:
                return self._through(self._running, windows, plan)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error).partition("\n")[0] or type(error).__name__
            # Not before: an error holds on to all that was made on the way to it.
            self._step_down(plan, (height, width), said)

    def _step_down(self, plan: Plan, size: tuple[int, int], said: str) -> None:
        """Do with less memory from now on. Raises DeviceError where that is not possible."""
        height, width = size
        less = smaller(plan, height * width, is_cut=self.descriptor.size is None)
        if less:
            logger.warning("memory gave out (%s); from here on %s", said, in_words(less, height * width))
        elif self._running is self.backend and self.device.type != "cpu":
            logger.warning("memory gave out on %s (%s); from here on the CPU is used", self.device, said)
            self._running = open_backend(self._described, torch.device("cpu"), precision="float32")
        else:
            raise DeviceError(f"memory gave out ({said}), and less is not possible; close programs, or try a smaller "
                              "--model")  # fmt: skip
        self._most[size] = less or Plan(1, height * width, 0)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _sound(self, clean: Tensor, windows: Tensor) -> Tensor:
        """The answers, clamped to 0..1, each of which can be one: others are computed again in float32, and a frame of
        which that makes no numbers either stays as it came. So do all of those on a GPU, which is not waited for, until
        one of them is heard of.
        """
        rainy, clean = windows[:, self.past], clean.clamp_(0, 1)
        self._hear()
        fine = are_sound(clean, rainy)
        if self._is_trusting:
            self._untold.append(Untold(fine))
            return torch.where(fine[:, None, None, None], clean, in_units(rainy))
        for place, each in enumerate(fine.tolist()):
            if not each:
                clean[place] = self._again(clean[place], windows[place])
        return clean

    def _hear(self) -> None:
        """Learn what a GPU has told since of earlier answers; one that was wrong ends the trust."""
        # Taken before it is looked at, as several threads may be here; where there is none left, they are done.
        with suppress(IndexError):
            while (earliest := self._untold.popleft()).is_told:
                if wrong := earliest.wrong:
                    self._tell_once("a frame came out wrong and stays as it came; from here on each is looked at")
                    self.untouched += wrong
                    self._is_trusting = False
            self._untold.appendleft(earliest)

    def _again(self, clean: Tensor, window: Tensor) -> Tensor:
        if self._running.precision != "float32":
            self._tell_once("a frame came out wrong in %s; such are computed again in float32", self._running.precision)
            self.recomputed += 1
            plan = Plan(1, self.plan(1, *window.shape[-2:]).tile, 0)
            clean = self._through(self._exact, window[None], plan)[0].clamp(0, 1)
        if clean.isfinite().all():
            return clean
        self._tell_once("a frame came out as no numbers in float32 too; such stay as they came")
        self.untouched += 1
        return in_units(window[self.past])

    def _tell_once(self, words: str, *values: object) -> None:
        if words not in self._told:
            logger.warning(words, *values)
            self._told.add(words)

    @cached_property
    def _exact(self) -> Backend:
        return open_backend(self._described, self._running_on, "auto" if self.is_file else "torch", "float32")

    @property
    def _running_on(self) -> torch.device:
        return self.device if self._running is self.backend else torch.device("cpu")

    def _through(self, backend: Backend, windows: Tensor, plan: Plan) -> Tensor:
        run = partial(self._padded, backend)
        groups = torch.split(windows.flatten(1, 2).to(self._running_on), plan.batch)
        return torch.cat([self._in_tiles(run, group, plan.tile) for group in groups]).to(windows.device)

    def _in_tiles(self, run: Callable[[Tensor], Tensor], stacked: Tensor, largest: int) -> Tensor:
        if self.descriptor.size is not None:
            return tiled_to(run, stacked, self.descriptor.size)
        return tiled(run, stacked, largest)

    def _aligned(self, windows: Tensor) -> Tensor:
        """Frames as they came -> what `network_window` makes of each window."""
        codes = (windows * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous().numpy()
        rows = [planes_of(network_window(list(row), self.past, ways_through(row))) for row in codes]
        return torch.from_numpy(np.stack(rows))

    def plan(self, batch: int, height: int, width: int) -> Plan:
        """How `batch` frames of that size go through, as memory allows; made when that size is first asked for.

        Raises DeviceError where they cannot.
        """
        size = (batch, height, width)
        if size not in self._plans:
            limit = budget(self.device, self._memory)
            held = PIPELINE_BYTES + self.descriptor.frames * WINDOW_BYTES
            most = min(batch, self.descriptor.most or batch)
            self._plans[size] = planned(most, height * width, self._network_bytes, held, limit)
        plan, most_now = self._plans[size], self._most.get((height, width))
        if most_now is None:
            return plan
        return Plan(min(plan.batch, most_now.batch), min(plan.tile, most_now.tile), min(plan.bytes, most_now.bytes))

    @cached_property
    def _network_bytes(self) -> float:
        return self.backend.bytes_per_pixel()

    def _padded(self, backend: Backend, stacked: Tensor) -> Tensor:
        descriptor, run = self.descriptor, partial(self._ranged, backend)
        if descriptor.size is not None:
            return padded(run, stacked, 1, descriptor.size)
        return padded(run, stacked, descriptor.size_multiple)

    def _ranged(self, backend: Backend, stacked: Tensor) -> Tensor:
        return self.descriptor.left(backend(self.descriptor.entered(stacked)))

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, consecutive: bool = False) -> Tensor:
        """Derain uint8 RGB pictures, (N, 3, H, W); returns the same shape and dtype, on the same device.

        By default each picture stands for itself. With `consecutive` they are the frames of one clip, in
        order, and a network that looks at neighbours sees them. Raises ValueError for another shape or dtype.
        """
        if pictures.dtype != torch.uint8 or pictures.dim() != 4 or pictures.shape[1] != 3:
            raise ValueError(
                f"pictures are {tuple(pictures.shape)} {pictures.dtype}; expected (N, 3, H, W) torch.uint8"
            )
        if not len(pictures):
            return pictures.clone()
        clips = [pictures] if consecutive else list(torch.split(pictures, 1))
        return torch.cat([self._clip(clip) for clip in clips])

    def _clip(self, clip: Tensor) -> Tensor:
        before, after = clip[:1].expand(self.past, -1, -1, -1), clip[-1:].expand(self.future, -1, -1, -1)
        pictures = torch.cat((before, clip, after))
        # One frame at a time, so that a long clip needs no more of the device's memory than a short one.
        windows = (pictures[first : first + self.descriptor.frames] for first in range(len(clip)))
        return torch.cat([self._frame(window).to(clip.device) for window in windows])

    def _frame(self, window: Tensor) -> Tensor:
        """(past + 1 + future, 3, H, W) uint8 -> (1, 3, H, W) uint8, on the network's device."""
        derained = self.restore(window[None].to(self.device).float() / 255)
        return (derained * 255).round().to(torch.uint8)
