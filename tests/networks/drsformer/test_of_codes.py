"""OfCodes: the parts of an aligned network in one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from streamderain.networks.drsformer.of_codes import OfCodes
from streamderain.networks.drsformer.variant import Variant
from tests.networks.small import ALIGNED, network


@pytest.mark.parametrize(
    "variant",
    [
        ALIGNED,
        replace(ALIGNED, past=2, future=0),
        replace(ALIGNED, past=1, future=1),
        replace(ALIGNED, scale=1),
        replace(ALIGNED, mirrored=True),
    ],
)
@torch.inference_mode()
def test_it_computes_what_the_parts_compute(variant: Variant) -> None:
    derainer = network(variant)
    for last in (derainer.output, derainer.vote):
        torch.nn.init.normal_(last.weight, std=0.3)
    codes = torch.randint(0, 256, (2, 3 * variant.pictures, 32, 48), dtype=torch.uint8)
    stem, choices = derainer.entry_of_codes(codes)
    expected = derainer.joined(choices, derainer.trunk(stem))
    assert (expected - choices[:, 0]).abs().mean() > 0.01
    torch.testing.assert_close(OfCodes(derainer)(codes), expected, rtol=0, atol=1e-4)
