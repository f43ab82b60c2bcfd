"""ONNX files of a user's: what they take is read from them, and what does not fit is said in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.backends.traced import to_onnx
from streamderain.errors import DeviceError, ExportError, WeightsError
from streamderain.networks import onnx as reading
from streamderain.networks import weights
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.export import export
from streamderain.networks.loading import load
from streamderain.networks.registry import runnable
from streamderain.networks.restorer import Restorer
from tests.networks.small import network

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")

FREE = ["N", 3, "H", "W"]
FLOAT, HALF, BYTE = 1, 10, 2
Shape = Sequence[int | str]


def node(kind: str, given: Sequence[str], answer: str, **options: Any) -> Any:
    return onnx.helper.make_node(kind, list(given), [answer], **options)


def constants(**values: Any) -> list[Any]:
    return [
        node("Constant", [], name, value=onnx.numpy_helper.from_array(np.array(each))) for name, each in values.items()
    ]


def written(
    path: Path,
    nodes: Sequence[Any],
    given: Shape = FREE,
    answer: Shape = FREE,
    kind: int = FLOAT,
    facts: dict[str, str] | None = None,
    more_inputs: Sequence[str] = (),
    more_outputs: Sequence[str] = (),
) -> str:
    """A file whose nodes lead from "frames" to "clean"."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        list(nodes),
        "network",
        [value(name, kind, given) for name in ("frames", *more_inputs)],
        [value(name, kind, answer) for name in ("clean", *more_outputs)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, facts or {})
    onnx.save(model, path)
    return str(path)


def chosen(place: int) -> list[Any]:
    """Half of the frame at that place of a window."""
    first = np.array([3 * place])
    return [
        *constants(first=first, last=first + 3, axis=np.array([1]), half=np.float32(0.5)),
        node("Slice", ["frames", "first", "last", "axis"], "frame"),
        node("Mul", ["frame", "half"], "clean"),
    ]


def halved(kind: type[np.floating[Any]] = np.float32) -> list[Any]:
    return [*constants(half=kind(0.5)), node("Mul", ["frames", "half"], "clean")]


def windows(frames: int, height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, frames, 3, height, width, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize("backend", ["auto", "openvino", "onnx"])
@pytest.mark.parametrize(
    ("frames", "facts", "reach"),
    [
        (1, {}, (0, 0)),
        (3, {}, (1, 1)),
        (5, {"author": "somebody"}, (2, 2)),
        (4, {"past": "2", "future": "1"}, (2, 1)),
        (3, {"past": "2"}, (2, 0)),
    ],
    ids=str,
)
def test_a_window_is_what_the_file_says(
    frames: int, facts: dict[str, str], reach: tuple[int, int], backend: str, tmp_path: Path
) -> None:
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    model = written(tmp_path / "net.onnx", chosen(reach[0]), ["N", 3 * frames, "H", "W"], facts=facts)
    restorer = Restorer.load(model, "cpu", backend)
    assert (restorer.past, restorer.future) == reach
    given = windows(frames, 33, 46, count=2)
    torch.testing.assert_close(restorer.restore(given), given[:, reach[0]] / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_frames_may_stand_apart(backend: str, tmp_path: Path) -> None:
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    nodes = [*constants(place=np.array(1)), node("Gather", ["frames", "place"], "clean", axis=1)]
    restorer = Restorer.load(written(tmp_path / "net.onnx", nodes, ["N", 3, 3, "H", "W"]), "cpu", backend)
    given = windows(3, 20, 31)
    torch.testing.assert_close(restorer.restore(given), given[:, 1])


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize(("height", "width"), [(40, 64), (20, 30), (100, 70)])
def test_one_size_alone_is_what_pictures_are_cut_or_mirrored_to(
    height: int, width: int, backend: str, tmp_path: Path
) -> None:
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    model = written(tmp_path / "net.onnx", halved(), [1, 3, 40, 64], [1, 3, 40, 64])
    restorer = Restorer.load(model, "cpu", backend)
    assert restorer.descriptor.size == (40, 64)
    given = windows(1, height, width, count=2)
    torch.testing.assert_close(restorer.restore(given), given[:, 0] / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("multiple", [1, 4, 32])
def test_of_what_sides_are_multiples_is_found(multiple: int, tmp_path: Path) -> None:
    nodes = [
        node("SpaceToDepth", ["frames"], "deep", blocksize=multiple),
        node("DepthToSpace", ["deep"], "clean", blocksize=multiple),
    ]
    restorer = Restorer.load(written(tmp_path / "net.onnx", nodes), "cpu")
    assert restorer.descriptor.size_multiple == multiple
    given = windows(1, 33, 50)
    torch.testing.assert_close(restorer.restore(given), given[:, 0])


def test_another_range_stands_in_the_metadata(tmp_path: Path) -> None:
    nodes = [*constants(ten=np.float32(25.5)), node("Sub", ["frames", "ten"], "clean")]
    model = written(tmp_path / "net.onnx", nodes, facts={"black": "0", "white": "255"})
    given = windows(1, 16, 16)
    answer = Restorer.load(model, "cpu").restore(given)
    torch.testing.assert_close(answer, (given[:, 0] - 0.1).clamp(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_half_floats_go_in_and_out(backend: str, tmp_path: Path) -> None:
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    model = written(tmp_path / "net.onnx", halved(np.float16), kind=HALF)
    given = windows(1, 16, 24)
    answer = Restorer.load(model, "cpu", backend).restore(given)
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, given[:, 0] / 2, rtol=0, atol=1e-3)


def test_what_we_export_is_such_a_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    variant = Variant((8, 16, 32, 64), (0, 0, 0, 1), (1, 1, 2, 2), mefc=False, scale=2, past=1, future=0)
    derainer = network(variant)
    to_onnx(runnable(derainer), tmp_path / "net.onnx")
    restorer = Restorer.load(str(tmp_path / "net.onnx"), "cpu")
    assert (restorer.past, restorer.future) == (1, 0)
    given = windows(2, 37, 50)
    torch.testing.assert_close(restorer.restore(given), Restorer(derainer).restore(given), rtol=0, atol=1e-4)
    with pytest.raises(ExportError, match="is a file for other programs already"):
        export(str(tmp_path / "net.onnx"), tmp_path / "again.onnx")


def test_memory_is_that_of_the_tensors_that_are_alive_at_a_time(tmp_path: Path) -> None:
    nodes = [
        node("Concat", ["frames"] * 4, "wide", axis=1),
        node("Relu", ["wide"], "bent"),
        *constants(axis=np.array([1]), last=np.array([3]), first=np.array([0])),
        node("Slice", ["bent", "first", "last", "axis"], "clean"),
    ]
    described = load(written(tmp_path / "net.onnx", nodes)).descriptor
    assert described.bytes_per_pixel == pytest.approx(reading.OVERHEAD * 4 * (12 + 12))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"more_inputs": ["noise"]}, r"has 2 inputs \(frames, noise\); expected 1"),
        ({"more_outputs": ["mask"]}, r"has 2 outputs \(clean, mask\); expected 1"),
        ({"kind": BYTE}, "has inputs of u8; expected float32 or float16"),
        ({"given": ["N", 4, "H", "W"]}, r"takes \(free, 4, free, free\); expected \(N, 3 \* frames, H, W\)"),
        ({"given": ["N", "H", "W", 3]}, r"takes \(free, free, free, 3\); expected"),
        ({"given": ["N", 3, 1, "H", "W"]}, r"takes \(free, 3, 1, free, free\); expected"),
        ({"given": ["N", 3]}, r"takes \(free, 3\); expected"),
        ({"given": ["N", 6, "H", "W"], "answer": ["N", 6, "H", "W"]}, r"answers .*; expected \(N, 3, H, W\)"),
        ({"given": [4, 3, "H", "W"]}, "takes batches of 4; export it with a batch of 1"),
        ({"given": [1, 3, 64, "W"]}, r"takes pictures of \(64, free\); expected both sides free, or neither"),
        ({"given": [1, 3, 8, 8], "answer": [1, 3, 8, 8]}, r"has the size \(8, 8\); expected height and width of 16"),
        ({"facts": {"past": "1"}}, "takes 1 frames, and its metadata says past 1 and future 0"),
        ({"facts": {"past": "two"}}, "says past two in its metadata; expected a number"),
        ({"facts": {"black": "9"}}, "black 9.0 and white 1.0"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_in_one_line(asked: dict[str, Any], message: str, tmp_path: Path) -> None:
    nodes = [node("Identity", ["frames"], name) for name in ("clean", *asked.get("more_outputs", ()))]
    nodes += [node("Identity", [name], f"{name} unused") for name in asked.get("more_inputs", ())]
    with pytest.raises(WeightsError, match=message) as caught:
        load(written(tmp_path / "net.onnx", nodes, **asked))
    assert str(caught.value).startswith(str(tmp_path / "net.onnx"))
    assert "\n" not in str(caught.value)


def test_a_window_without_a_middle_asks_which_frame_is_meant(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="takes 4 frames, of which none is the middle one; add past and future"):
        load(written(tmp_path / "net.onnx", chosen(1), ["N", 12, "H", "W"]))


def test_one_that_enlarges_is_refused(tmp_path: Path) -> None:
    nodes = [
        *constants(scales=np.array([1, 1, 2, 2], np.float32)),
        node("Resize", ["frames", "", "scales"], "clean"),
    ]
    with pytest.raises(WeightsError, match="does not answer in the size that it is given, tried up to"):
        load(written(tmp_path / "net.onnx", nodes, answer=["N", 3, "H2", "W2"]))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07\x12\x04", None])
def test_what_is_no_onnx_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = Path(written(tmp_path / "net.onnx", halved()))
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    with pytest.raises(WeightsError, match=r"net\.onnx (is no ONNX file that OpenVINO reads|has 0 inputs)") as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_without_openvino_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = written(tmp_path / "net.onnx", halved())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="is read by OpenVINO, which is not installed; try: pip install openvino"):
        load(model)


def test_a_backend_that_runs_no_files_is_refused(tmp_path: Path) -> None:
    model = written(tmp_path / "net.onnx", halved())
    with pytest.raises(DeviceError, match="cannot be run by torch; a file is run by openvino, onnx, tensorrt"):
        Restorer.load(model, "cpu", "torch")


def test_a_file_is_not_read_for_its_weights(tmp_path: Path) -> None:
    model = written(tmp_path / "net.onnx", halved())
    with pytest.raises(WeightsError, match=r"net\.onnx is a whole network, .*; --model .*net\.onnx runs it"):
        weights.add(Path(model))


def test_files_are_run_in_float32_unless_somebody_asks(tmp_path: Path) -> None:
    model = written(tmp_path / "net.onnx", halved())
    assert Restorer.load(model, "cpu", "openvino").backend.precision == "float32"
    assert Restorer.load(model, "cpu", "openvino", "bfloat16").backend.precision == "bfloat16"
