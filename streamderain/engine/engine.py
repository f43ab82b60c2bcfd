"""Engine: the whole middle of a run. Decoded frames go in, pairs of rainy and derained ones come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.batching import batch
from streamderain.engine.blend import REACH
from streamderain.engine.colour import add_rgb
from streamderain.engine.lanes import Done, Lane, download, lane_on, upload
from streamderain.engine.scenes import mark_scenes
from streamderain.engine.sight import Eyes, eyes_of
from streamderain.engine.window import Around, Neighbourhood, Windows, windows
from streamderain.errors import StreamderainError
from streamderain.frames import Derained, Frame, FrameBatch, Network, PixelLayout, Restored
from streamderain.networks.restorer import Restorer
from streamderain.stream.pipeline import Pipeline, Station

GPU_BATCH = 4
FULL_WITHIN_SECONDS = 0.05
"""A batch leaves this long after its first frame even when it is not full."""


@dataclass
class Dials:
    """What may be turned while a run goes on: `strength` and `blend`, as in DerainConfig."""

    strength: float
    blend: float


class Engine:
    """Scenes, windows, network and blending, as `config` says, each in a thread of its own while `run` goes on.

    `dials` are those of the config unless somebody keeps them in hand, who may then turn blending on later.
    """

    def __init__(self, network: Network, config: DerainConfig, dials: Dials | None = None) -> None:
        self.network = network
        self.device = network.device
        self.batch_size = batch_size(config, network.device)
        self.reach = network_reach(network, config)
        self._blend_reach = blend_reach(config, may_turn=dials is not None)
        self._dials = dials or Dials(config.strength, config.blending)
        self._eyes: Eyes = eyes_of(network)
        self._prepared: set[PixelLayout] = set()

    @property
    def delay(self) -> int:
        """How many frames, repeated ones not counted, must have come after a frame before it goes out."""
        return self.reach[1] + self._blend_reach[1]

    def run(self, frames: Iterable[Frame]) -> Iterator[Restored]:
        """Derain frames in order of time; threads end with the iterator."""
        with Pipeline(frames, *self.stations()) as restored:
            yield from restored

    def stations(self) -> tuple[Station, ...]:
        """The links of the chain from frames to pairs, for who runs them with others before and behind."""
        return (
            Station("upload", self._uploaded, ahead=2),
            Station("restore", self._restored),
            Station("blend", self._blended),
            Station("download", lambda batches: download(batches, lane_on(self.device)), ahead=2),
        )

    @torch.inference_mode()
    def prepare(self, frame: Frame) -> None:
        """Have the network do what takes it long before the first picture of a size, the first time half a minute; of a
        size that was prepared nothing.
        """
        if frame.layout in self._prepared:
            return
        self._prepared.add(frame.layout)
        (seen,) = self._eyes.see(FrameBatch((frame,), frame.data[None].to(self.device), Done()))
        self.network.restore(self._eyes.join([[seen] * (self.network.past + 1 + self.network.future)]))

    def _uploaded(self, frames: Iterable[Frame]) -> Iterator[FrameBatch]:
        return upload(batch(mark_scenes(frames), self.batch_size, FULL_WITHIN_SECONDS), lane_on(self.device))

    def _restored(self, batches: Iterable[FrameBatch]) -> Iterator[Derained]:
        lane, eyes = lane_on(self.device), self._eyes

        def see(arrived: FrameBatch) -> Any:
            lane.after(arrived.ready, arrived.data)
            return eyes.see(arrived)

        def restored(window: Windows) -> Derained:
            clean = self.network.restore(eyes.join(window.rows))
            return Derained(window.frames, window.data, window.present(self.network.past), clean, lane.mark())

        past, future = self.network.past, self.network.future
        # Around the whole loop, as the windows are joined on the device too; this thread does nothing else.
        with torch.inference_mode(), lane.active():
            # What waits at the end of a scene would come together, and take the memory of a larger batch.
            # A loop's name would hold each window while the next is joined; `map` lets go of it.
            yield from map(restored, windows(batches, past, future, see, self.reach, self.batch_size))

    def _blended(self, batches: Iterable[Derained]) -> Iterator[FrameBatch]:
        lane = lane_on(self.device)
        with torch.inference_mode(), lane.active():
            yield from _Blending(self._blend_reach, self._dials, self._eyes, lane).run(batches)


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame that waits for the neighbours that it is blended with, its planes, what was seen of it, its `moment`, and
    what the network changed, (1, 3, H, W).
    """

    frame: Frame
    data: Tensor
    seen: Any
    moment: Any
    change: Tensor


class _Blending:
    """Holds derained frames back until their neighbours are there, blends them, and adds the change to their planes."""

    def __init__(self, reach: tuple[int, int], dials: Dials, eyes: Eyes, lane: Lane) -> None:
        self._neighbourhood: Neighbourhood[_Waiting] = Neighbourhood(*reach)
        self._blender = eyes.blender()
        self._dials, self._eyes, self._lane = dials, eyes, lane

    def run(self, batches: Iterable[Derained]) -> Iterator[FrameBatch]:
        """One batch a frame; what is through the network is not lost with what comes after it."""
        try:
            yield from chain.from_iterable(map(self._arrived, batches))
        except StreamderainError:
            yield from map(self._finished, self._neighbourhood.end())
            raise
        yield from map(self._finished, self._neighbourhood.end())

    def _arrived(self, derained: Derained) -> Iterator[FrameBatch]:
        self._lane.after(derained.ready, derained.data, derained.clean)
        parts = torch.split(derained.data, 1), derained.seen, torch.split(derained.clean, 1)
        for frame, data, seen, clean in zip(derained.frames, *parts, strict=True):
            change = clean - self._eyes.rainy(seen)
            waiting = _Waiting(frame, data, seen, self._eyes.moment(seen, clean), change)
            yield from map(
                self._finished, self._neighbourhood.push(waiting, (frame.scene, frame.layout), frame.repeats)
            )

    def _finished(self, around: Around[_Waiting]) -> FrameBatch:
        here, change = around.present, around.present.change
        added = self._blender.added(self._dials.blend, around.before, here, around.after)
        if added is not None:
            change = change + added
        change = change * self._dials.strength
        return FrameBatch((here.frame,), add_rgb(here.data, change, here.frame.layout), self._lane.mark())


def load_network(config: DerainConfig) -> Restorer:
    """The network that `config` names, as it says. Raises WeightsError and DeviceError."""
    return Restorer.load(config.model, config.device, config.backend, config.precision, config.memory)


def batch_size(config: DerainConfig, device: torch.device) -> int:
    """The frames that go through the network at once."""
    return config.batch or (GPU_BATCH if device.type == "cuda" else 1)


def network_reach(network: Network, config: DerainConfig) -> tuple[int, int]:
    """How many frames before and after each the network looks at; copies stand for the others that it reads."""
    if config.neighbours == "none":
        return 0, 0
    return network.past, 0 if config.neighbours == "past" else network.future


def blend_reach(config: DerainConfig, may_turn: bool = False) -> tuple[int, int]:
    """How many frames before and after each it is blended with, or would be if that was turned on."""
    if config.blending == 0 and not may_turn:
        return 0, 0
    return REACH, 0 if config.neighbours == "past" else REACH
