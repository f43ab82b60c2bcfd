"""A program's own networks: the page that explains them runs, and what a module does otherwise is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor, nn

import streamderain
from streamderain.errors import ConfigError, DeviceError
from streamderain.networks import registry
from streamderain.networks.restorer import Restorer

PAGE = Path(__file__).parents[2] / "docs" / "own-network.md"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


def rgb_of(video: Path) -> list[Any]:
    with av.open(video) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's exporter, which the page uses
def test_the_page_runs_as_it_stands(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("openvino")
    shutil.copy(clip, tmp_path / "rainy.mp4")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(?!from huggingface_hub)(.*?)```", PAGE.read_text(), re.DOTALL)
    assert 20 <= len(code[0].splitlines()) <= 35
    names: dict[str, Any] = {}
    for block in code:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(rgb_of(tmp_path / "clean.mp4")) == len(rgb_of(tmp_path / "rainy.mp4"))
    windows = torch.rand(2, 3, 3, 32, 48)
    expected = windows.median(dim=1).values
    for model in ("three", "three.onnx"):
        restorer = Restorer.load(model, "cpu")
        assert (restorer.past, restorer.future) == (1, 1)
        torch.testing.assert_close(restorer.restore(windows), expected, rtol=0, atol=1e-5)


class Of(nn.Module):
    """A module that does `run`."""

    def __init__(self, run: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.run = run

    def forward(self, frames: Tensor) -> object:
        return self.run(frames)


def broken(frames: Tensor) -> Tensor:
    raise RuntimeError("no such layer\nand more")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda frames: frames[:, :1], r"odd answers \(1, 1, 32, 33\); expected \(1, 3, 32, 33\)"),
        (lambda frames: frames[..., ::2, ::2], "expected"),
        (lambda frames: [frames], "odd answers list"),
        (broken, r"odd does not take \(1, 3, 32, 33\), as its descriptor says: no such layer$"),
    ],
)
def test_a_module_that_does_otherwise_is_refused_in_one_line(run: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        streamderain.register(Of(run), streamderain.Descriptor("odd"))
    assert "\n" not in str(caught.value)
    assert not registry.registered()


@pytest.mark.parametrize(
    "facts",
    [{"past": -1}, {"size_multiple": 0}, {"black": 1.0, "white": 1.0}, {"size": (8, 640)}, {"most": -2}],
    ids=str,
)
def test_a_descriptor_of_what_cannot_be_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^odd has"):
        streamderain.Descriptor("odd", **facts)


@pytest.mark.parametrize("name", ["", "default", "mine.onnx"])
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        streamderain.register(nn.Identity(), streamderain.Descriptor(name))


class Watched(nn.Module):
    """Half of the current frame, and what it was given."""

    def __init__(self, place: int, apart: bool = False) -> None:
        super().__init__()
        self.place, self.apart = place, apart
        self.given: list[tuple[int, ...]] = []
        self.ends: list[float] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.given.append(tuple(frames.shape))
        self.ends.append(float(frames.max()))
        window = frames if self.apart else frames.unflatten(1, (-1, 3))
        return window[:, self.place] / 2


def restored(facts: dict[str, Any], windows: Tensor, place: int = 0) -> tuple[Tensor, Watched]:
    module = Watched(place, facts.get("frames_apart", False))
    streamderain.register(module, streamderain.Descriptor("watched", bytes_per_pixel=100.0, **facts))
    made = Restorer.load("watched", "cpu", "torch")
    made.backend.network.module.given, made.backend.network.module.ends = [], []  # type: ignore[attr-defined]
    return made.restore(windows), made.backend.network.module  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("facts", "size", "given"),
    [
        ({}, (33, 47), [(2, 3, 33, 47)]),
        ({"size_multiple": 8}, (33, 47), [(2, 3, 40, 48)]),
        ({"size": (64, 64)}, (33, 47), [(2, 3, 64, 64)]),
        ({"size": (32, 32), "most": 1}, (32, 50), [(1, 3, 32, 32)] * 4),
        ({"most": 1}, (33, 47), [(1, 3, 33, 47)] * 2),
        ({"past": 2, "future": 1}, (16, 16), [(2, 12, 16, 16)]),
        ({"past": 2, "future": 1, "frames_apart": True}, (16, 16), [(2, 4, 3, 16, 16)]),
    ],
    ids=str,
)
def test_it_is_given_what_its_descriptor_says(
    facts: dict[str, Any], size: tuple[int, int], given: list[tuple[int, ...]]
) -> None:
    past = facts.get("past", 0)
    windows = torch.rand(2, past + 1 + facts.get("future", 0), 3, *size)
    answer, module = restored(facts, windows, past)
    assert module.given == given
    torch.testing.assert_close(answer, windows[:, past] / 2, rtol=0, atol=1e-5)


def test_another_range_is_that_in_and_out() -> None:
    windows = torch.ones(1, 1, 3, 16, 16)
    answer, module = restored({"black": 0.0, "white": 255.0}, windows)
    assert module.ends == [255.0]
    torch.testing.assert_close(answer, windows[:, 0] / 2)
    answer, module = restored({"black": -1.0, "white": 1.0}, windows * 0)
    assert module.ends == [-1.0]
    torch.testing.assert_close(answer, torch.full_like(answer, 0.25))


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_other_backends_run_it_too(backend: str) -> None:
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(9, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
    streamderain.register(module, streamderain.Descriptor("learnt", past=2))
    windows = torch.rand(1, 3, 3, 40, 56)
    plain, other = (Restorer.load("learnt", "cpu", each, "float32") for each in ("torch", backend))
    assert other.backend.name == backend
    torch.testing.assert_close(other.restore(windows), plain.restore(windows), rtol=0, atol=1e-5)
    assert other.plan(1, 40, 56).bytes > 0


class Unreadable(nn.Module):
    """Has what OpenVINO knows nothing of."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames * 0.5 + 0 * torch.linalg.svdvals(frames[:, :, :4, :4]).sum()


class SizedOnce(nn.Module):
    """Holds its first size for that of all pictures, as a trace does."""

    def forward(self, frames: Tensor) -> Tensor:
        place = torch.arange(frames.shape[-1], device=frames.device) < int(frames.shape[-1]) // 2
        return frames * place


@pytest.mark.parametrize(("module", "reason"), [(Unreadable(), "is failed"), (SizedOnce(), "off by")], ids=str)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_what_openvino_reads_wrongly_or_not_at_all_runs_in_torch(
    module: nn.Module, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    streamderain.register(module, streamderain.Descriptor("odd"))
    windows = torch.rand(1, 1, 3, 40, 256)
    answer = Restorer.load("odd", "cpu", "openvino", "float32").restore(windows)
    torch.testing.assert_close(answer, module(windows[:, 0]), rtol=0, atol=1e-6)
    (record,) = caplog.records
    assert "so plain torch does, more slowly" in record.getMessage()
    assert re.search(reason, record.getMessage())


def test_kernels_of_our_own_are_for_networks_of_our_own() -> None:
    from streamderain.backends.graphs import of_kernels

    streamderain.register(nn.Identity(), streamderain.Descriptor("plain"))
    with pytest.raises(DeviceError, match="no kernels of our own for plain; try --backend graphs"):
        of_kernels(registry.registered()["plain"], CPU, "auto")


def test_a_module_that_is_not_registered_is_told_how() -> None:
    with pytest.raises(TypeError, match=r"streamderain.register\(module, descriptor\)"):
        Restorer(nn.Identity())


@pytest.fixture
def trained() -> Iterator[nn.Module]:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.5)).train()
    yield module
    assert module.training


def test_the_module_itself_is_left_as_it_was(trained: nn.Module) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    streamderain.register(trained, streamderain.Descriptor("mine"))
    Restorer.load("mine", "cpu", "torch")(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert all(parameter.requires_grad for parameter in trained.parameters())
