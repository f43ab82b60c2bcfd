"""Engine: the whole middle of a run. Decoded frames go in, pairs of rainy and derained ones come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.batching import batch
from streamderain.engine.blend import REACH
from streamderain.engine.colour import add_rgb
from streamderain.engine.lanes import Lane, download, lanes_on, upload
from streamderain.engine.rain_level import RainLevel
from streamderain.engine.record import Batch, Record
from streamderain.engine.scenes import mark_scenes
from streamderain.engine.sight import Eyes, eyes_of
from streamderain.engine.window import Around, Neighbourhood, windows
from streamderain.errors import StreamderainError
from streamderain.frames import Effort, Frame, Network, PixelLayout, Restored
from streamderain.networks.restorer import Restorer
from streamderain.stream.pipeline import Pipeline, Station

GPU_BATCH = 4
MOST_ABREAST = 4
"""Frames that go through a network on a CPU side by side, each in a thread of its own: two so take two thirds of the
time that both threads need for one after the other.
"""

FULL_WITHIN_SECONDS = 0.05
"""A batch leaves this long after its first frame even when it is not full."""


@dataclass
class Dials:
    """What may be turned while a run goes on: `strength` and `blend`, as in DerainConfig, and the network's
    `effort`.
    """

    strength: float
    blend: float
    effort: Effort = Effort.FULL


class Engine:
    """Scenes, windows, network and blending, as `config` says, each in a thread of its own while `run` goes on.

    `dials` are those of the config unless somebody keeps them in hand, who may then turn blending on later. `rain`
    tells how much it rains. A batch leaves `within` so many seconds after its first frame though it is not full; where
    that is None it waits, and which frames go together does not depend on when they come.
    """

    def __init__(
        self,
        network: Network,
        config: DerainConfig,
        dials: Dials | None = None,
        within: float | None = FULL_WITHIN_SECONDS,
    ) -> None:
        self.network = network
        self.device = network.device
        self.batch_size = batch_size(config, network.device)
        self.reach = network_reach(network, config)
        self._blend_reach = blend_reach(config, may_turn=dials is not None)
        self._dials = dials or Dials(config.strength, config.blending)
        self._eyes: Eyes = eyes_of(network)
        self.rain = RainLevel(config.only_in_rain)
        self._within = within
        self._lanes = lanes_on(network.device)
        self._prepared: set[PixelLayout] = set()

    @property
    def delay(self) -> int:
        """How many frames, repeated ones not counted, must have come after a frame before it goes out."""
        return self.reach[1] + self._blend_reach[1]

    @property
    def lead(self) -> int:
        """How many frames before a frame, repeated ones not counted, have a say in what it becomes."""
        return self.reach[0] + self._blend_reach[0]

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
            Station("download", self._downloaded, ahead=2),
        )

    @torch.inference_mode()
    def prepare(self, frame: Frame, may_halve: bool = False) -> None:
        """Have the network do what takes it long before the first picture of a size, and of half of it where it
        `may_halve` its effort: the first time half a minute, of a size that was prepared nothing.
        """
        if frame.layout in self._prepared:
            return
        self._prepared.add(frame.layout)
        (seen,) = self._eyes.see(frame.data[None].to(self.device), frame.layout)
        for each in [seen, self._eyes.halved(seen)] if may_halve else [seen]:
            self.network.restore(self._eyes.join([[each] * (self.network.past + 1 + self.network.future)]))

    def _uploaded(self, frames: Iterable[Frame]) -> Iterator[Batch]:
        return upload(batch(mark_scenes(frames), self.batch_size, self._within), self._lanes.upload)

    def _restored(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        # Around the whole loop, as the windows are joined on the device too; this thread does nothing else.
        with torch.inference_mode(), self._lanes.compute.active():
            # What waits at the end of a scene would come together, and take the memory of a larger batch.
            # A loop's name would hold each window while the next is joined; `map` lets go of it.
            yield from map(self._derained, windows(batches, self.reach, self.batch_size, self._see))

    def _see(self, batch: Batch) -> None:
        self._lanes.compute.after(batch[0].ready, batch[0].data)
        data = torch.stack([record.data for record in batch])
        for record, seen in zip(batch, self._eyes.see(data, batch[0].frame.layout), strict=True):
            record.seen = seen

    def _derained(self, arounds: list[Around[Record]]) -> Batch:
        effort, batch = self._dials.effort, [around.present for around in arounds]
        if effort is not Effort.NONE and not self.rain.wants([record.frame for record in batch]):
            effort = Effort.NONE
        rows = [[r.seen for r in around.row(self.network.past, self.network.future)] for around in arounds]
        clean = self._clean(rows, [record.seen for record in batch], effort)
        ready = self._lanes.compute.mark()
        for record, each in zip(batch, torch.split(clean, 1), strict=True):
            record.clean, record.ready, record.effort = each, ready, effort
        return batch

    def _clean(self, rows: list[list[Any]], present: list[Any], effort: Effort) -> Tensor:
        """What the network makes of the present frames in their rows, (N, 3, H, W) float RGB."""
        if effort is Effort.FULL:
            return self.network.restore(self._eyes.join(rows))
        rainy = torch.cat([self._eyes.rainy(seen) for seen in present])
        if effort is Effort.NONE:
            return rainy
        small = self.network.restore(self._eyes.join([[self._eyes.halved(seen) for seen in row] for row in rows]))
        # What the network takes away is enlarged, and not the picture, whose details stay.
        change = small - torch.cat([self._eyes.rainy(self._eyes.halved(seen)) for seen in present])
        return (rainy + F.interpolate(change, rainy.shape[-2:], mode="bilinear")).clamp_(0, 1)

    def _downloaded(self, batches: Iterable[Batch]) -> Iterator[Restored]:
        return self.rain.booked(download(batches, self._lanes.download), lambda: self._dials.strength)

    def _blended(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        blending = _Blending(self._blend_reach, self._dials, self._eyes, self._lanes.compute)
        with torch.inference_mode(), self._lanes.compute.active():
            yield from blending.run(batches)


class _Blending:
    """Holds derained frames back until their neighbours are there, blends them, and adds the change to their planes."""

    def __init__(self, reach: tuple[int, int], dials: Dials, eyes: Eyes, lane: Lane) -> None:
        self._neighbourhood: Neighbourhood[Record] = Neighbourhood(*reach)
        self._blender = eyes.blender()
        self._dials, self._eyes, self._lane = dials, eyes, lane

    def run(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """One batch a frame; what is through the network is not lost with what comes after it."""
        try:
            for record in chain.from_iterable(batches):
                yield from map(self._finished, self._arrived(record))
        except StreamderainError:
            yield from map(self._finished, self._neighbourhood.end())
            raise
        yield from map(self._finished, self._neighbourhood.end())

    def _arrived(self, record: Record) -> list[Around[Record]]:
        if self._dials.blend:
            record.moment = self._eyes.moment(record.seen, record.clean)
        if record.effort is not Effort.NONE:
            rainy = self._eyes.rainy(record.seen)
            record.change = torch.sub(record.clean, rainy, out=rainy)
        # In floats it would wait beside what its moment keeps of it.
        del record.clean
        return self._neighbourhood.push(record, record.scene, record.frame.repeats)

    def _finished(self, around: Around[Record]) -> Batch:
        here = around.present
        if here.effort is Effort.NONE:
            return [here]
        if here.moment is not None:
            # Where blending was turned on a moment ago, frames before have none.
            sides = (
                [each.moment for each in side if each.moment is not None] for side in (around.before, around.after)
            )
            added = self._blender.added(self._dials.blend, next(sides), here.moment, next(sides))
            here.change += 0 if added is None else added
        here.data = add_rgb(here.data[None], here.change.mul_(self._dials.strength), here.frame.layout)[0]
        here.ready = self._lane.mark()
        del here.change
        return [here]


def load_network(config: DerainConfig) -> Restorer:
    """The network that `config` names, as it says. Raises WeightsError and DeviceError."""
    return Restorer.load(config.model, config.device, config.backend, config.precision, config.memory)


def batch_size(config: DerainConfig, device: torch.device, live: bool = False) -> int:
    """The frames that go through the network at once; of a live stream on a CPU one, as the first would wait."""
    if config.batch:
        return config.batch
    if device.type == "cuda":
        return GPU_BATCH
    return min(torch.get_num_threads(), MOST_ABREAST) if device.type == "cpu" and not live else 1


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
