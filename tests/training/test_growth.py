"""Growth: the wide network does what the narrow one did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamderain.config import TrainConfig
from streamderain.errors import TrainingError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.training.growth import can_grow, grown
from streamderain.training.material import Material
from streamderain.training.trainer import Trainer
from tests.networks.small import doubling

NARROW = Variant(
    doubling(12), (1, 1, 1, 1), (1, 2, 4, 8), expansion=1.5, mefc=False, scale=2, past=1, future=1, dense=(1, 1)
)
WIDE = doubling(24)


def trained_like(variant: Variant) -> DRSformer:
    """A network with no weight at zero, in float64, so that rounding hides nothing."""
    torch.manual_seed(5)
    network = DRSformer(variant).double().eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        parameter.add_(0.1 * torch.randn_like(parameter) if "temperature" not in name else 0.5)
    return network


@pytest.mark.parametrize("dense", [(1, 1), (2, 3)])
@torch.inference_mode()
def test_the_wide_network_computes_what_the_narrow_one_does(dense: tuple[int, int]) -> None:
    narrow = trained_like(NARROW)
    wide = DRSformer(replace(NARROW, widths=WIDE, dense=dense)).double()
    wide.load_state_dict(grown(narrow.state_dict(), wide.variant, noise=0.0))
    window = torch.rand(2, 9, 32, 48, dtype=torch.float64)
    changed = (narrow(window) - window[:, 3:6]).abs().mean()
    # Twelve keys keep 6, 8, 9 and 9 of themselves; twenty-four keep 12, 16, 18 and 19, so the last branch differs.
    assert (wide(window) - narrow(window)).abs().mean() < 0.01 * changed


@torch.inference_mode()
def test_without_the_branch_that_rounds_elsewhere_it_is_the_same_function() -> None:
    narrow = trained_like(NARROW)
    for name, parameter in narrow.named_parameters():
        if name.endswith("attn4"):
            parameter.zero_()
    wide = DRSformer(replace(NARROW, widths=WIDE)).double()
    wide.load_state_dict(grown(narrow.state_dict(), wide.variant, noise=0.0))
    window = torch.rand(1, 9, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(wide(window), narrow(window), rtol=0, atol=1e-5)


UNEVEN = replace(NARROW, widths=(12, 32, 24, 40), blocks=(0, 1, 1, 1), heads=(5, 2, 4, 8), residual=(1, 0, 1, 2))


@pytest.mark.parametrize(
    ("widths", "residual"),
    [((12, 64, 24, 40), (1, 0, 1, 2)), ((24, 32, 48, 80), (2, 1, 1, 3)), ((12, 32, 24, 40), (1, 1, 2, 2))],
)
@torch.inference_mode()
def test_each_level_can_grow_by_itself(widths: tuple[int, int, int, int], residual: tuple[int, int, int, int]) -> None:
    narrow = trained_like(UNEVEN)
    for name, parameter in narrow.named_parameters():
        if name.endswith(("attn2", "attn4")):
            parameter.zero_()
    wide = DRSformer(replace(UNEVEN, widths=widths, residual=residual)).double()
    assert can_grow(narrow.variant, wide.variant)
    wide.load_state_dict(grown(narrow.state_dict(), wide.variant, noise=0.0))
    window = torch.rand(1, 9, 32, 32, dtype=torch.float64)
    changed = (narrow(window) - window[:, 3:6]).abs().mean()
    assert (wide(window) - narrow(window)).abs().mean() < 0.01 * changed


def test_levels_without_attention_may_have_any_heads() -> None:
    assert can_grow(UNEVEN, replace(UNEVEN, heads=(1, 2, 4, 8)))


@torch.inference_mode()
def test_a_network_can_learn_to_follow_motion_later() -> None:
    narrow = trained_like(NARROW)
    variant = replace(NARROW, aligned=True)
    state = grown(narrow.state_dict(), variant)
    stem = "patch_embed.proj.weight"
    kept = {name: value.float() for name, value in narrow.state_dict().items() if name != stem}
    assert all(torch.equal(state[name], value) for name, value in kept.items())
    assert torch.equal(state[stem][:, :36], narrow.state_dict()[stem].float())
    assert (state[stem][:, 36:] == 0).all()
    again = grown(state, replace(variant, widths=WIDE), noise=0.0)
    torch.testing.assert_close(again["vote.weight"], state["vote.weight"][:, :12].repeat(1, 4, 1, 1) * 0)
    assert torch.equal(again["vote.bias"], state["vote.bias"])


@pytest.mark.parametrize("aligned", [False, True])
@torch.inference_mode()
def test_a_network_for_single_pictures_does_with_one_what_it_did_with_copies(aligned: bool) -> None:
    window = trained_like(replace(NARROW, aligned=aligned))
    single = DRSformer(replace(NARROW, past=0, future=0, dense=(1, 2))).double()
    assert can_grow(window.variant, single.variant)
    single.load_state_dict(grown(window.state_dict(), single.variant))
    picture = torch.rand(2, 3, 96, 64, dtype=torch.float64)
    torch.testing.assert_close(single(picture), window(picture.repeat(1, 3, 1, 1)), rtol=0, atol=1e-4)


def test_noise_parts_the_twins_and_comes_from_the_seed() -> None:
    state, wide = trained_like(NARROW).state_dict(), replace(NARROW, widths=WIDE)
    first, again, other = (grown(state, wide, seed=seed)["patch_embed.proj.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[:12], first[12:])


@pytest.mark.parametrize(
    ("change", "possible"),
    [
        ({"widths": WIDE}, True),
        ({"widths": WIDE, "dense": (4, 14)}, True),
        ({"widths": WIDE, "dense": (0, 1)}, False),
        ({"widths": (12, 48, 48, 192), "residual": (1, 2, 0, 0)}, True),
        ({"heads": (1, 4, 4, 8)}, False),
        ({"aligned": True}, True),
        ({"widths": (36, 72, 144, 288)}, False),
        ({"widths": WIDE, "past": 2}, False),
        ({"past": 0}, False),
        ({"past": 0, "future": 0}, True),
        ({"past": 0, "future": 0, "widths": WIDE}, True),
        ({"widths": WIDE, "blocks": (1, 1, 1, 2)}, False),
        ({"widths": WIDE, "dense": (0, 0), "mefc": True}, False),
    ],
)
def test_only_twice_the_width_and_more_dense_blocks_can_be_grown(change: dict[str, object], possible: bool) -> None:
    assert can_grow(NARROW, replace(NARROW, **change)) is possible  # type: ignore[arg-type]


def test_training_starts_from_a_narrower_network(tmp_path: Path, material: Material) -> None:
    small = TrainConfig(
        folder=tmp_path / "small", device="cpu", widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), expansion=1.0,
        dense=(1, 1), steps=1, batch=1, patch=32, window=32, cache=1, workers=0, held_out_samples=1,
    )  # fmt: skip
    Trainer(small, material, material).run()
    given = str(tmp_path / "small" / "weights.safetensors")
    wide = Trainer(replace(small, folder=tmp_path / "wide", widths=(16, 32, 64, 128)), material, material)
    wide.start_from(given)
    assert wide.network.variant.widths == (16, 32, 64, 128)
    with pytest.raises(TrainingError, match="is of another network"):
        Trainer(replace(small, folder=tmp_path / "wider", widths=(32, 64, 128, 256)), material, material).start_from(
            given
        )
