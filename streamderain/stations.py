"""The stations of a run in their order, from decoded frames to pairs of rainy and derained ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.errors import StreamderainError
from streamderain.frames import Derained, Frame, FrameBatch, Network
from streamderain.media.decoder import decode
from streamderain.networks.colour import add_rgb, to_rgb
from streamderain.networks.restorer import Restorer
from streamderain.stream.batcher import batch
from streamderain.stream.pipeline import Station
from streamderain.stream.transfer import Lane, download, lane_on, upload
from streamderain.stream.window import Around, Neighbourhood, Windows, windows
from streamderain.temporal.blend import REACH
from streamderain.temporal.blend_on_device import DeviceBlender, DeviceMoment
from streamderain.temporal.motion import Gauge, Ways
from streamderain.temporal.scenes import mark_scenes

GPU_BATCH = 4
FULL_WITHIN_SECONDS = 0.05
"""A batch leaves this long after its first frame even when it is not full."""


@dataclass
class Dials:
    """What may be turned while a run goes on: `strength` and `blend`, as in DerainConfig."""

    strength: float
    blend: float


def derained(network: Network, config: DerainConfig, dials: Dials | None = None) -> tuple[Station, ...]:
    """The stations from decoding to pairs of rainy and derained frames; an open source feeds the first.

    `dials` are those of the config unless somebody keeps them in hand, who may then turn blending on later.
    """
    device = network.device
    turned = dials or Dials(config.strength, config.blending)
    reach = blend_reach(config, may_turn=dials is not None)
    count = batch_size(config.batch, device)

    def work(batches: Iterable[FrameBatch]) -> Iterator[Derained]:
        return _restore(batches, network, network_reach(network, config), count, lane_on(device))

    return (
        Station("decode", lambda opened: mark_scenes(decode(opened)), ahead=2),
        Station("upload", lambda frames: upload(batch(frames, count, FULL_WITHIN_SECONDS), lane_on(device))),
        Station("restore", work),
        Station("blend", lambda batches: _blend(batches, reach, turned, lane_on(device))),
        Station("download", lambda batches: download(batches, lane_on(device)), ahead=2),
    )


def load_network(config: DerainConfig) -> Restorer:
    """The network that `config` names, as it says. Raises WeightsError and DeviceError."""
    return Restorer.load(config.model, config.device, config.backend, config.precision, config.memory)


def batch_size(config_batch: int, device: torch.device) -> int:
    """The frames that go through the network at once."""
    return config_batch or (GPU_BATCH if device.type == "cuda" else 1)


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


def delay(network: Network, config: DerainConfig, may_turn: bool = False) -> int:
    """How many frames, repeated ones not counted, must have come after a frame before it goes out."""
    return network_reach(network, config)[1] + blend_reach(config, may_turn)[1]


def _restore(
    batches: Iterable[FrameBatch], network: Network, reach: tuple[int, int], most: int, lane: Lane
) -> Iterator[Derained]:
    def picture(arrived: FrameBatch) -> Tensor:
        lane.after(arrived.ready, arrived.data)
        return to_rgb(arrived.data, arrived.layout).clamp(0, 1)

    def restored(window: Windows) -> Derained:
        clean = network.restore(window.pictures)
        # A copy, as a view would hold all neighbours for as long as somebody holds the frame.
        rainy = window.pictures[:, network.past].clone()
        return Derained(window.frames, window.data, rainy, clean, lane.mark())

    # Around the whole loop, as the windows are joined on the device too; this thread does nothing else.
    with torch.inference_mode(), lane.active():
        # What waits at the end of a scene would come together, and take the memory of a larger batch, hence `most`.
        # A loop's name would hold each window while the next is joined; `map` lets go of it.
        yield from map(restored, windows(batches, network.past, network.future, picture, reach, most))


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame that waits for the neighbours that it is blended with, and its planes, from which what it looked like
    before is made again: it would take eight times their memory.
    """

    frame: Frame
    data: Tensor
    moment: DeviceMoment


def _blend(batches: Iterable[Derained], reach: tuple[int, int], dials: Dials, lane: Lane) -> Iterator[FrameBatch]:
    blender, motion = DeviceBlender(dials.blend), Ways(Gauge(lane.device))
    neighbourhood: Neighbourhood[_Waiting] = Neighbourhood(*reach)

    def finished(arounds: list[Around[_Waiting]], newest: _Waiting | None = None, rainy: Tensor | None = None,
                 ) -> Iterator[FrameBatch]:  # fmt: skip
        for around in arounds:
            here = around.present
            blender.strength = dials.blend
            before, after = ([each.moment for each in side] for side in (around.before, around.after))
            # Of one that has not waited it is at hand.
            was = rainy if rainy is not None and here is newest else to_rgb(here.data, here.frame.layout).clamp(0, 1)
            ways = motion.between([each.luma for each in (*before, here.moment, *after)]) if dials.blend else []
            change = blender(before, here.moment, after, ways) - was
            change *= dials.strength
            yield FrameBatch((here.frame,), add_rgb(here.data, change, here.frame.layout), lane.mark())

    def arrived(batch: Derained) -> Iterator[FrameBatch]:
        lane.after(batch.ready, batch.data, batch.rainy, batch.clean)
        parts = (torch.split(each, 1) for each in (batch.data, batch.rainy, batch.clean))
        for frame, data, rainy, clean in zip(batch.frames, *parts, strict=True):
            waiting = _Waiting(frame, data, DeviceMoment.of(rainy, clean))
            ready = neighbourhood.push(waiting, (frame.scene, frame.layout), frame.repeats)
            yield from finished(ready, waiting, rainy)

    with torch.inference_mode(), lane.active():
        try:
            yield from chain.from_iterable(map(arrived, batches))
        except StreamderainError:
            # What is through the network is not lost with what comes after it.
            yield from finished(neighbourhood.end())
            raise
        yield from finished(neighbourhood.end())
