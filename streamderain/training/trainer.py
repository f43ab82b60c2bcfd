"""The training loop: samples in, weights and a log out; a resumed run ends as an uninterrupted one."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from streamderain.errors import TrainingError
from streamderain.model.drsformer import DRSformer, Variant
from streamderain.training.clips import Material, RainySamples

VALIDATION_SEED = 7
VALIDATION_SAMPLES = 32
VALIDATION_PATCH = 128


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn: `steps` of `batch` patches of `patch` pixels a side.

    The learning rate rises to `rate` over `warmup` steps and falls to `last_rate` as a cosine.
    `average` is the decay of the running average of the weights, which is what gets written.
    """

    steps: int = 6000
    batch: int = 8
    patch: int = 96
    rate: float = 1e-3
    last_rate: float = 1e-6
    warmup: int = 100
    average: float = 0.999
    seed: int = 1
    workers: int = 1
    validate_every: int = 500


class _From(Sampler[int]):
    """Sample numbers from `first` on, for ever."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last))


def charbonnier(derained: Tensor, clean: Tensor) -> Tensor:
    """Mean of sqrt(difference^2 + 1e-6): L1 with a smooth bottom (Lai et al., 2017, eq. 3)."""
    return torch.sqrt((derained - clean) ** 2 + 1e-6).mean()


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate at `step` of 0..steps."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.last_rate + (recipe.rate - recipe.last_rate) * 0.5 * (1 + math.cos(math.pi * progress))


class Trainer:
    """One network on its way; `folder` holds checkpoint.pt, log.csv and weights.safetensors."""

    def __init__(
        self,
        variant: Variant,
        recipe: Recipe,
        material: Material,
        held_out: Material,
        folder: Path,
        device: torch.device | str = "cpu",
    ) -> None:
        self.recipe, self.material, self.folder = recipe, material, folder
        self.device = torch.device(device)
        torch.manual_seed(recipe.seed)
        self.network = DRSformer(variant).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, weight_decay=1e-4)
        self.step = 0
        samples = RainySamples(held_out, VALIDATION_PATCH, variant.past, variant.future, VALIDATION_SEED)
        self._validation = [samples[number] for number in range(VALIDATION_SAMPLES)]
        folder.mkdir(parents=True, exist_ok=True)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Begin with these weights instead of random ones."""
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one. Raises TrainingError for another network's."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        saved = torch.load(path, map_location=self.device, weights_only=True)
        try:
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
        except RuntimeError as error:
            raise TrainingError(f"{path} is of another network; name another folder or remove it") from error
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step = saved["step"]

    def run(self, report: Callable[[dict[str, float]], None] = lambda row: None) -> None:
        """Train to the recipe's last step; `report` gets each row that goes into the log."""
        began, losses = time.monotonic(), []
        for rainy, clean in self._batches():
            losses.append(self._learn(rainy, clean))
            self.step += 1
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                row = {"step": self.step, "loss": sum(losses) / len(losses), **self.validate()}
                row["seconds"] = round(time.monotonic() - began, 1)
                losses.clear()
                self._log(row)
                self._save()
                report(row)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe, variant = self.recipe, self.network.variant
        samples = RainySamples(self.material, recipe.patch, variant.past, variant.future, recipe.seed)
        numbers = _From(self.step * recipe.batch, recipe.steps * recipe.batch)
        loader = DataLoader(samples, recipe.batch, sampler=numbers, num_workers=recipe.workers)
        for rainy, clean in loader:
            rainy = rainy.to(self.device, memory_format=torch.channels_last, non_blocking=True)
            yield rainy, clean.to(self.device, non_blocking=True)

    def _learn(self, rainy: Tensor, clean: Tensor) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.recipe)
        loss = charbonnier(self.network(rainy), clean)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimiser.step()
        # Early on the average would still remember the random start.
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        return loss.item()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean PSNR in dB over RGB of the averaged weights on held-out stills and moving windows, and
        how much that is above the untouched input.
        """
        scores: dict[str, list[float]] = {"still": [], "still_gain": [], "moving": [], "moving_gain": []}
        first = 3 * self.network.variant.past
        for rainy, clean in self._validation:
            derained = self.average(rainy[None].to(self.device))[0].clamp(0, 1).cpu()
            untouched = _psnr(rainy[first : first + 3], clean)
            if untouched > 60:
                continue
            kind = "still" if torch.equal(rainy[:3], rainy[-3:]) else "moving"
            scores[kind].append(_psnr(derained, clean))
            scores[f"{kind}_gain"].append(_psnr(derained, clean) - untouched)
        return {name: round(sum(values) / len(values), 3) for name, values in scores.items() if values}

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        beside = self.folder / "checkpoint.pt.new"
        torch.save(state, beside)
        beside.replace(self.folder / "checkpoint.pt")
        weights = {name: value.contiguous() for name, value in self.average.state_dict().items()}
        save_file(weights, self.folder / "weights.safetensors")


def _psnr(derained: Tensor, clean: Tensor) -> float:
    return -10 * math.log10(max(1e-10, float(((derained - clean) ** 2).mean())))
