"""What a network is predicted to take: counted, tensor by tensor."""

from __future__ import annotations

import pytest
import torch

from streamderain.backends.footprint import Footprint, _Ledger, footprint
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.fused import fused, lowered
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.registry import runnable
from tests.networks.small import doubling, network


def of(derainer: DRSformer) -> Footprint:
    return footprint(derainer, runnable(derainer).descriptor)


def test_a_footprint_is_that_of_the_widest_layer() -> None:
    dim = 16
    variants = (Variant(widths=doubling(dim), blocks=(1, 1, 1, 1), expansion=each, mefc=False) for each in (1.0, 4.0))
    lean, rich = (of(fused(network(variant))) for variant in variants)
    assert lean.stem == rich.stem == 2 * 3 * 4
    assert rich.trunk > lean.trunk
    # At the least the residual, its normalised form and the four channels per channel of the feed-forward network.
    assert rich.trunk > 4 * dim * (2 + 4)


def test_half_the_digits_are_half_the_trunk() -> None:
    quick = fused(network(Variant(widths=(16, 32, 64, 128), blocks=(1, 1, 1, 1), mefc=False)))
    whole, half = of(quick), of(lowered(quick, torch.bfloat16))
    assert half.trunk == pytest.approx(whole.trunk / 2, rel=0.05)
    assert half.stem == whole.stem


def test_a_footprint_is_what_torch_really_holds() -> None:
    """Counted by another hand: every tensor of a chain whose sizes are known."""
    frames = torch.zeros(1, 4, 8, 8)
    with _Ledger(frames) as ledger:
        wide = torch.cat((frames, frames, frames), dim=1)
        narrow = wide.sum(dim=1, keepdim=True)
        del wide
        narrow.expand(-1, 64, -1, -1)
        narrow + 1
    assert ledger.most == (4 + 12 + 1) * 8 * 8 * 4
