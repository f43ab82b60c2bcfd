"""The training loop: samples in, weights and a log out; a resumed run ends as an uninterrupted one."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from streamderain.config import TrainConfig
from streamderain.errors import ConfigError, TrainingError
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer, ResidualBlock
from streamderain.networks.restorer import pick_device
from streamderain.networks.variant import Variant
from streamderain.training.clips import Material, RainySamples
from streamderain.training.growth import can_grow, grown
from streamderain.training.plot import draw_log

VALIDATION_SEED = 10
LOG_COLUMNS = ("step", "loss", "still", "still_gain", "moving", "moving_gain", "dry", "seconds")
AVERAGE_DECAY = 0.999
WARM_UP_STEPS = 100
LAST_RATE = 1e-6
SPECTRUM_WEIGHT = 0.1
"""Streaks are lines, so what is left of them shows in few Fourier coefficients."""

FAINT = 0.02
"""Mean difference, in units of 0..1, under which a sample's error counts less and less."""

BEST_PSNR = 60.0
"""Where equal pictures end, in dB, so that one dry sample does not decide a mean."""


@dataclass(frozen=True)
class Stage:
    """The steps from `first` to before `last`, with `batch` samples of `patch` pixels a side."""

    first: int
    last: int
    patch: int
    batch: int


def stages(config: TrainConfig) -> list[Stage]:
    """Equal parts of the run, one for each patch; larger patches come in smaller batches, for equal cost."""
    count = len(config.patch)
    return [
        Stage(
            first=config.steps * number // count,
            last=config.steps * (number + 1) // count,
            patch=patch,
            batch=max(1, round(config.batch * (config.patch[0] / patch) ** 2)),
        )
        for number, patch in enumerate(config.patch)
    ]


class _Numbers(Sampler[list[int]]):
    """The numbers of the samples of each step from `first` on."""

    def __init__(self, first: int, stage: Stage, stride: int) -> None:
        self.first, self.stage, self.stride = first, stage, stride

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.stage.last):
            yield list(range(step * self.stride, step * self.stride + self.stage.batch))


def variant_of(config: TrainConfig) -> Variant:
    """The network that `config` describes. Raises ConfigError where there can be none."""
    names = [each.name for each in fields(Variant)]
    try:
        return Variant(**{name: getattr(config, name) for name in names})
    except ValueError as error:
        raise ConfigError(str(error)) from error


def charbonnier(derained: Tensor, clean: Tensor) -> Tensor:
    """Each sample's mean of sqrt(difference^2 + 1e-6), L1 with a smooth bottom (Lai et al., 2017, eq. 3).

    (N, 3, H, W) twice -> (N,).
    """
    return torch.sqrt((derained - clean) ** 2 + 1e-6).mean(dim=(1, 2, 3))


def spectral(derained: Tensor, clean: Tensor) -> Tensor:
    """Each sample's mean difference of the Fourier coefficients, L1 (Cho et al., 2021, eq. 6), scaled so that
    white noise weighs as much as in `charbonnier`.

    (N, 3, H, W) twice -> (N,).
    """
    coefficients: Tensor = torch.fft.rfft2(derained - clean, norm="ortho")
    return coefficients.abs().mean(dim=(1, 2, 3))


def deraining_loss(derained: Tensor, clean: Tensor) -> Tensor:
    """What is minimised: the mean over the samples of the logarithm of their `charbonnier` and `spectral` errors.

    (N, 3, H, W) twice -> (). The logarithm lets faint rain count almost as much as a cloudburst, whose errors are
    fifty times larger; the constant keeps dry samples from counting for more, which teaches to do nothing.
    """
    error = charbonnier(derained, clean) + SPECTRUM_WEIGHT * spectral(derained, clean)
    return (error + FAINT).log().mean()


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate at `step`: a short rise to the config's, then a cosine that ends near zero."""
    if step < WARM_UP_STEPS:
        return config.rate * (step + 1) / WARM_UP_STEPS
    progress = (step - WARM_UP_STEPS) / max(1, config.steps - WARM_UP_STEPS)
    return LAST_RATE + (config.rate - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))


class Trainer:
    """One network on its way; the config's folder holds checkpoint.pt, log.csv and weights.safetensors.

    `held_out` material is looked at now and then, never learnt from.
    """

    def __init__(self, config: TrainConfig, material: Material, held_out: Material) -> None:
        self.config, self.material, self.folder = config, material, config.folder
        self.device = pick_device(config.device)
        torch.manual_seed(config.seed)
        self.network = DRSformer(variant_of(config)).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=config.rate, weight_decay=1e-4)
        self.step = 0
        self._in_bfloat16()
        samples = RainySamples(held_out, config.patch[0], config.past, config.future, VALIDATION_SEED)
        self._validation = [samples[number] for number in range(config.held_out_samples)]
        self.folder.mkdir(parents=True, exist_ok=True)

    def _in_bfloat16(self) -> None:
        if not self.config.bf16:
            return
        # A CPU is quick at dense convolutions in bfloat16, but slow at the depthwise ones.
        whole = self.device.type == "cuda"
        dense = [module for module in self.network.modules() if isinstance(module, ResidualBlock)]
        for module in [self.network] if whole else dense:
            half = torch.autocast(self.device.type, torch.bfloat16)(module.forward)
            module.forward = half  # type: ignore[method-assign]

    def start_from(self, model: str) -> None:
        """Begin with the weights called `model` instead of random ones, grown where `can_grow` says so.

        Raises TrainingError for another network's, WeightsError where there are none.
        """
        given = weights.load(model)
        state = given.state_dict()
        if can_grow(given.variant, self.network.variant):
            state = grown(state, self.network.variant, seed=self.config.seed)
        self._load(state, state, model)

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one. Raises TrainingError for another network's."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # torch raises whatever the damaged bytes lead it to
            raise TrainingError(f"{path} is damaged; remove it to begin anew") from error
        self._load(saved["network"], saved["average"], str(path))
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step = saved["step"]

    def _load(self, network: dict[str, Tensor], average: dict[str, Tensor], source: str) -> None:
        try:
            self.network.load_state_dict(network)
            self.average.load_state_dict(average)
        except RuntimeError as error:
            sizes = "widths, blocks, heads, residual, expansion, mefc, dense, scale, past and future"
            raise TrainingError(f"{source} is of another network; set {sizes} as it has them") from error

    def run(self, report: Callable[[dict[str, float]], None] = lambda row: None) -> None:
        """Train to the config's last step; `report` gets each row that goes into the log."""
        began, losses = time.monotonic(), []
        for rainy, clean in self._batches():
            losses.append(self._learn(rainy, clean))
            self.step += 1
            if self.step % self.config.validate_every == 0 or self.step == self.config.steps:
                row = {"step": self.step, "loss": sum(losses) / len(losses), **self.validate()}
                row["seconds"] = round(time.monotonic() - began, 1)
                losses.clear()
                self._log(row)
                self._save()
                if self.config.plot:
                    draw_log(self.folder / "log.csv", self.folder / "log.png")
                report(row)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        config, variant = self.config, self.network.variant
        for stage in stages(config):
            samples = RainySamples(self.material, stage.patch, variant.past, variant.future, config.seed)
            numbers = _Numbers(max(self.step, stage.first), stage, config.batch)
            for rainy, clean in DataLoader(samples, batch_sampler=numbers, num_workers=config.workers):
                rainy = rainy.to(self.device, memory_format=torch.channels_last, non_blocking=True)
                yield rainy, clean.to(self.device, non_blocking=True)

    def _learn(self, rainy: Tensor, clean: Tensor) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.config)
        derained = self.network(rainy).float()
        loss = deraining_loss(derained, clean)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimiser.step()
        # Early on the average would still remember the random start.
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        return loss.item()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean PSNR in dB over RGB of the averaged weights on held-out stills and moving windows, and
        how much that is above the untouched input; `dry` is that of the samples without rain.
        """
        scores: dict[str, list[float]] = {name: [] for name in LOG_COLUMNS[2:-1]}
        first = 3 * self.network.variant.past
        for rainy, clean in self._validation:
            derained = self.average(rainy[None].to(self.device))[0].clamp(0, 1).cpu()
            untouched = _psnr(rainy[first : first + 3], clean)
            if untouched >= BEST_PSNR:
                scores["dry"].append(_psnr(derained, clean))
                continue
            kind = "still" if torch.equal(rainy[:3], rainy[-3:]) else "moving"
            scores[kind].append(_psnr(derained, clean))
            scores[f"{kind}_gain"].append(_psnr(derained, clean) - untouched)
        return {name: round(sum(values) / len(values), 3) for name, values in scores.items() if values}

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def _stored(self, value: Tensor) -> Tensor:
        halved = value.half() if self.config.float16 and value.is_floating_point() else value
        return halved.contiguous()

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        averaged = {name: self._stored(value) for name, value in self.average.state_dict().items()}
        # Beside first: a power cut while writing must not cost what the last save had.
        beside = self.folder / "new"
        torch.save(state, beside)
        beside.replace(self.folder / "checkpoint.pt")
        save_file(averaged, beside)
        beside.replace(self.folder / "weights.safetensors")


def _psnr(derained: Tensor, clean: Tensor) -> float:
    error = float(((derained - clean) ** 2).mean())
    return min(BEST_PSNR, -10 * math.log10(error)) if error else BEST_PSNR


def train(config: TrainConfig, report: Callable[[dict[str, float]], None] = lambda row: None) -> Path:
    """Train what `config` describes, or go on with it; returns the file of the weights.

    Raises TrainingError for missing material, another network's checkpoint or weights.
    """
    trainer = Trainer(config, *_divided(config))
    if config.start:
        trainer.start_from(config.start)
    trainer.resume()
    trainer.run(report)
    return config.folder / "weights.safetensors"


def _divided(config: TrainConfig) -> tuple[Material, Material]:
    """What to learn from, and what only judges."""
    material = Material.read(config.photos, [Path(clip) for clip in config.clips], config.pairs)
    judges = Material.read_clips([config.held_out_clip] if config.held_out_clip else [])
    photos = max(1, len(material.photos) - config.held_out_photos)
    pairs = max(0, len(material.pairs) - config.held_out_pairs)
    learnt = Material(material.photos[:photos], material.clips, material.pairs[:pairs])
    return learnt, Material(material.photos[photos:] or material.photos[:1], judges, material.pairs[pairs:])
