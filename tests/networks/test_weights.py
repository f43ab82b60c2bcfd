"""Weights: every honest file loads, no other does any harm, and each refusal says what to do."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from streamderain.errors import WeightsError
from streamderain.folders import weights_folder
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from tests.networks.small import TINY, network


def tiny_state() -> dict[str, Tensor]:
    return dict(network().state_dict())


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def assert_same(loaded: DRSformer, expected: Mapping[str, Tensor]) -> None:
    state = loaded.state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def refusal(path: Path) -> str:
    """What the user reads when `path` is refused: one line that names the file."""
    with pytest.raises(WeightsError) as raised:
        weights.load(str(path))
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("key", ["params", "params_ema", "state_dict", "generator", None])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "net_g.", "_orig_mod.", "module._orig_mod.net."])
def test_a_pth_file_loads_however_it_is_wrapped(key: str | None, prefix: str, tmp_path: Path) -> None:
    state = tiny_state()
    named = {prefix + name: value for name, value in state.items()}
    loaded = weights.load(str(saved(tmp_path / "some.pth", {key: named} if key else named)))
    assert_same(loaded, state)
    assert loaded.variant == TINY
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


AVERAGED = dict(network(seed=1).state_dict())


@pytest.mark.parametrize(
    "content",
    [
        {"params": tiny_state(), "params_ema": AVERAGED},
        {"params_ema": AVERAGED, "params": tiny_state()},
        {"state_dict": {f"{front}.{name}": value for front, state in (("model", tiny_state()), ("ema_model", AVERAGED))
                        for name, value in state.items()}},
        {**tiny_state(), "ema": AVERAGED},
    ],
    ids=["before", "behind", "beside", "within"],
)  # fmt: skip
def test_averaged_weights_are_preferred(content: object, tmp_path: Path) -> None:
    assert_same(weights.load(str(saved(tmp_path / "both.pth", content))), AVERAGED)


def test_an_average_that_was_not_kept_is_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "some.pth", {"params_ema": None, "params": tiny_state()})
    assert_same(weights.load(str(path)), tiny_state())


def test_what_a_trainer_saves_besides_is_passed_over(tmp_path: Path) -> None:
    """As Lightning writes it: a loss of its own, the optimiser's state, numbers and texts."""
    named = {f"model.{name}": value for name, value in tiny_state().items()}
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**named, "loss.vgg.weight": torch.zeros(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 1e-4}]}],
        "callbacks": {"EMA": None},
        "hyper_parameters": {"lr": 1e-4},
    }
    assert_same(weights.load(str(saved(tmp_path / "lightning.ckpt", content))), tiny_state())


def test_what_torch_wraps_around_a_part_is_no_part_of_its_names(tmp_path: Path) -> None:
    """Of a network whose parts were compiled, or have their activations computed again."""
    wrapped = {"encoder_level1.": "encoder_level1._orig_mod.", "latent.": "latent._checkpoint_wrapped_module."}
    named = tiny_state()
    for plain, other in wrapped.items():
        named = {name.replace(plain, other): value for name, value in named.items()}
    assert_same(weights.load(str(saved(tmp_path / "compiled.pth", named))), tiny_state())


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers_are_refused(number: float, tmp_path: Path) -> None:
    state = tiny_state()
    state["latent.0.attn.qkv.weight"] = state["latent.0.attn.qkv.weight"].clone()
    state["latent.0.attn.qkv.weight"][3, 1] = number
    save_file(state, tmp_path / "broken.safetensors")
    message = refusal(tmp_path / "broken.safetensors")
    assert "holds NaN or infinity in 1 tensors (latent.0.attn.qkv.weight); take a checkpoint from before" in message


def test_a_file_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, object] = {"params": tiny_state()}
    content["itself"] = content
    assert_same(weights.load(str(saved(tmp_path / "round.pth", content))), tiny_state())


def test_a_folder_that_cannot_be_written_is_said_in_one_line(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STREAMDERAIN_WEIGHTS", str(tmp_path / "file" / "weights"))
    with pytest.raises(WeightsError, match=r"cannot be written \(Not a directory\); STREAMDERAIN_WEIGHTS can name"):
        weights.add(saved(tmp_path / "a.pth", tiny_state()))


def test_a_safetensors_file_loads(tmp_path: Path) -> None:
    save_file(tiny_state(), tmp_path / "some.safetensors")
    assert_same(weights.load(str(tmp_path / "some.safetensors")), tiny_state())


def test_a_window_survives_being_saved(tmp_path: Path) -> None:
    variant = Variant(
        widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 1, 1, 2), mefc=False, scale=2, past=2, future=1
    )
    save_file(network(variant).state_dict(), tmp_path / "some.safetensors")
    loaded = weights.load(str(tmp_path / "some.safetensors"))
    assert loaded.variant == variant
    assert loaded(torch.rand(1, 12, 16, 16)).shape == (1, 3, 16, 16)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    halves = {name: value.half() for name, value in tiny_state().items()}
    loaded = weights.load(str(saved(tmp_path / "half.pth", halves)))
    assert_same(loaded, {name: value.float() for name, value in halves.items()})


class Malicious:
    """Pickled, this runs a command in whoever unpickles it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("ending", ["pth", "pt", "safetensors"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_code_in_a_file_is_not_run(ending: str, wrapped: bool, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / f"evil.{ending}"
    content = {"params": Malicious(trace), **tiny_state()}
    if wrapped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    message = refusal(path)
    assert not trace.exists()
    assert "allowed: .safetensors, .pth" in message


def test_the_malicious_file_is_one() -> None:
    """The test above would prove nothing if unpickling did no harm."""
    function, arguments = Malicious(Path("somewhere")).__reduce__()
    assert function is os.mkdir
    assert arguments == ("somewhere",)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"some text\non two lines\n", b"PK\x03\x04", b"\x80\x02K\x05.", b"\xff\xd8"]
)
def test_a_file_of_something_else_is_refused(ending: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"other.{ending}"
    path.write_bytes(content)
    refusal(path)


@pytest.mark.filterwarnings("ignore")  # torch remarks on some of these files, as well it may
def test_a_damaged_file_is_refused_whatever_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pth"
    torch.save({"params": {"a": torch.zeros(2)}}, path, _use_new_zipfile_serialization=False)
    good = path.read_bytes()
    rng = random.Random(3)
    for _ in range(150):
        damaged = bytearray(good)
        for _ in range(3):
            damaged[rng.randrange(len(good))] = rng.randrange(256)
        path.write_bytes(damaged)
        refusal(path)


@pytest.mark.parametrize(
    "content",
    [[1, 2], 5, None, {}, {"params": {}}, {"params": 3}, {"epoch": 3}, torch.zeros(3), {0: torch.zeros(1)}],
    ids=str,
)
def test_a_file_without_weights_is_refused(content: object, tmp_path: Path) -> None:
    assert "holds no weights" in refusal(saved(tmp_path / "other.pth", content))


def test_missing_extra_and_misshapen_names_are_named(tmp_path: Path) -> None:
    state = tiny_state()
    del state["output.weight"]
    state["output.weight"] = torch.zeros(3, 5, 3, 3)
    del state["reduce_chan_level2.weight"]
    state["colour.bias"] = torch.zeros(3)
    message = refusal(saved(tmp_path / "nearly.pth", state))
    assert "1 missing (reduce_chan_level2.weight)" in message
    assert "1 extra (colour.bias)" in message
    assert "1 of another shape (output.weight)" in message


def test_many_faults_are_counted_and_three_named(tmp_path: Path) -> None:
    state = tiny_state() | {f"more.{number}": torch.zeros(1) for number in range(5)}
    assert "5 extra (more.0, more.1, more.2, ...)" in refusal(saved(tmp_path / "more.pth", state))


def test_another_network_is_told_by_what_it_lacks(tmp_path: Path) -> None:
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 3, 3)).state_dict()
    message = refusal(saved(tmp_path / "other.pth", dict(other)))
    assert "is not a DRSformer: patch_embed.proj.weight is missing" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patch_embed.proj.weight", torch.tensor(1.0)),
        ("patch_embed.proj.weight", torch.zeros(7, 7)),
        ("output.weight", torch.tensor(1.0)),
        ("latent.0.attn.temperature", torch.tensor(1.0)),
        ("window", torch.tensor([1, 2, 3])),
        ("window", torch.tensor(3)),
        ("window", torch.tensor([0.5, 1.0])),
        ("window", torch.tensor([-1, 0])),
        ("window", torch.tensor([2**40, 2**40])),
    ],
)
def test_shapes_that_no_drsformer_has_are_refused(name: str, value: Tensor, tmp_path: Path) -> None:
    refusal(saved(tmp_path / "odd.pth", tiny_state() | {name: value}))


def test_added_weights_are_found_by_name(bundled: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", {"params": tiny_state()})
    installed = weights.add(path)
    assert installed.parent == weights_folder()
    assert weights.find("mine") == installed
    assert_same(weights.load("mine"), tiny_state())
    assert list(weights.installed()) == ["mine"]
    assert [each.name for each in installed.parent.iterdir()] == ["mine.safetensors"]


def test_added_weights_can_have_another_name_and_be_replaced(bundled: Path, tmp_path: Path) -> None:
    weights.add(saved(tmp_path / "a.pth", tiny_state()), "night")
    second = dict(network(seed=1).state_dict())
    weights.add(saved(tmp_path / "b.pth", second), "night")
    assert_same(weights.load("night"), second)


def test_a_window_survives_being_added(bundled: Path, tmp_path: Path) -> None:
    variant = Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 1, 1, 2), mefc=False, past=1, future=2)
    weights.add(saved(tmp_path / "a.pth", network(variant).state_dict()), "windowed")
    assert weights.load("windowed").variant == variant


def test_weights_that_share_memory_can_be_added(bundled: Path, tmp_path: Path) -> None:
    state = tiny_state()
    flat = torch.cat([value.flatten() for value in state.values()])
    parts = torch.split(flat, [value.numel() for value in state.values()])
    views = {name: part.view(value.shape) for (name, value), part in zip(state.items(), parts, strict=True)}
    weights.add(saved(tmp_path / "flat.pth", views), "flat")
    assert_same(weights.load("flat"), state)


def test_what_does_not_fit_is_not_added(bundled: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is missing"):
        weights.add(saved(tmp_path / "other.pth", {"a": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.add(tmp_path / "nowhere.pth")
    assert weights.installed() == {}


def test_bundled_names_cannot_be_taken(bundled: Path, tmp_path: Path) -> None:
    save_file(tiny_state(), bundled / "fast.safetensors")
    path = saved(tmp_path / "mine.pth", tiny_state())
    for name in ("fast", "default"):
        with pytest.raises(WeightsError, match=f"{name} is the name of bundled weights"):
            weights.add(path, name)
    assert list(weights.installed()) == ["fast"]


@pytest.mark.parametrize("name", ["../outside", "a/b", "/absolute"])
def test_a_name_holds_no_folder(name: str, bundled: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be a name"):
        weights.add(saved(tmp_path / "mine.pth", tiny_state()), name)


def test_a_published_file_is_held_against_its_hash(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "published.pth", tiny_state())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.sha256(path) == digest
    right = weights.Known("right", "", "", "", sha256=digest)
    wrong = weights.Known("wrong", "", "", "", sha256="0" * 64)
    monkeypatch.setattr(weights, "KNOWN", (right, wrong))
    weights.add(path, "right")
    with pytest.raises(WeightsError, match=f"is not wrong: its sha256 is {digest}"):
        weights.add(path, "wrong")


def test_default_is_the_fast_one(bundled: Path) -> None:
    for name in ("fast", "best"):
        save_file(tiny_state(), bundled / f"{name}.safetensors")
    assert weights.find("default") == weights.find("fast") == bundled / "fast.safetensors"


def test_what_single_pictures_go_through_is_bundled_and_looks_at_no_neighbours() -> None:
    assert weights.find(weights.FOR_PICTURES).parent == weights.BUNDLED
    assert weights.load(weights.FOR_PICTURES).variant.frames == 1


@pytest.mark.parametrize(("name", "most"), [("fast", 26_000), ("best", 125_000), ("picture", 150_000)])
@torch.inference_mode()
def test_bundled_networks_keep_to_their_budgets(name: str, most: int) -> None:
    path = weights.find(name)
    assert path.stat().st_size <= 12e6
    assert path.with_suffix(".md").is_file()
    network, side, counted = weights.load(name), 64, []

    def count(layer: torch.nn.Conv2d, _: object, output: Tensor) -> None:
        counted.append(layer.weight.numel() * output.shape[-2] * output.shape[-1])

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 3 * network.variant.frames, side, side))
    assert sum(counted) / side**2 <= most


def test_bundled_weights_come_before_added_ones_of_the_same_name(bundled: Path) -> None:
    weights_folder().mkdir(exist_ok=True)
    for folder in (weights_folder(), bundled):
        save_file(tiny_state(), folder / "fast.safetensors")
    assert weights.find("fast").parent == bundled


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("fats", "fast"), ("defualt", "default"), ("drsformer-rain100h", "drsformer-rain200h"), ("nigth", "night")],
)
def test_an_unknown_name_suggests_the_nearest(asked: str, meant: str, bundled: Path, tmp_path: Path) -> None:
    save_file(tiny_state(), bundled / "fast.safetensors")
    weights.add(saved(tmp_path / "a.pth", tiny_state()), "night")
    with pytest.raises(WeightsError, match=f"no weights called {asked}; .*did you mean {meant}"):
        weights.find(asked)


def test_a_name_like_no_other_suggests_nothing(bundled: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        weights.find("zzz")
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize("known", [known.name for known in weights.KNOWN if known.name.startswith("drsformer")])
def test_published_weights_that_are_absent_say_how_to_get_them(known: str, bundled: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        weights.find(known)
    message = str(raised.value)
    assert "cschenxiang/DRSformer" in message
    assert f"streamderain models add FILE --name {known}" in message
