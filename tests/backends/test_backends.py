"""Every backend computes the network's function, and says in one line what it cannot."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from streamderain.backends import table
from streamderain.backends.eager import torch_precision
from streamderain.backends.table import open_backend
from streamderain.errors import DeviceError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.registry import runnable
from tests.backends.parted import parted
from tests.networks.small import network

CPU = torch.device("cpu")
PUBLISHED = Variant(widths=(8, 16, 32, 64), blocks=(0, 0, 0, 1), heads=(1, 1, 1, 2))
OURS = Variant(
    widths=(8, 16, 32, 64), blocks=(0, 0, 0, 1), mefc=False, scale=2, past=1, future=1, dense=(1, 1), aligned=True
)
UNEVEN = replace(OURS, widths=(8, 20, 24, 16), residual=(1, 2, 0, 1), heads=(1, 2, 3, 4), aligned=False)
MIRRORED = replace(UNEVEN, past=0, future=0, mirrored=True)
NETWORKS = {
    "published": network(PUBLISHED), "ours": network(OURS), "uneven": network(UNEVEN), "mirrored": network(MIRRORED),
}  # fmt: skip


def window(derainer: DRSformer, count: int = 1, height: int = 48, width: int = 64) -> Tensor:
    return torch.rand(count, 3 * derainer.variant.frames, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("derainer", "name"),
    [
        # That ONNX files of all kinds answer alike is tested where they are exported.
        pytest.param(
            derainer, name, id=f"{kind}-{name}", marks=[pytest.mark.slow] * (name == "onnx" and kind != "published")
        )
        for kind, derainer in NETWORKS.items()
        for name in ("torch", "openvino", "onnx")
    ],
)
@torch.inference_mode()
def test_in_float32_it_is_the_network(name: str, derainer: DRSformer) -> None:
    backend = open_backend(runnable(derainer), CPU, name, "float32")
    assert (backend.name, backend.precision) == (name, "float32")
    # An ONNX file enlarges what is smaller than its motion pyramid, which is another function.
    small, large = (192, 208) if derainer.variant.aligned else (48, 64)
    for shape in ((1, small, large), (2, large, small), (1, small, large)):
        answer, expected = backend(window(derainer, *shape)), derainer(window(derainer, *shape))
        # ONNX files answer within 0..1, as other programs expect.
        torch.testing.assert_close(answer.clamp(0, 1), expected.clamp(0, 1), rtol=0, atol=2e-4)


@torch.inference_mode()
def test_an_answer_stays_what_it_was_when_the_next_is_made() -> None:
    backend = open_backend(parted(), CPU, "openvino", "float32")
    frames = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    first = backend(frames)
    kept = first.clone()
    backend(1 - frames)
    assert torch.equal(first, kept)


@torch.inference_mode()
def test_bfloat16_is_near_and_motion_is_found_in_float32() -> None:
    from streamderain.backends.openvino import OpenvinoBackend

    derainer = network(OURS)
    torch.nn.init.normal_(derainer.output.weight, std=0.05)
    frames = torch.nn.functional.avg_pool2d(window(derainer, 1, 192, 256), 9, 1, 4)
    backend = OpenvinoBackend(runnable(derainer), CPU, "bfloat16")
    expected = derainer(frames)
    assert (expected - frames[:, 3:6]).abs().mean() > 0.02, "the network changes too little to tell"
    assert -10 * (backend(frames) - expected).square().mean().log10() > 45


def test_auto_is_openvino_on_a_cpu_and_graphs_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert table.backend_on(CPU) == "openvino"
    assert table.backend_on(torch.device("cuda")) == "graphs"
    assert table.backend_on(torch.device("mps")) == "torch"
    monkeypatch.setattr(table, "_installed", lambda module: False)
    assert table.backend_on(CPU) == "torch"


@pytest.mark.parametrize(("has_it", "lowers", "expected"), [
    (True, True, torch.bfloat16), (True, False, torch.float32), (False, True, torch.float32),
])  # fmt: skip
def test_bfloat16_is_for_gpus_that_have_it_and_not_for_those_that_imitate_it(
    has_it: bool, lowers: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As torch answers of a card without instructions for it.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has_it)
    assert torch_precision(torch.device("cuda"), "auto", lowers) == expected


@pytest.mark.parametrize(
    ("backend", "precision", "message"),
    [
        ("openvin", "auto", "did you mean openvino?"),
        ("auto", "bfloat", "did you mean bfloat16?"),
        ("graphs", "auto", "needs an NVIDIA GPU, not cpu"),
        ("compiled", "auto", "needs an NVIDIA GPU"),
        ("triton", "auto", "needs an NVIDIA GPU, not cpu"),
        ("tensorrt", "auto", "needs an NVIDIA GPU"),
        ("torch", "bfloat16", "float32 on cpu"),
        ("openvino", "float16", "float32 or bfloat16"),
        ("onnx", "bfloat16", "not bfloat16"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(backend: str, precision: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as caught:
        open_backend(runnable(NETWORKS["published"]), CPU, backend, precision)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("backend", "device"), [("openvino", "cpu"), ("onnx", "cpu"), ("triton", "cuda")])
def test_a_backend_that_is_not_installed_says_how_to_get_it(
    backend: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_installed", lambda module: False)
    with pytest.raises(DeviceError, match="pip install"):
        open_backend(runnable(NETWORKS["published"]), torch.device(device), backend)


def test_plain_torch_needs_no_other_backend() -> None:
    code = "import sys; from streamderain.networks.restorer import Restorer; Restorer.load('fast', 'cpu', 'torch')"
    check = "print(*sorted({'openvino', 'onnxruntime', 'onnx', 'triton'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
