"""An int8 trunk is kept in one file, which serves the weights that it was made of and no others."""

from __future__ import annotations

from pathlib import Path

import openvino
import pytest
import torch

from streamderain.backends import openvino as backend
from streamderain.errors import WeightsError
from streamderain.networks.drsformer import quantised
from streamderain.networks.drsformer.variant import Variant
from tests.networks.small import network

SMALL = Variant(
    widths=(4, 8, 8, 8),
    blocks=(0, 0, 1, 1),
    heads=(1, 1, 2, 2),
    residual=(0, 1, 0, 0),
    expansion=1.0,
    mefc=False,
    scale=2,
    dense=(1, 0),
)


@pytest.fixture
def core() -> openvino.Core:
    """The one of this process."""
    return backend.core()


def test_what_is_kept_computes_the_trunk_for_every_size(tmp_path: Path, core: openvino.Core) -> None:
    net = network(SMALL)
    path = quantised.place(tmp_path / "some.safetensors")
    quantised.save(quantised.converted(net), net, path)
    assert [each.name for each in tmp_path.iterdir()] == ["some.int8.zip"]
    model = quantised.load(path, net, core)
    for height, width in ((32, 48), (64, 24)):
        stem = torch.rand(1, 12, height, width)
        model.reshape(list(stem.shape))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answer = torch.from_numpy(compiled([stem.numpy()])[0])
        # Float16 holds eleven bits of each weight.
        torch.testing.assert_close(answer, net.trunk(stem), rtol=0, atol=5e-3)


def test_other_weights_are_refused(tmp_path: Path, core: openvino.Core) -> None:
    net, path = network(SMALL), tmp_path / "some.int8.zip"
    quantised.save(quantised.converted(net), net, path)
    with pytest.raises(WeightsError, match="made of other weights"):
        quantised.load(path, network(SMALL, seed=1), core)


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], None])
def test_a_file_that_is_damaged_or_missing_is_an_error_of_one_line(
    tmp_path: Path, core: openvino.Core, damage: object
) -> None:
    net, path = network(SMALL), tmp_path / "some.int8.zip"
    if callable(damage):
        quantised.save(quantised.converted(net), net, path)
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"is no int8 trunk .*make it anew") as caught:
        quantised.load(path, net, core)
    assert "\n" not in str(caught.value)
