"""What can be done about rain, each under a name: networks, and what they have to beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine, blend_reach, load_network, network_reach
from streamderain.engine.sight import eyes_of
from streamderain.engine.window import Around, Neighbourhood
from streamderain.evaluation.baselines import MedianOfThree, Nothing
from streamderain.frames import Network, Restored
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from streamderain.networks import weights
from streamderain.networks.restorer import pick_device
from streamderain.stream.pipeline import Pipeline, Station


class _Restored(NamedTuple):
    """A frame behind the network: `rainy` and the `change`, (1, 3, H, W) float RGB in units of 0..1, and what a blender
    is given of it.
    """

    rainy: Tensor
    change: Tensor
    moment: Any


@dataclass(frozen=True)
class Method:
    """A network, or what stands in for one, with the settings that it is run with.

    `for_stills` is False for what does nothing to a picture that has no neighbours in time.
    """

    name: str
    network: Network
    config: DerainConfig
    for_stills: bool = True

    @torch.inference_mode()
    def pictures(self, rainy: Tensor) -> Iterator[Tensor]:
        """Derain the consecutive frames of a clip, uint8 RGB (T, 3, H, W): T times (1, 3, H, W) uint8 on the CPU.

        A still picture is a clip of one frame.
        """
        eyes = eyes_of(self.network)
        blender = eyes.blender()
        neighbourhood: Neighbourhood[_Restored] = Neighbourhood(*blend_reach(self.config))
        # Each frame is seen once, as long as windows reach to it.
        seen = lru_cache(self.network.past + 1 + self.network.future)(lambda number: eyes.of_picture(rainy[number]))

        def finished(arounds: list[Around[_Restored]]) -> Iterator[Tensor]:
            for around in arounds:
                here = around.present
                before, after = ([each.moment for each in side] for side in (around.before, around.after))
                added = blender.added(self.config.blending, before, here.moment, after)
                change = here.change if added is None else here.change + added
                mixed = here.rainy + self.config.strength * change
                yield (mixed * 255).round().clamp(0, 255).to(torch.uint8).cpu()

        for number in range(len(rainy)):
            row = [seen(each) for each in self._window(number, len(rainy))]
            clean, present = self.network.restore(eyes.join([row])), eyes.rainy(row[self.network.past])
            restored = _Restored(present, clean - present, eyes.moment(row[self.network.past], clean))
            yield from finished(neighbourhood.push(restored, scene=0))
        yield from finished(neighbourhood.end())

    def _window(self, number: int, length: int) -> list[int]:
        """The numbers of the frames that the network reads for frame `number`; the nearest stand for missing ones."""
        past, future = network_reach(self.network, self.config)
        offsets = (max(-past, min(offset, future)) for offset in range(-self.network.past, self.network.future + 1))
        return [max(0, min(number + offset, length - 1)) for offset in offsets]

    @contextmanager
    def video(self, path: Path) -> Iterator[Iterator[Restored]]:
        """Open a video and derain it frame by frame, as `streamderain derain` does; threads end with the block."""
        with ExitStack() as stack:
            source = stack.enter_context(open_source(path, self.config.hwaccel))
            source.drop_passengers()
            frames: Iterator[Restored] = stack.enter_context(
                Pipeline(source, Station("decode", decode, ahead=2), *Engine(self.network, self.config).stations())
            )
            yield frames


def bundled() -> list[str]:
    """The names of the weights that come with streamderain, the quickest first."""
    paths = {name: path for name, path in weights.installed().items() if path.parent == weights.BUNDLED}
    return sorted(paths, key=lambda name: paths[name].stat().st_size)


def baselines(device: torch.device) -> list[Method]:
    """Doing nothing, and the median of three frames; blending and strength are a network's affair."""
    plain = DerainConfig(blend=0.0)
    return [
        Method("nothing", Nothing(device), plain),
        Method("median", MedianOfThree(device), plain, for_stills=False),
    ]


def networks(models: Sequence[str], config: DerainConfig) -> list[Method]:
    """Each of `models` once, a name or a file, run as `config` says; without any, the one that `config` names,
    and if it leaves the choice, all that are bundled.

    Raises WeightsError and DeviceError.
    """
    chosen = models or (bundled() if config.model == "default" else [config.model])
    return [Method(model, load_network(replace(config, model=model)), config) for model in dict.fromkeys(chosen)]


def every_method(models: Sequence[str], config: DerainConfig) -> list[Method]:
    """The baselines, then the `networks`."""
    return [*baselines(pick_device(config.device)), *networks(models, config)]
