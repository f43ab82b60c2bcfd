"""The fused network: the function of the published one, to rounding, for every kind of block and size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.networks import weights
from streamderain.networks.drsformer import experts
from streamderain.networks.drsformer import network as paper
from streamderain.networks.drsformer.fused import FusedAttention, FusedBlock, FusedExperts, fused, lowered
from streamderain.networks.drsformer.network import DRSformer, TopKSparseAttention
from streamderain.networks.drsformer.variant import Variant
from tests.networks.small import ALIGNED, network, shaken

from .test_network import CASES, FULL, filled


def picture(dim: int, height: int = 9, width: int = 14) -> Tensor:
    return torch.randn(2, dim, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(dim))


def assert_same(answer: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-11 * float(expected.abs().max()))


@pytest.mark.parametrize("expansion", [1.0, 2.0, 2.66, 3.1])
@pytest.mark.parametrize(("dim", "heads"), [(2, 1), (6, 2), (12, 1), (12, 4), (12, 12), (25, 5)])
def test_a_block_is_the_published_block(dim: int, heads: int, expansion: float) -> None:
    block = shaken(paper.SparseTransformerBlock(dim, heads, expansion))
    assert_same(FusedBlock(block)(picture(dim)), block(picture(dim)))


@pytest.mark.parametrize("dim", [1, 4, 7])
def test_the_experts_are_the_published_experts(dim: int) -> None:
    compensator = shaken(experts.MixtureOfExperts(dim))
    assert_same(FusedExperts(compensator)(picture(dim)), compensator(picture(dim)))


def test_what_is_flat_or_black_does_not_divide_by_nothing() -> None:
    block = paper.SparseTransformerBlock(8, 2, 2.0).requires_grad_(False)
    black = torch.zeros(1, 8, 6, 6)
    torch.testing.assert_close(FusedBlock(block)(black), block(black))


VARIANTS = [
    Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 2, 2, 4)),
    Variant(widths=(8, 16, 32, 64), blocks=(1, 0, 2, 1), heads=(1, 2, 2, 4), mefc=False, scale=2, past=1),
    Variant(
        widths=(8, 16, 32, 64), blocks=(0, 1, 1, 1), mefc=False, scale=2, past=2, future=2, dense=(1, 1), aligned=True
    ),
    replace(ALIGNED, widths=(10, 16, 24, 20), blocks=(0, 0, 1, 2), heads=(1, 2, 3, 4), residual=(1, 2, 1, 1),
            expansion=1.4),
    replace(ALIGNED, mirrored=True),
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@torch.inference_mode()
def test_a_network_is_itself_once_fused(variant: Variant) -> None:
    derainer = network(variant)
    for block in derainer.modules():
        if isinstance(block, paper.ResidualBlock):
            block.second.weight.normal_(0, 0.05)
    window = torch.rand(2, 3 * variant.frames, 32, 48)
    torch.testing.assert_close(fused(derainer)(window), derainer(window), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["fast", "best", "picture"])
@torch.inference_mode()
def test_the_bundled_networks_are_themselves_once_fused(name: str) -> None:
    derainer = weights.load(name)
    window = torch.rand(1, 3 * derainer.variant.frames, 48, 64)
    torch.testing.assert_close(fused(derainer)(window), derainer(window), rtol=0, atol=1e-5)


def test_the_network_that_was_fused_stays_what_it_was() -> None:
    derainer = network(VARIANTS[0])
    before = {name: value.clone() for name, value in derainer.state_dict().items()}
    quick = fused(derainer)
    for parameter in quick.parameters():
        parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in derainer.state_dict().items())


def test_nothing_of_the_slow_form_is_left() -> None:
    kinds = (paper.SparseTransformerBlock, experts.MixtureOfExperts, paper.TopKSparseAttention, paper.LayerNorm)
    assert not [module for module in fused(network(VARIANTS[0])).modules() if isinstance(module, kinds)]


@torch.inference_mode()
def test_in_bfloat16_scores_are_still_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    ranked = FusedAttention._ranked

    def spied(self: FusedAttention, scores: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(scores.dtype)
        return ranked(self, scores)

    monkeypatch.setattr(FusedAttention, "_ranked", spied)
    derainer = network(VARIANTS[0])
    stem = torch.rand(1, 3, 16, 24)
    answer = lowered(fused(derainer), torch.bfloat16).trunk(stem.bfloat16())
    assert answer.dtype == torch.bfloat16
    assert set(seen) == {torch.float32}
    torch.testing.assert_close(answer.float(), derainer.trunk(stem), rtol=0, atol=0.05)


WHOLE = ["small", "small_no_mefc", *(pytest.param(case, marks=pytest.mark.slow) for case in FULL)]


def reference(case: str, shared: Path) -> tuple[DRSformer, Tensor, Tensor]:
    """The network in float64, what goes in, and what the published code makes of it."""
    derainer = filled(CASES[case](), shared / "reference").eval()
    assert isinstance(derainer, DRSformer)
    with np.load(shared / "reference" / "reference.npz") as values:
        rainy, expected = (torch.from_numpy(values[f"{case}.{side}"]) for side in ("input", "output"))
    return derainer, rainy, expected


@pytest.mark.parametrize("case", WHOLE)
@torch.inference_mode()
def test_it_computes_the_reference_values(case: str, shared: Path) -> None:
    derainer, rainy, expected = reference(case, shared)
    torch.testing.assert_close(fused(derainer)(rainy), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", WHOLE)
@torch.inference_mode()
def test_in_float32_it_computes_the_reference_values_to_1e_5(
    case: str, shared: Path, monkeypatch: pytest.MonkeyPatch, record_property: pytest.RecordProperty
) -> None:
    """Ranks are taken from float64, so that two scores closer than float32 tells apart keep their order; how many
    pixels differ where they are not is recorded.
    """
    derainer, rainy, expected = reference(case, shared)
    ranks: list[Tensor] = []
    sparse = TopKSparseAttention._sparse

    def remembered(self: TopKSparseAttention, scores: Tensor) -> Tensor:
        ranks.append(scores.argsort(dim=-1, descending=True))
        return sparse(self, scores)

    monkeypatch.setattr(TopKSparseAttention, "_sparse", remembered)
    derainer(rainy)
    quick = fused(derainer.float())
    free = (quick(rainy.float()) - expected).abs()
    record_property("pixels further than 1e-5 where ranks are float32's own", int((free > 1e-5).any(dim=1).sum()))

    def held(self: FusedAttention, scores: Tensor) -> tuple[Tensor, Tensor]:
        index = ranks.pop(0)[..., : self.keeps.shape[0]]
        return scores.gather(-1, index), index

    monkeypatch.setattr(FusedAttention, "_ranked", held)
    torch.testing.assert_close(quick(rainy.float()).double(), expected, rtol=0, atol=1e-5)
    assert not ranks
