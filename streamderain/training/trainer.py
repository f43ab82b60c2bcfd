"""The training loop: samples in, weights and a log out; a resumed run ends as an uninterrupted one."""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from streamderain.backends.fastest import fastest
from streamderain.config import TrainConfig
from streamderain.errors import ConfigError, TrainingError
from streamderain.machine import cores_here
from streamderain.media.images import read_clip
from streamderain.networks import weights
from streamderain.networks.drsformer.experts import MixtureOfExperts
from streamderain.networks.drsformer.network import DRSformer, SparseTransformerBlock
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import pick_device
from streamderain.training.cache import AlignedWindows, Batch, Draw, RollingCache
from streamderain.training.growth import can_grow, grown
from streamderain.training.material import CLIP_FRAMES, Material
from streamderain.training.optimiser import Optimiser
from streamderain.training.plot import draw_log
from streamderain.training.rest import alone_in
from streamderain.training.samples import Mix, RainySamples
from streamderain.training.teacher import Teacher

VALIDATION_SEED = 10
LOG_COLUMNS = ("step", "loss", "still", "still_gain", "moving", "moving_gain", "dry", "core_seconds")
AVERAGE_DECAY = 0.999
WARM_UP_STEPS = 100
LAST_RATE = 1e-6
BEST_PSNR = 60.0
"""The PSNR in dB that equal pictures count with, so that one dry sample does not decide a mean."""


def variant_of(config: TrainConfig) -> Variant:
    """The network that `config` describes. Raises ConfigError where there can be none."""
    names = [each.name for each in fields(Variant)]
    try:
        return Variant(**{name: getattr(config, name) for name in names})
    except ValueError as error:
        raise ConfigError(str(error)) from error


def deraining_loss(derained: Tensor, clean: Tensor, faint: float) -> Tensor:
    """What is minimised: the mean over the samples of the logarithm of their mean squared error, which is PSNR but for
    its sign and unit (Chen et al., "Simple Baselines for Image Restoration", ECCV 2022, use it).

    (N, 3, H, W) twice -> (). The logarithm lets faint rain count almost as much as a cloudburst, whose errors are
    thousands of times larger; the root mean square error `faint`, in units of 0..1, keeps dry samples from counting for
    more, which teaches to do nothing. The square, other than an absolute difference, takes a little away where a
    streak is likely: a network that has learnt nothing yet finds its way from there.
    """
    squared = (derained - clean).square().mean(dim=(1, 2, 3))
    return 0.5 * (squared + faint**2).log().mean()


def is_quick_in_bfloat16(clock: Callable[[], float] = time.perf_counter) -> bool:
    """Whether this CPU takes less time for a dense convolution in bfloat16 than in float32; `clock` gives seconds."""
    picture, weight = torch.rand(1, 64, 64, 64), torch.rand(64, 64, 3, 3)
    ways = {
        str(dtype): partial(F.conv2d, picture.to(dtype), weight.to(dtype), padding=1)
        for dtype in (torch.float32, torch.bfloat16)
    }
    return fastest(ways, clock=clock) == str(torch.bfloat16)


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate at `step`: a short rise to the config's, which then stays, and at the end a straight fall to near zero.

    A rate that stays lets a run end whenever it must (Haegele et al., 2024, arXiv 2405.18392, section 3).
    """
    if step < WARM_UP_STEPS:
        return config.rate * (step + 1) / WARM_UP_STEPS
    fall = max(1, round(config.cooldown * config.steps))
    left = min(1.0, (config.steps - step) / fall)
    return LAST_RATE + (config.rate - LAST_RATE) * left


class Trainer:
    """One network on its way; the config's folder holds checkpoint.pt, state.json, log.csv and weights.safetensors.

    `held_out` material is looked at now and then, never learnt from. `clock` is what the time between two saves is
    measured with, in seconds.
    """

    def __init__(
        self, config: TrainConfig, material: Material, held_out: Material, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config, self.folder, self._clock = config, config.folder, clock
        self.device = pick_device(config.device)
        torch.manual_seed(config.seed)
        self.network = _begun(variant_of(config)).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = Optimiser(self.network, config.rate)
        self.step = 0
        self._spent_before, self._began = 0.0, time.process_time()
        self._in_bfloat16()
        draw = Draw(config.batch, config.patch, config.draws, config.cache, config.seed)
        windows, workers = self._windows(material, config.seed), min(config.workers, cores_here())
        teacher = config.teacher and Teacher.called(config.teacher, config.teaching, self.device, self.network)
        self._cache = RollingCache(windows, draw, workers, teacher.taught if teacher else None)
        judges = self._windows(held_out, VALIDATION_SEED)
        self._validation = [judges[number][0] for number in range(config.held_out_samples)]
        self.folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def prepared(cls, config: TrainConfig) -> Trainer:
        """One with its material read, at the last checkpoint, or with the weights that it starts from.

        Raises TrainingError for missing material, another network's checkpoint or weights.
        """
        trainer = cls(config, *_divided(config))
        if config.start and not (config.folder / "checkpoint.pt").exists():
            trainer.start_from(config.start)
        trainer.resume()
        return trainer

    def _windows(self, material: Material, seed: int) -> AlignedWindows:
        config = self.config
        samples = RainySamples(material, config.window, config.past, config.future, seed, Mix.of(config.mix))
        return AlignedWindows(samples, follow=config.aligned)

    def _in_bfloat16(self) -> None:
        if not self.config.bf16 or (self.device.type == "cpu" and not is_quick_in_bfloat16()):
            return
        bfloat16 = torch.autocast(self.device.type, torch.bfloat16)
        self.network.trunk = bfloat16(self.network.trunk)  # type: ignore[method-assign]
        if self.device.type == "cuda":
            return
        # A CPU is quick at dense convolutions in bfloat16, but slow at the depthwise ones.
        float32 = torch.autocast(self.device.type, enabled=False)
        for module in self.network.modules():
            if isinstance(module, SparseTransformerBlock | MixtureOfExperts):
                module.register_forward_pre_hook(lambda module, given: (given[0].float(),))
                module.forward = float32(module.forward)  # type: ignore[method-assign]

    def start_from(self, model: str) -> None:
        """Begin with the weights called `model` instead of random ones, grown where `can_grow` says so.

        Raises TrainingError for another network's, WeightsError where there are none.
        """
        given = weights.load(model)
        if not isinstance(given, DRSformer):
            raise TrainingError(f"{model} is a {type(given).__name__}; only a DRSformer is trained here")
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
        try:
            self.optimiser.load_state_dict(saved["optimiser"])
        except KeyError as error:
            averaged = path.parent / "weights.safetensors"
            raise TrainingError(
                f"{path} is of an earlier version; begin in another folder with start={averaged}"
            ) from error
        self.step, self._spent_before = saved["step"], saved["core_seconds"]

    def _load(self, network: dict[str, Tensor], average: dict[str, Tensor], source: str) -> None:
        try:
            self.network.load_state_dict(network)
            self.average.load_state_dict(average)
        except RuntimeError as error:
            sizes = "widths, blocks, heads, residual, expansion, mefc, dense, scale, past and future"
            raise TrainingError(f"{source} is of another network; set {sizes} as it has them") from error

    @property
    def core_seconds(self) -> float:
        """Seconds of one core, spent on the run so far, on rendering too; kept over interruptions."""
        return self._spent_before + time.process_time() - self._began + self._cache.rendering_seconds

    def run(
        self, report: Callable[[dict[str, float]], None] = lambda row: None, rest: Callable[[], None] = lambda: None
    ) -> None:
        """Train to the config's last step; `report` gets each row that goes into the log. `rest` is called before each
        step, and may take its time. Raises TrainingError where another training is in the config's folder.
        """
        with alone_in(self.folder):
            self._run(report, rest)

    def _run(self, report: Callable[[dict[str, float]], None], rest: Callable[[], None]) -> None:
        self._began, saved_at, losses = time.process_time(), self._clock(), []
        for stacked in self._cache.batches(self.step):
            if self.step >= self.config.steps:
                return
            rest()
            losses.append(self._learn(Batch.of(stacked.to(self.device, non_blocking=True))))
            self.step += 1
            is_due = self.step % self.config.validate_every == 0 or self.step == self.config.steps
            if is_due:
                row = {"step": self.step, "loss": sum(losses) / len(losses), **self.validate()}
                row["core_seconds"] = round(self.core_seconds, 1)
                losses.clear()
                self._log(row)
            if is_due or self._clock() - saved_at >= 60 * self.config.save_minutes:
                self._save()
                saved_at = self._clock()
            if is_due:
                report(row)

    def _learn(self, batch: Batch) -> float:
        loss = deraining_loss(batch.derained_by(self.network), batch.clean, self.config.faint)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimiser.step(learning_rate(self.step, self.config))
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
        for stacked in self._validation:
            batch = Batch.of(stacked[None].to(self.device))
            derained = batch.derained_by(self.average).clamp(0, 1)
            untouched = _psnr(batch.moved[:, self.config.past], batch.clean)
            if untouched >= BEST_PSNR:
                scores["dry"].append(_psnr(derained, batch.clean))
                continue
            kind = "still" if torch.equal(stacked[0], stacked[self.config.past + self.config.future]) else "moving"
            scores[kind].append(_psnr(derained, batch.clean))
            scores[f"{kind}_gain"].append(_psnr(derained, batch.clean) - untouched)
        return {name: round(sum(values) / len(values), 3) for name, values in scores.items() if values}

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        if self.config.plot:
            draw_log(path, path.with_suffix(".png"))

    def _stored(self, value: Tensor) -> Tensor:
        halved = value.half() if self.config.float16 and value.is_floating_point() else value
        return halved.contiguous()

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "core_seconds": self.core_seconds,
        }
        averaged = {name: self._stored(value) for name, value in self.average.state_dict().items()}
        # Beside first: a power cut while writing must not cost what the last save had.
        beside = self.folder / "new"
        torch.save(state, beside)
        beside.replace(self.folder / "checkpoint.pt")
        save_file(averaged, beside)
        beside.replace(self.folder / "weights.safetensors")
        beside.write_text(
            json.dumps({"step": self.step, "steps": self.config.steps, "core_seconds": self.core_seconds})
        )
        beside.replace(self.folder / "state.json")


def _begun(variant: Variant) -> DRSformer:
    """A network that knows nothing: weights that keep the scale of what they are given (He et al., ICCV 2015, eq. 14),
    which learns as much in two steps as torch's own begin does in three.
    """
    network = DRSformer(variant)
    for name, module in network.named_modules():
        begins_at_nothing = isinstance(module, nn.Conv2d) and not module.weight.any()
        if isinstance(module, nn.Conv2d) and module.groups == 1 and not begins_at_nothing:
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if name == "output":
            module.weight.data.mul_(0.1)
    return network


def _psnr(derained: Tensor, clean: Tensor) -> float:
    error = float(((derained - clean) ** 2).mean())
    return min(BEST_PSNR, -10 * math.log10(error)) if error else BEST_PSNR


def train(config: TrainConfig, report: Callable[[dict[str, float]], None] = lambda row: None) -> Path:
    """Train what `config` describes, or go on with it; returns the file of the weights.

    Raises TrainingError for missing material, another network's checkpoint or weights.
    """
    Trainer.prepared(config).run(report)
    return config.folder / "weights.safetensors"


def _divided(config: TrainConfig) -> tuple[Material, Material]:
    """What to learn from, and what only judges."""
    material = Material.read(config.photos, [Path(clip) for clip in config.clips])
    learnt, judges = material.divided(config.held_out_photos)
    clips = [read_clip(config.held_out_clip, CLIP_FRAMES)] if config.held_out_clip else []
    return Material(learnt, material.clips), Material(judges, clips)
