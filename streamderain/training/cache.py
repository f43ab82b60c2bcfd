"""A rolling cache of rendered windows: each is drawn a few times, in other cuts, before it makes room for the next.

Rendering a window takes longer than learning from a part of it. What is in the cache at a step, and what is drawn of
it, follows from the step's number alone, so that a resumed run goes on with what an uninterrupted one would have seen.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from streamderain.networks.drsformer.network import DRSformer
from streamderain.temporal.aligning import aligned_window, ways_through
from streamderain.temporal.filters import median_over_frames
from streamderain.training.samples import RainySamples


class Batch(NamedTuple):
    """N samples, float32 in 0..1: `moved`, (N, T, 3, H, W), windows whose neighbours lie on the current frame;
    `resting`, (N, 3, H, W), the median of the frames as they came; `clean`, (N, 3, H, W), what is to be reached.
    """

    moved: Tensor
    resting: Tensor
    clean: Tensor

    @classmethod
    def of(cls, stacked: Tensor) -> Batch:
        """A batch out of (N, T + 2, 3, H, W) uint8, which ends with resting and clean."""
        pictures = stacked.float() / 255
        return cls(pictures[:, :-2], pictures[:, -2], pictures[:, -1])

    def derained_by(self, network: DRSformer) -> Tensor:
        """What `network` makes of the present frames, (N, 3, H, W) float32 about 0..1."""
        if network.variant.aligned:
            return network.forward_aligned(self.moved, self.resting).float()
        derained: Tensor = network(self.moved.flatten(1, 2))
        return derained.float()


class AlignedWindows(Dataset[tuple[Tensor, float]]):
    """RainySamples as a run would hand them to a network: uint8 (T + 2, 3, side, side), the frames moved onto the
    current one, the median of the frames as they came, the clean frame; and the seconds of a core that it took.

    With `follow` motion is looked for; else neighbours stay as they came.
    """

    def __init__(self, samples: RainySamples, follow: bool) -> None:
        self.samples, self.follow = samples, follow

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        began = time.process_time()
        rainy, clean = (_coded(pictures) for pictures in self.samples[index])
        resting = median_over_frames(rainy[None])
        moved = _aligned(rainy, self.samples.past) if self.follow else rainy
        return torch.cat((moved, resting, clean[None])), time.process_time() - began


def _coded(pictures: Tensor) -> Tensor:
    return (pictures * 255).round().to(torch.uint8)


def _aligned(frames: Tensor, current: int) -> Tensor:
    """(T, 3, H, W) uint8, each frame moved onto the current one, as a run on a CPU does it."""
    pictures = list(frames.permute(0, 2, 3, 1).contiguous().numpy())
    moved = aligned_window(pictures, current, ways_through(pictures))
    return torch.from_numpy(np.stack(moved)).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Draw:
    """How batches are drawn: `batch` cuts of `patch` pixels a side, each window `draws` times on average while it is
    one of the `size` that the cache holds.
    """

    batch: int
    patch: int
    draws: int
    size: int
    seed: int


class RollingCache:
    """Batches without end, drawn from windows that `workers` processes of one thread render, 0 for this one. Where
    there is `changed`, it makes of each window, in this process, the one that is kept.
    """

    def __init__(
        self, windows: AlignedWindows, draw: Draw, workers: int, changed: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.windows, self.draw, self.workers, self.changed = windows, draw, workers, changed
        self.rendering_seconds = 0.0
        """Seconds of a core, spent by the workers on what was taken into the cache so far."""

    def batches(self, step: int) -> Iterator[Tensor]:
        """The batches of `step` and of every step behind it: uint8 (batch, T + 2, 3, patch, patch)."""
        draw = self.draw
        rendered = self._rendered(self._first_of(step))
        cache: deque[Tensor] = deque(maxlen=draw.size)
        while True:
            missing = draw.size - len(cache) or self._first_of(step) - self._first_of(step - 1)
            for _ in range(missing):
                window, seconds = next(rendered)
                cache.append(self.changed(window) if self.changed else window)
                self.rendering_seconds += float(seconds)
            yield self._drawn(cache, random.Random(draw.seed * 2**41 + step))
            step += 1

    def _first_of(self, step: int) -> int:
        """The number of the oldest window that the cache holds at `step`."""
        return step * self.draw.batch // self.draw.draws

    def _rendered(self, first: int) -> Iterator[tuple[Tensor, float]]:
        loader = DataLoader(
            self.windows,
            batch_size=None,
            sampler=_From(first),
            num_workers=self.workers,
            worker_init_fn=_one_thread,
            prefetch_factor=4 if self.workers else None,
        )
        with _opencv_in_one_thread():
            return iter(loader)

    def _drawn(self, cache: deque[Tensor], rng: random.Random) -> Tensor:
        patch = self.draw.patch
        cuts = []
        for window in rng.choices(cache, k=self.draw.batch):
            top, left = (rng.randint(0, side - patch) for side in window.shape[-2:])
            cut = window[..., top : top + patch, left : left + patch]
            cuts.append(cut.flip(-1) if rng.random() < 0.5 else cut)
        return torch.stack(cuts)


class _From(Sampler[int]):
    """All numbers from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        number = self.first
        while True:
            yield number
            number += 1


@contextmanager
def _opencv_in_one_thread() -> Iterator[None]:
    """A process that is forked beside OpenCV's threads gets the locks that they hold, and waits for them for ever."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
