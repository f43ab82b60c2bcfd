"""What can be done about rain, each under a name: networks, and what they have to beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.evaluation.baselines import MedianOfThree, Nothing
from streamderain.frames import Restored
from streamderain.model import weights
from streamderain.model.restorer import Restorer, pick_device
from streamderain.run import Network, batch_size, derained
from streamderain.stream.pipeline import Pipeline
from streamderain.temporal.blend import TemporalBlender
from streamderain.video.source import open_source


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
        past, future = self.network.past, self.network.future
        blender = TemporalBlender(self.config.blend)
        before, after = rainy[:1].expand(past, -1, -1, -1), rainy[-1:].expand(future, -1, -1, -1)
        padded = torch.cat((before, rainy, after))
        for first in range(len(rainy)):
            window = padded[first : first + past + 1 + future].to(self.network.device).float() / 255
            clean = blender(self.network.restore(window))
            mixed = torch.lerp(window[past : past + 1], clean, self.config.strength)
            yield (mixed * 255).round().clamp(0, 255).to(torch.uint8).cpu()

    @contextmanager
    def video(self, path: Path) -> Iterator[Iterator[Restored]]:
        """Open a video and derain it frame by frame, as `streamderain derain` does; threads end with the block."""
        with ExitStack() as stack:
            source = stack.enter_context(open_source(path, self.config.hwaccel))
            source.drop_passengers()
            count = batch_size(self.config.batch, self.network.device)
            stations = derained(source, self.network, count, self.config.blend, self.config.strength)
            frames: Iterator[Restored] = stack.enter_context(Pipeline(source, *stations))
            yield frames


def bundled() -> list[str]:
    """The names of the weights that come with streamderain, the quickest first."""
    paths = {name: path for name, path in weights.installed().items() if path.parent == weights.BUNDLED}
    return sorted(paths, key=lambda name: paths[name].stat().st_size)


def baselines(device: torch.device) -> list[Method]:
    """Doing nothing, and the median of three frames; blending and strength are a network's affair."""
    plain = DerainConfig()
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
    return [Method(model, Restorer.load(model, config.device), config) for model in dict.fromkeys(chosen)]


def every_method(models: Sequence[str], config: DerainConfig) -> list[Method]:
    """The baselines, then the `networks`."""
    return [*baselines(pick_device(config.device)), *networks(models, config)]
