"""GraphsBackend: when it records and what it does where it cannot; the recording itself needs a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from streamderain.backends.eager import EagerBackend
from streamderain.backends.graphs import GraphsBackend
from streamderain.backends.shapes import SHAPES
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.registry import runnable
from tests.networks.small import network

from .test_backends import NETWORKS, OURS, window

Run = Callable[[Tensor], Tensor]
CPU = torch.device("cpu")


class Recorder:
    """Stands in for CUDA: remembers what was recorded, and plays it back."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, run: Run, example: Tensor) -> Run:
        self.shapes.append(tuple(example.shape))
        return run


@torch.inference_mode()
def test_each_shape_is_recorded_once() -> None:
    derainer, record = NETWORKS["ours"], Recorder()
    backend = GraphsBackend(runnable(derainer), CPU, record=record)
    for width in (32, 48, 32, 48):
        frames = window(derainer, 1, 32, width)
        torch.testing.assert_close(backend(frames), derainer(frames), rtol=0, atol=1e-5)
    assert [shape[-1] for shape in record.shapes] == [32, 48]


@torch.inference_mode()
def test_the_shape_that_was_used_longest_ago_is_forgotten() -> None:
    derainer, record = NETWORKS["published"], Recorder()
    backend = GraphsBackend(runnable(derainer), CPU, record=record)
    sides = range(8, 8 * (SHAPES + 2), 8)
    for side in (*sides, 8):
        backend(window(derainer, 1, 8, side))
    assert [shape[-1] for shape in record.shapes] == [*sides, 8]
    backend(window(derainer, 1, 8, 8))
    assert len(record.shapes) == SHAPES + 2


@torch.inference_mode()
def test_where_recording_fails_it_runs_without_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    tries = []

    def broken(run: Run, example: Tensor) -> Run:
        tries.append(example)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    derainer = NETWORKS["published"]
    backend = GraphsBackend(runnable(derainer), CPU, record=broken)
    for side in (16, 32):
        frames = window(derainer, 1, 16, side)
        torch.testing.assert_close(backend(frames), derainer(frames), rtol=0, atol=1e-5)
    assert len(tries) == 1
    assert caplog.text.count("CUDA graphs cannot record") == 1


@torch.inference_mode()
def test_a_shape_that_memory_is_short_for_runs_without_and_others_are_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = Recorder()

    def short(run: Run, example: Tensor) -> Run:
        if example.shape[-1] > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return record(run, example)

    derainer = NETWORKS["published"]
    backend = GraphsBackend(runnable(derainer), CPU, record=short)
    for side in (32, 16):
        frames = window(derainer, 1, 16, side)
        torch.testing.assert_close(backend(frames), derainer(frames), rtol=0, atol=1e-5)
    assert [shape[-1] for shape in record.shapes] == [16]
    assert "no memory is left to record a pass for pictures of 32x16" in caplog.text


@pytest.mark.cuda
@pytest.mark.parametrize(
    "variant", [OURS, Variant(widths=(16, 32, 64, 128), blocks=(1, 1, 1, 1))], ids=["ours", "published"]
)
@pytest.mark.parametrize("compiled", [False, True])
@torch.inference_mode()
def test_a_replay_on_a_gpu_is_the_network(variant: Variant, compiled: bool) -> None:
    device = torch.device("cuda")
    derainer: DRSformer = network(variant)
    backend = GraphsBackend(runnable(derainer), device, "float32", compiled)
    for seed in range(3):
        torch.manual_seed(seed)
        frames = torch.rand(2, 3 * variant.frames, 64, 96)
        answer = backend(frames.to(device)).cpu()
        # TF32 has ten bits.
        torch.testing.assert_close(answer, derainer(frames), rtol=0, atol=0.02)
    assert backend._record is not None
    assert len(backend._recordings) == 1


@pytest.mark.cuda
@torch.inference_mode()
def test_bfloat16_on_a_gpu_is_near_float32() -> None:
    device = torch.device("cuda")
    derainer = network(OURS)
    frames = torch.nn.functional.avg_pool2d(torch.rand(1, 15, 192, 256), 9, 1, 4).to(device)
    half = GraphsBackend(runnable(derainer), device)
    assert half.precision == "bfloat16"
    error = half(frames) - EagerBackend(runnable(derainer), device, "float32")(frames)
    assert -10 * error.square().mean().log10() > 45
