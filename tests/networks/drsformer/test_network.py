"""DRSformer: what was published, to the last digit, and what every variant says of itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamderain.networks.drsformer import experts
from streamderain.networks.drsformer import network as paper
from streamderain.networks.drsformer.network import KEPT_FRACTIONS, DRSformer, TopKSparseAttention
from streamderain.networks.drsformer.variant import Variant
from tests.networks.small import ALIGNED, TINY, doubling, network
from tests.scripts import module_at

CASES: dict[str, Callable[[], nn.Module]] = {
    "full": DRSformer,
    "full_no_mefc": lambda: DRSformer(Variant(mefc=False)),
    "small": lambda: DRSformer(Variant(widths=(16, 32, 64, 128), blocks=(1, 2, 1, 1))),
    "small_no_mefc": lambda: DRSformer(Variant(widths=(16, 32, 64, 128), blocks=(1, 2, 1, 1), mefc=False)),
    "tksa": lambda: TopKSparseAttention(48, 2),
    "msfn": lambda: paper.MixedScaleFeedForward(32, 2.66),
    "block": lambda: paper.SparseTransformerBlock(48, 4, 2.66),
    "mefc": lambda: experts.MixtureOfExperts(16),
    "downsample": lambda: paper.Downsample(16, 32),
    "upsample": lambda: paper.Upsample(16, 8),
}


def filled(module: nn.Module, folder: Path) -> nn.Module:
    """The module in float64 with the weights that the reference values were computed with."""
    module.double().load_state_dict(module_at(folder / "fill.py").fill(module.state_dict()))
    return module


FULL = ("full", "full_no_mefc")


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow if case in FULL else ()) for case in CASES])
@torch.inference_mode()
def test_it_computes_the_reference_values(case: str, shared: Path) -> None:
    folder = shared / "reference"
    with np.load(folder / "reference.npz") as values:
        rainy, expected = (torch.from_numpy(values[f"{case}.{side}"]) for side in ("input", "output"))
    answer = filled(CASES[case](), folder)(rainy)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-8)


def test_every_reference_value_is_tested(shared: Path) -> None:
    with np.load(shared / "reference" / "reference.npz") as values:
        assert {name.rsplit(".", 1)[0] for name in values} == set(CASES)


@pytest.mark.parametrize(("published", "mefc"), [("drsformer", True), ("drsformer_no_mefc", False)])
def test_names_and_shapes_are_the_published_ones(published: str, mefc: bool, shared: Path) -> None:
    expected = json.loads((shared / "reference" / "parameters.json").read_text())[published]
    with torch.device("meta"):
        state = DRSformer(Variant(mefc=mefc)).state_dict()
    assert {name: list(value.shape) for name, value in state.items()} == expected


VARIANTS = [
    Variant(),
    Variant(mefc=False),
    *(
        Variant(widths=(16, 32, 64, 128), blocks=(1, 2, 3, 1), mefc=mefc, scale=scale, past=past, future=future)
        for mefc, scale, (past, future) in itertools.product((True, False), (1, 2, 4), ((0, 0), (1, 1), (2, 0), (0, 3)))
    ),
    *(
        Variant(widths=doubling(dim), heads=(1, 1, 2, 4), blocks=(1, 1, 1, 2), mefc=False, expansion=expansion)
        for dim, expansion in itertools.product((4, 8, 12, 20, 36, 48, 64), (1.0, 1.5, 2.0, 2.66, 3.1, 4.0))
    ),
    Variant(doubling(16), blocks=(0, 1, 2, 2), expansion=2.0, mefc=False, scale=2, past=2, future=2, dense=(2, 1)),
    Variant(widths=(32, 64, 128, 256), blocks=(0, 0, 1, 1), mefc=False, dense=(0, 3)),
    Variant(
        widths=(8, 16, 32, 64), blocks=(0, 1, 1, 1), mefc=False, scale=2, past=2, future=1, dense=(1, 0), aligned=True
    ),
    Variant(widths=(16, 48, 96, 128), blocks=(0, 0, 1, 2), residual=(1, 2, 0, 0), mefc=False, scale=2, dense=(2, 1)),
    Variant(widths=(10, 64, 64, 20), blocks=(1, 1, 2, 1), heads=(1, 2, 2, 4), residual=(0, 1, 3, 2), expansion=1.4),
    Variant(
        widths=(24, 48, 96, 192), heads=(2, 4, 8, 16), blocks=(2, 1, 1, 1), expansion=2.25, scale=2, past=2, future=1
    ),
    Variant(widths=(16, 32, 64, 128), mefc=False, scale=2, mirrored=True),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_variant_can_be_read_from_the_weights(variant: Variant) -> None:
    with torch.device("meta"):
        state = DRSformer(variant).state_dict()
    # `window` holds numbers, which the meta device has not.
    if variant.frames > 1:
        state["window"] = torch.tensor([variant.past, variant.future])
    assert Variant.of(state) == variant


@pytest.mark.parametrize("expansion", [1.37, 2.125, 2.345, 2.6667, 3.14159, 2 / 3 + 2])
@pytest.mark.parametrize("dim", [8, 17 * 2, 48])
def test_an_odd_expansion_is_read_as_one_that_gives_the_same_shapes(expansion: float, dim: int) -> None:
    with torch.device("meta"):
        state = DRSformer(
            Variant(widths=doubling(dim), blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), mefc=False, expansion=expansion)
        ).state_dict()
        again = DRSformer(Variant.of(state)).state_dict()
    assert {name: value.shape for name, value in again.items()} == {name: value.shape for name, value in state.items()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"widths": (16, 48, 96, 130)},
            r"widths is \(16, 48, 96, 130\); allowed: multiples of 4 below the first level",
        ),
        ({"widths": (0, 48, 96, 128)}, "widths is"),
        ({"widths": (16, 48, 96, 132)}, "8 heads cannot share 132 channels; set heads that divide widths"),
        ({"heads": (1, 2, 0, 8)}, "0 heads cannot share"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Variant(**settings)


@torch.inference_mode()
def test_residual_blocks_stand_in_front_of_a_level_in_encoder_and_decoder() -> None:
    variant = Variant(
        widths=(8, 12, 16, 20), blocks=(0, 1, 1, 1), heads=(3, 2, 2, 4), residual=(1, 2, 0, 1), mefc=False
    )
    derainer = network(variant)
    kinds = {
        name: [type(part) for part in level.children()]
        for name, level in derainer.named_children()
        if "coder_level" in name
    }
    both = [paper.ResidualBlock, paper.ResidualBlock, paper.SparseTransformerBlock]
    assert kinds["encoder_level2"] == kinds["decoder_level2"] == both
    assert kinds["encoder_level1"] == kinds["decoder_level1"] == [paper.ResidualBlock]
    assert derainer.get_parameter("decoder_level1.0.first.weight").shape == (16, 16, 3, 3)
    picture = torch.rand(1, 3, 16, 24)
    before = derainer(picture)
    derainer.get_parameter("decoder_level2.1.second.weight").normal_()
    assert not torch.allclose(derainer(picture), before)


def test_a_name_that_is_missing_is_a_key_error() -> None:
    state = dict(network().state_dict())
    del state["patch_embed.proj.weight"]
    with pytest.raises(KeyError, match=r"patch_embed\.proj\.weight"):
        Variant.of(state)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(("past", "future"), [(0, 0), (1, 1), (2, 0)])
@torch.inference_mode()
def test_the_output_is_one_picture_of_the_size_of_the_input(scale: int, past: int, future: int) -> None:
    variant = Variant(
        widths=(8, 16, 32, 64),
        blocks=(1, 1, 1, 1),
        heads=(1, 1, 1, 2),
        mefc=scale == 1,
        scale=scale,
        past=past,
        future=future,
    )
    multiple = variant.size_multiple
    rainy = torch.rand(2, 3 * variant.frames, 2 * multiple, 3 * multiple)
    assert network(variant)(rainy).shape == (2, 3, 2 * multiple, 3 * multiple)


@torch.inference_mode()
def test_the_network_adds_to_the_current_frame_of_its_window() -> None:
    derainer = network(
        Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 1, 1, 2), mefc=False, past=2, future=1)
    )
    derainer.output.weight.zero_()
    window = torch.rand(1, 4, 3, 16, 16)
    torch.testing.assert_close(derainer(window.flatten(1, 2)), window[:, 2], rtol=0, atol=0)


@torch.inference_mode()
def test_every_frame_of_the_window_has_a_say() -> None:
    derainer = network(
        Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 1, 1, 2), mefc=False, past=1, future=1)
    )
    window = torch.rand(1, 9, 16, 16)
    answer = derainer(window)
    for neighbour in (0, 2):
        other = window.clone()
        other[:, 3 * neighbour : 3 * neighbour + 3] = torch.rand(1, 3, 16, 16)
        assert not torch.allclose(derainer(other), answer)


@torch.inference_mode()
def test_an_aligned_network_begins_with_nearly_the_current_frame_and_can_choose_another() -> None:
    variant = Variant(widths=(8, 16, 32, 64), blocks=(0, 0, 0, 1), mefc=False, scale=2, past=2, future=2, aligned=True)
    derainer = network(variant)
    derainer.output.weight.zero_()
    window = torch.rand(1, 5, 3, 32, 32)
    current, unmoved_median = window[:, 2], window.median(dim=1).values
    assert (derainer(window.flatten(1, 2)) - current).abs().mean() < 0.05
    # The last of four candidates; each has one logit for each of the four pixels of a stem's.
    derainer.vote.bias[-4:] = 50
    torch.testing.assert_close(derainer(window.flatten(1, 2)), unmoved_median)


@pytest.mark.parametrize("variant", [replace(TINY, scale=2), replace(TINY, past=1, future=1), ALIGNED])
@torch.inference_mode()
def test_a_mirrored_network_is_the_mean_of_what_it_says_of_a_picture_and_of_its_mirror_image(variant: Variant) -> None:
    both, plain = network(replace(variant, mirrored=True)), network(variant)
    pictures = torch.rand(2, variant.frames, 3, 32, 48)
    # Still, so that motion is looked for in vain, whose steps differ in a mirror.
    window = pictures[:, :1].expand_as(pictures).flatten(1, 2)
    straight, turned = plain(window), plain(window.flip(-1)).flip(-1)
    assert not torch.allclose(straight, turned, atol=1e-3)
    torch.testing.assert_close(both(window), (straight + turned) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(both(window.flip(-1)).flip(-1), both(window), rtol=0, atol=1e-6)


def test_a_mirrored_network_learns_from_pictures_as_they_come() -> None:
    both, plain = network(replace(TINY, mirrored=True)).train(), network(TINY).train()
    assert torch.equal(both(torch.ones(1, 3, 16, 24)), plain(torch.ones(1, 3, 16, 24)))


def sparse_by_hand(scores: Tensor, weights: list[float]) -> Tensor:
    """Row by row: all but the top scores become minus infinity, then softmax, then the weighted sum."""
    total = torch.zeros_like(scores)
    keys = scores.shape[-1]
    for (numerator, denominator), weight in zip(KEPT_FRACTIONS, weights, strict=True):
        kept = max(1, keys * numerator // denominator)
        for place in itertools.product(*map(range, scores.shape[:-1])):
            row = scores[place]
            smallest_kept = sorted(row.tolist(), reverse=True)[kept - 1]
            masked = torch.where(row >= smallest_kept, row, torch.tensor(-torch.inf, dtype=row.dtype))
            total[place] += weight * masked.softmax(dim=-1)
    return total


def attention(dim: int, heads: int) -> TopKSparseAttention:
    torch.manual_seed(dim)
    module = TopKSparseAttention(dim, heads).double().requires_grad_(False)
    for branch, weight in enumerate((0.1, 0.2, 0.4, 0.8), start=1):
        module.get_parameter(f"attn{branch}").fill_(weight)
    module.temperature.copy_(torch.linspace(0.5, 4.0, heads).view(-1, 1, 1))
    return module


@pytest.mark.parametrize("keys", [1, 2, 3, 5, 12, 24])
def test_each_branch_keeps_its_top_scores_only(keys: int) -> None:
    scores = torch.randn(2, 3, keys, keys, dtype=torch.float64, generator=torch.Generator().manual_seed(keys))
    expected = sparse_by_hand(scores, [0.1, 0.2, 0.4, 0.8])
    torch.testing.assert_close(attention(8, 1)._sparse(scores), expected, rtol=0, atol=1e-12)


def test_a_score_below_all_four_fractions_counts_for_nothing() -> None:
    scores = torch.arange(10.0, dtype=torch.float64).expand(1, 1, 10, 10)
    kept = attention(8, 1)._sparse(scores)
    # The widest branch keeps 4/5 of ten keys.
    assert (kept[..., :2] == 0).all()
    assert (kept[..., 2:] > 0).all()
    torch.testing.assert_close(kept.sum(-1), torch.full((1, 1, 10), 1.5, dtype=torch.float64))


@pytest.mark.parametrize(("dim", "heads"), [(12, 1), (12, 2), (12, 12), (20, 4)])
def test_attention_is_what_the_slow_form_computes(dim: int, heads: int) -> None:
    module = attention(dim, heads)
    x = torch.randn(2, dim, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    projected = F.conv2d(F.conv2d(x, module.qkv.weight), module.qkv_dwconv.weight, padding=1, groups=3 * dim)
    answers = []
    for picture in projected:
        of_heads = []
        for head in range(heads):
            width = dim // heads
            query, key, value = (
                picture[part * dim + head * width : part * dim + (head + 1) * width].flatten(1) for part in range(3)
            )
            query, key = query / query.norm(dim=1, keepdim=True), key / key.norm(dim=1, keepdim=True)
            scores = query @ key.T * module.temperature[head].item()
            of_heads.append((sparse_by_hand(scores, [0.1, 0.2, 0.4, 0.8]) @ value).view(width, 5, 7))
        answers.append(torch.cat(of_heads))
    expected = F.conv2d(torch.stack(answers), module.project_out.weight)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)


def test_expert_weights_add_up_to_one_in_every_step() -> None:
    torch.manual_seed(0)
    weights = experts.ExpertWeights(8)(torch.rand(3, 8, 6, 6))
    assert weights.shape == (3, 4, 8)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4))


@torch.inference_mode()
def test_a_residual_block_is_two_convolutions_added_and_nothing_at_first() -> None:
    block = paper.ResidualBlock(4)
    x = torch.randn(2, 4, 6, 5)
    assert torch.equal(block(x), x)
    block.second.weight.normal_()
    inner = F.relu(F.conv2d(x, block.first.weight, block.first.bias, padding=1))
    torch.testing.assert_close(block(x), x + F.conv2d(inner, block.second.weight, block.second.bias, padding=1))


def test_the_size_that_must_divide_the_input_grows_with_the_stem() -> None:
    assert [Variant(scale=scale).size_multiple for scale in (1, 2, 4)] == [8, 16, 32]
    assert TINY.frames == 1
    assert Variant(past=2, future=1).frames == 4
