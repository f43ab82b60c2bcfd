"""A network in int8 is kept in one file, which serves the weights that it was made of and no others."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import openvino
import pytest
import torch
from torch import Tensor

from streamderain.backends import openvino as backend
from streamderain.backends import quantised
from streamderain.backends.openvino import OpenvinoBackend
from streamderain.backends.table import open_backend
from streamderain.errors import DeviceError, WeightsError
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.training.quantising import of_codes
from tests.backends.parted import Parted, parted

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def core() -> openvino.Core:
    """The one of this process."""
    return backend.core()


def form_of(network: Parted) -> openvino.Model:
    """The network as a function of codes, for every size; what of it is int8 is nothing that this file asks."""
    model = backend.converted(network, "of_codes", torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    model.reshape([1, 3, -1, -1])
    return model


def kept(tmp_path: Path, network: Parted) -> Path:
    path = quantised.place(tmp_path / "some.safetensors")
    quantised.save(form_of(network), network, path)
    return path


def codes(height: int = 32, width: int = 40) -> Tensor:
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)


def test_what_is_kept_computes_the_network_for_every_size(tmp_path: Path, core: openvino.Core) -> None:
    network = Parted()
    path = kept(tmp_path, network)
    assert [each.name for each in tmp_path.iterdir()] == ["some.int8.zip"]
    model = quantised.load(path, network, core)
    for given in (codes(32, 48), codes(64, 24)):
        model.reshape(list(given.shape))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answer = torch.from_numpy(compiled([given.numpy()])[0])
        # Float16 holds eleven bits of each weight.
        torch.testing.assert_close(answer, network.of_codes(given), rtol=0, atol=5e-3)


def test_other_weights_are_refused(tmp_path: Path, core: openvino.Core) -> None:
    with pytest.raises(WeightsError, match="made of other weights"):
        quantised.load(kept(tmp_path, Parted()), Parted(seed=1), core)


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], None])
def test_a_file_that_is_damaged_or_missing_is_an_error_of_one_line(
    tmp_path: Path, core: openvino.Core, damage: object
) -> None:
    network, path = Parted(), tmp_path / "some.int8.zip"
    if callable(damage):
        path = kept(tmp_path, network)
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"is no network in int8 .*make it anew") as caught:
        quantised.load(path, network, core)
    assert "\n" not in str(caught.value)


class Shifted(Parted):
    """Another function of the same weights, so that it shows which form is run."""

    def trunk(self, stem: Tensor) -> Tensor:
        return super().trunk(stem) + 0.25


def with_a_rounded_form(tmp_path: Path, seed: int = 0) -> Path:
    path = tmp_path / "some.int8.zip"
    quantised.save(form_of(Shifted(seed)), Shifted(seed), path)
    return path


@torch.inference_mode()
def test_codes_go_through_the_file_and_frames_as_they_came_through_the_network(tmp_path: Path) -> None:
    network = replace(parted(), rounded=with_a_rounded_form(tmp_path))
    rounded, plain = (OpenvinoBackend(network, CPU, name) for name in ("int8", "float32"))
    given = codes()
    torch.testing.assert_close(rounded(given), plain(given) + 0.25, rtol=0, atol=5e-3)
    torch.testing.assert_close(rounded(given / 255), plain(given / 255), rtol=0, atol=1e-5)


def test_auto_takes_it_where_it_is_the_quickest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = replace(parted(), rounded=with_a_rounded_form(tmp_path))
    asked: list[list[str]] = []
    monkeypatch.setattr(backend, "fastest", lambda ways, clock: asked.append(list(ways)) or "int8")
    monkeypatch.setattr(backend, "_hint", lambda: "bf16")
    assert [OpenvinoBackend(network).precision for _ in range(2)] == ["int8", "int8"]
    assert asked == [["float32", "bfloat16", "int8", "int8 and bfloat16"]]


@torch.inference_mode()
def test_what_is_float_of_it_is_in_bfloat16_where_that_is_quicker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = replace(parted(), rounded=with_a_rounded_form(tmp_path))
    asked: list[list[str]] = []
    monkeypatch.setattr(backend, "fastest", lambda ways, clock: [asked.append(list(ways)), list(ways)[-1]][1])
    hints: list[str] = []
    compiled = openvino.Core.compile_model
    monkeypatch.setattr(
        openvino.Core,
        "compile_model",
        lambda core, model, device, given: [
            hints.append(given["INFERENCE_PRECISION_HINT"]), compiled(core, model, device, given)
        ][1],
    )  # fmt: skip
    given = codes()
    for hint, forms in (("f32", ["int8"]), ("bf16", ["int8", "int8 and bfloat16"])):
        monkeypatch.setattr(backend, "_hint", lambda hint=hint: hint)
        made = OpenvinoBackend(network, CPU, "int8")
        assert made.precision == "int8"
        assert asked == ([forms] if len(forms) > 1 else [])
        torch.testing.assert_close(made(given), network.module.of_codes(given) + 0.25, rtol=0, atol=1e-2)
        assert hints[-1] == hint
        # Frames as they came go through the network itself, all of it in float32.
        hints.clear()
        made(given / 255)
        assert set(hints) == {"f32"}


@torch.inference_mode()
def test_in_bfloat16_what_is_dry_stays_as_it_is(core: openvino.Core) -> None:
    """Behind the last convolutions OpenVINO stays in float32, where the picture itself is."""
    network = DRSformer(
        Variant((8, 16, 32, 64), blocks=(0, 0, 0, 1), mefc=False, scale=2, past=1, future=1, aligned=True)
    )
    network.output.weight.zero_()
    given = codes(64, 64).repeat(1, network.variant.pictures, 1, 1)
    model = of_codes(network)
    model.reshape(list(given.shape))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    torch.testing.assert_close(
        torch.from_numpy(compiled([given.numpy()])[0]) * 255, given[:, :3].float(), rtol=0, atol=1e-3
    )


def test_what_is_known_to_be_the_quickest_is_read_but_to_be_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = replace(parted(), rounded=with_a_rounded_form(tmp_path))
    monkeypatch.setattr(backend, "fastest", lambda ways, clock: "int8")
    OpenvinoBackend(network)
    read: list[Path] = []
    load = quantised.load
    monkeypatch.setattr(quantised, "load", lambda path, *others: [read.append(path), load(path, *others)][1])
    OpenvinoBackend(network)(codes())
    assert read == [network.rounded]


def test_an_answer_that_was_kept_before_there_was_a_form_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = parted()
    monkeypatch.setattr(backend, "fastest", lambda ways, clock: list(ways)[-1])
    monkeypatch.setattr(backend, "_hint", lambda: "bf16")
    assert OpenvinoBackend(network).precision == "bfloat16"
    assert OpenvinoBackend(replace(network, rounded=with_a_rounded_form(tmp_path))).precision == "int8"


def test_a_form_of_other_weights_is_told_of_and_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = replace(parted(), rounded=with_a_rounded_form(tmp_path, seed=1))
    with caplog.at_level(logging.WARNING):
        assert OpenvinoBackend(network).precision != "int8"
    assert "made of other weights" in caplog.text
    with pytest.raises(WeightsError, match="made of other weights"):
        OpenvinoBackend(network, CPU, "int8")(codes())


@pytest.mark.parametrize("name", ["fast", "best"])
def test_what_is_bundled_overflows_on_no_processor(name: str, core: openvino.Core) -> None:
    """One without VNNI adds two products of a byte and a weight in 16 bits, and clamps them."""
    found = weights.find(name)
    model = quantised.load(quantised.place(found), weights.load(name), core)
    constants = [each for each in model.get_ops() if isinstance(each, openvino.op.Constant)]
    rounded = [each.get_data() for each in constants if each.get_element_type() == openvino.Type.i8]
    assert len(rounded) > 50
    for values in rounded:
        assert 2 * 255 * abs(values.astype(int)).max() < 2**15


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_where_there_is_none_it_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(DeviceError, match="not int8; try --precision auto"):
        open_backend(parted(), CPU, name, "int8")
