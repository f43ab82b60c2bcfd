"""What cutting a picture into tiles does to it, on rain that the networks were not trained on.

Attention is normalised over all pixels that go through together, so a tile is another function than the picture.
Three ways, on the sample clip: the picture whole; plain tiles, each normalised over itself; and
tiles that share the statistics of the whole picture, taken from it at half the size, where the mixing matrices of all
attention layers are worked out once and then used for every tile. PSNR on Y to the clean picture, and how much the
tiles' borders show: the step in the difference to the whole picture's answer across a border, over that elsewhere.

Writes tiles.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from results import ROOT, save
from torch import Tensor

from streamderain.backends.padding import padded
from streamderain.evaluation.metrics import luma, psnr
from streamderain.media.images import read_clip
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.fused import FusedAttention, fused
from streamderain.networks.tiling import OVERLAP, grid, spans, tiled

FRAMES = 6
TILES = (256 * 256, 128 * 128)


@contextmanager
def remembered(matrices: list[Tensor]) -> Iterator[None]:
    """Every attention layer's mixing matrix goes into `matrices`, in order."""
    mixing = FusedAttention._mixing

    def noted(layer: FusedAttention, query: Tensor, key: Tensor) -> Tensor:
        matrices.append(mixing(layer, query, key))
        return matrices[-1]

    with mock.patch.object(FusedAttention, "_mixing", noted):
        yield


@contextmanager
def given(matrices: list[Tensor]) -> Iterator[None]:
    """The layers use these matrices, in order, again and again."""
    turn = 0

    def next_one(layer: FusedAttention, query: Tensor, key: Tensor) -> Tensor:
        nonlocal turn
        turn += 1
        return matrices[(turn - 1) % len(matrices)]

    with mock.patch.object(FusedAttention, "_mixing", next_one):
        yield


def shared(network: DRSformer, run: Callable[[Tensor], Tensor], window: Tensor, largest: int) -> Tensor:
    """Tiles with the statistics of the whole picture at half the size."""
    matrices: list[Tensor] = []
    with remembered(matrices):
        run(F.avg_pool2d(window, 2))
    with given(matrices):
        return tiled(run, window, largest)


def seam(answer: Tensor, whole: Tensor, largest: int) -> float:
    """How much more the difference to `whole` changes from column to column where tiles begin or end than elsewhere;
    1 where borders don't show.
    """
    height, width = answer.shape[-2:]
    _, columns = grid(height, width, largest, OVERLAP)
    edges = {edge for span in spans(width, columns, OVERLAP) for edge in span} - {0, width}
    steps = (answer - whole).mean(dim=1).diff(dim=-1).abs().mean(dim=(0, 1))
    at = torch.tensor([any(abs(x - edge) <= OVERLAP for edge in edges) for x in range(1, width)])
    return float(steps[at].mean() / steps[~at].mean().clamp(min=1e-9))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=None)
    arguments = parser.parse_args()
    clips = [read_clip(ROOT / "samples" / f"{name}.mp4", FRAMES + 4) for name in ("rainy-temple", "rainy-temple-clean")]
    rainy, clean = (clip.float() / 255 for clip in clips)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for model in arguments.model or ["fast"]:
        network = fused(weights.load(model))

        def run(stacked: Tensor, network: DRSformer = network) -> Tensor:
            return padded(network, stacked, network.variant.size_multiple)

        found: dict[str, list[tuple[float, float]]] = {}
        for number in range(2, 2 + FRAMES):
            window, truth = rainy[number - 2 : number + 3].flatten(0, 1)[None], clean[number : number + 1]
            whole = run(window)
            found.setdefault("whole", []).append((score(whole, truth), 1.0))
            for largest in TILES:
                side = round(largest**0.5)
                for name, answer in (
                    (f"plain tiles of {side}x{side}", tiled(run, window, largest)),
                    (f"tiles of {side}x{side}, shared statistics", shared(network, run, window, largest)),
                ):
                    found.setdefault(name, []).append((score(answer, truth), seam(answer, whole, largest)))
        result[model] = {
            name: {"psnr": sum(each[0] for each in row) / len(row), "seam": sum(each[1] for each in row) / len(row)}
            for name, row in found.items()
        }
    save("tiles", {"clip": "samples/rainy-temple.mp4", "frames": FRAMES, "models": result})


def score(answer: Tensor, truth: Tensor) -> float:
    """PSNR on Y of (1, 3, H, W) in 0..1, as eight bits show them."""
    return psnr(*(luma((each.clamp(0, 1) * 255).round().to(torch.uint8)) for each in (answer, truth)))


if __name__ == "__main__":
    main()
