"""Trunks become int8 where that pays, and nowhere else."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from streamderain.backends.openvino import core as openvino_core
from streamderain.errors import TrainingError
from streamderain.training import quantising
from tests.networks.small import ALIGNED, network
from tests.training.conftest import photo

PHOTO = photo(3, 192, 200)
SMALL = replace(ALIGNED, widths=(4, 8, 8, 8), residual=(0, 1, 0, 0), expansion=1.0, dense=(1, 0))


def test_codes_are_what_a_network_takes_and_the_same_each_time() -> None:
    first, second = quantising.codes_of_rain(network(SMALL), [PHOTO], 2)
    assert first.shape == second.shape == (1, 24, 192, 192)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, second)
    assert torch.equal(quantising.codes_of_rain(network(SMALL), [PHOTO], 1)[0], first)


def test_a_network_that_takes_no_codes_is_refused() -> None:
    with pytest.raises(TrainingError, match="aligned"):
        quantising.quantised(network(replace(SMALL, aligned=False)), [])


def test_without_nncf_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(TrainingError, match="pip install nncf"):
        quantising.quantised(network(SMALL), [])


@pytest.mark.slow
def test_dense_convolutions_are_rounded_and_depthwise_ones_are_not() -> None:
    pytest.importorskip("nncf")
    net = network(SMALL)
    calibration = quantising.codes_of_rain(net, [PHOTO], 2)
    model = quantising.quantised(net, calibration)
    for each in model.get_ops():
        if (kind := each.get_type_name()) in ("Convolution", "GroupConvolution"):
            # Eight bits become the weights by a multiplication.
            rounded = each.input_value(1).get_node().get_type_name() == "Multiply"
            name = each.get_friendly_name()
            assert rounded == (kind == "Convolution" and "quick.output/" not in name), name
    # Neither the bytes that come in nor the picture that goes out is rounded.
    first = next(each for each in model.get_ordered_ops() if each.get_type_name() == "Convolution")
    assert first.input_value(0).get_node().get_type_name() == "Multiply"
    last = model.get_results()[0].input_value(0).get_node()
    assert [each.get_node().get_type_name() for each in last.input_values()].count("FakeQuantize") == 0
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = torch.from_numpy(compiled([calibration[0].numpy()])[0])
    stem, choices = net.entry_of_codes(calibration[0])
    error = (answer - net.joined(choices, net.trunk(stem))).square().mean()
    # Eight bits leave an error, and a small one.
    assert 1e-12 < error < 1e-4
