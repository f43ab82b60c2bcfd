"""The Triton kernels, against plain torch; see conftest for how they run without a GPU."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytest.importorskip("triton", reason="triton is not installed; it comes with torch for CUDA, or: pip install triton")

from streamderain.networks.drsformer.triton import kernels, programs
from streamderain.networks.drsformer.triton.kernels import (
    attention_statistics,
    depthwise_pair,
    depthwise_sum,
    normed_pointwise,
    tap_major,
)

from .conftest import INTERPRETED, on_device, run_interpreted, uninterpreted

in_each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2 if INTERPRETED else 1e-2, torch.float16: 1.5e-3}
"""Of sums that are float32 inside, rounded once on the way in at most, and once on the way out. The interpreter cuts
bfloat16 off instead of rounding it, which is twice as far.
"""


def picture(count: int, channels: int, height: int, width: int, dtype: torch.dtype, device: str) -> Tensor:
    numbers = torch.randn(count, channels, height, width, device=device)
    return numbers.to(dtype).contiguous(memory_format=torch.channels_last)


def weight(*shape: int, like: Tensor) -> Tensor:
    """Random weights that neither raise nor lower what goes through them."""
    spread = torch.tensor(shape[1:]).prod().item() ** -0.5
    return (torch.randn(shape, device=like.device) * spread).to(like.dtype)


def assert_close(answer: Tensor, expected: Tensor, scale: float = 1) -> None:
    """`expected` is float64, and so exact beside `answer`."""
    tolerance = TOLERANCES[answer.dtype]
    torch.testing.assert_close(answer.double(), expected, rtol=tolerance, atol=tolerance * scale)


def plain_normed_pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    pixels = x.double().permute(0, 2, 3, 1)
    return F.linear(F.layer_norm(pixels, pixels.shape[-1:], eps=1e-5), weight.double(), bias.double()).permute(
        0, 3, 1, 2
    )


def plain_depthwise(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x.double(), weight.double(), padding=weight.shape[-1] // 2, groups=len(weight))


def plain_depthwise_pair(x: Tensor, small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
    return F.relu(plain_depthwise(x, small)), F.relu(plain_depthwise(x, large))


def plain_depthwise_sum(even: Tensor, odd: Tensor, even_weight: Tensor, odd_weight: Tensor) -> Tensor:
    return F.relu(plain_depthwise(even, even_weight) + plain_depthwise(odd, odd_weight))


def plain_attention_statistics(query: Tensor, key: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k = (each.double().reshape(len(each), heads, each.shape[1] // heads, -1) for each in (query, key))
    return q @ k.transpose(2, 3), query.double().square().sum(dim=(2, 3)), key.double().square().sum(dim=(2, 3))


@uninterpreted
def test_interpreted_they_do_what_torch_does() -> None:
    run_interpreted(__file__)


@on_device
@in_each_dtype
@pytest.mark.parametrize(("channels", "outputs"), [(48, 70), (7, 1), (96, 33), (130, 65), (300, 140)])
def test_normed_pointwise(channels: int, outputs: int, dtype: torch.dtype, device: str) -> None:
    x = picture(2, channels, 7, 11, dtype, device) * 2 + 1
    matrix, bias = weight(outputs, channels, like=x), weight(outputs, like=x)
    answer = normed_pointwise(x, matrix, bias)
    assert answer.dtype == dtype
    assert answer.is_contiguous(memory_format=torch.channels_last)
    assert_close(answer, plain_normed_pointwise(x, matrix, bias))


@on_device
@pytest.mark.parametrize("channels", [20, 300])
def test_a_program_takes_several_blocks_of_outputs(channels: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does where pixels are many."""
    monkeypatch.setattr(kernels, "_PROGRAMS", 1)
    x = picture(1, channels, 5, 5, torch.bfloat16, device)
    matrix, bias = weight(290, channels, like=x), weight(290, like=x)
    assert_close(normed_pointwise(x, matrix, bias), plain_normed_pointwise(x, matrix, bias))


@on_device
def test_a_mean_far_from_zero_costs_no_precision(device: str) -> None:
    x = picture(1, 48, 5, 5, torch.float32, device) + 100
    matrix, bias = weight(16, 48, like=x), weight(16, like=x)
    torch.testing.assert_close(
        normed_pointwise(x, matrix, bias).double(), plain_normed_pointwise(x, matrix, bias), rtol=0, atol=1e-4
    )


@on_device
@pytest.mark.parametrize(
    ("channels", "size", "dtype"),
    [
        (127, (1, 3, 17), torch.float32),
        (127, (1, 3, 3), torch.bfloat16),
        (48, (2, 3, 5), torch.bfloat16),
        (48, (1, 9, 2), torch.float32),
        (48, (1, 1, 1), torch.float16),
        (5, (2, 5, 3), torch.float16),
    ],
    ids=str,
)
def test_depthwise_pair(
    channels: int, size: tuple[int, int, int], dtype: torch.dtype, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_ROWS_PER_STRIP", 4)
    x = picture(size[0], channels, *size[1:], dtype, device)
    small, large = weight(channels, 1, 3, 3, like=x), weight(channels, 1, 5, 5, like=x)
    for answer, expected in zip(depthwise_pair(x, small, large), plain_depthwise_pair(x, small, large), strict=True):
        assert answer.dtype == dtype
        assert answer.is_contiguous(memory_format=torch.channels_last)
        assert_close(answer, expected)


@on_device
@pytest.mark.parametrize(
    ("channels", "kernel", "size", "dtype"),
    [
        (127, 3, (1, 3, 17), torch.float32),
        (127, 5, (1, 3, 3), torch.bfloat16),
        (20, 3, (2, 3, 5), torch.bfloat16),
        (20, 5, (1, 9, 7), torch.float32),
        (20, 5, (1, 1, 1), torch.float16),
        (5, 3, (2, 5, 7), torch.float16),
    ],
    ids=str,
)
def test_depthwise_sum(
    channels: int,
    kernel: int,
    size: tuple[int, int, int],
    dtype: torch.dtype,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "_ROWS_PER_STRIP", 4)
    even, odd = (picture(size[0], channels, *size[1:], dtype, device) for _ in range(2))
    weights = [weight(channels, 1, kernel, kernel, like=even) for _ in range(2)]
    answer = depthwise_sum(even, odd, *weights)
    assert answer.dtype == dtype
    assert_close(answer, plain_depthwise_sum(even, odd, *weights))


@on_device
def test_a_picture_of_two_strips_of_the_usual_height(device: str) -> None:
    x = picture(1, 3, 35, 5, torch.float32, device)
    weights = [weight(3, 1, size, size, like=x) for size in (3, 5)]
    for answer, expected in zip(depthwise_pair(x, *weights), plain_depthwise_pair(x, *weights), strict=True):
        assert_close(answer, expected)


@on_device
def test_slices_of_channels_are_read_and_written_in_place(device: str) -> None:
    whole = picture(2, 50, 3, 5, torch.bfloat16, device)
    even, odd = whole[:, 1:17], whole[:, 32:48]
    weights = [tap_major(weight(16, 1, 5, 5, like=whole)) for _ in range(2)]
    joined = torch.full_like(whole, 7)
    depthwise_sum(even, odd, *weights, out=joined[:, 20:36])
    assert_close(joined[:, 20:36], plain_depthwise_sum(even, odd, *weights))
    assert (joined[:, :20] == 7).all()
    assert (joined[:, 36:] == 7).all()

    small = tap_major(weight(16, 1, 3, 3, like=whole))
    pair, expected_pair = (function(odd, small, weights[0]) for function in (depthwise_pair, plain_depthwise_pair))
    for answer, expected in zip(pair, expected_pair, strict=True):
        assert_close(answer, expected)

    matrix, bias = weight(5, 16, like=whole), weight(5, like=whole)
    assert_close(normed_pointwise(even, matrix, bias), plain_normed_pointwise(even, matrix, bias))
    numbers, expected_numbers = (
        function(even, odd, 2) for function in (attention_statistics, plain_attention_statistics)
    )
    for answer, expected in zip(numbers, expected_numbers, strict=True):
        assert_close(answer, expected, scale=4)


@on_device
def test_what_is_not_a_number_stays_so(device: str) -> None:
    x = picture(1, 3, 5, 5, torch.float32, device)
    x[0, 1, 2, 2] = torch.nan
    small, large = weight(3, 1, 3, 3, like=x), weight(3, 1, 5, 5, like=x)
    for answer, expected in zip(depthwise_pair(x, small, large), plain_depthwise_pair(x, small, large), strict=True):
        assert torch.equal(answer.isnan(), expected.isnan())


@on_device
@in_each_dtype
@pytest.mark.parametrize(
    ("channels", "heads", "height", "width"),
    [(48, 1, 7, 9), (96, 2, 37, 41), (20, 4, 1, 1), (150, 1, 5, 13), (3, 3, 33, 65)],
)
def test_attention_statistics(
    channels: int, heads: int, height: int, width: int, dtype: torch.dtype, device: str
) -> None:
    query, key = (picture(2, channels, height, width, dtype, device) for _ in range(2))
    answers = attention_statistics(query, key, heads)
    expected = plain_attention_statistics(query, key, heads)
    head = channels // heads
    assert [answer.shape for answer in answers] == [(2, heads, head, head), (2, channels), (2, channels)]
    for answer, numbers in zip(answers, expected, strict=True):
        assert answer.dtype == torch.float32
        # A sum of many numbers of either sign is as exact as their lengths are large.
        assert_close(answer, numbers, scale=(height * width) ** 0.5)
    for answer, again in zip(answers, attention_statistics(query, key, heads), strict=True):
        assert torch.equal(answer, again)


def test_tap_major_weights_are_the_same_but_for_their_order_in_memory() -> None:
    small = torch.randn(10, 1, 3, 3)
    laid = tap_major(small)
    assert torch.equal(laid, small)
    assert laid.stride(0) == 1


X = torch.zeros(1, 4, 5, 6).contiguous(memory_format=torch.channels_last)
SMALL, LARGE = torch.zeros(4, 1, 3, 3), torch.zeros(4, 1, 5, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normed_pointwise(X.contiguous(), torch.zeros(3, 4), torch.zeros(3)), "channels must be innermost"),
        (lambda: normed_pointwise(X[..., ::2, :], torch.zeros(3, 4), torch.zeros(3)), "pixels evenly spaced"),
        (lambda: normed_pointwise(X, torch.zeros(3, 5), torch.zeros(3)), "weight.shape"),
        (lambda: normed_pointwise(X, torch.zeros(4, 3).t(), torch.zeros(3)), "weight.stride"),
        (lambda: normed_pointwise(X, torch.zeros(3, 4), torch.zeros(4)), "bias.shape"),
        (lambda: normed_pointwise(X, torch.zeros(3, 4), torch.zeros(3, dtype=torch.float16)), "dtype"),
        (lambda: depthwise_pair(X, LARGE, LARGE), "weight.shape"),
        (lambda: depthwise_pair(X, SMALL, torch.zeros(3, 1, 5, 5)), "weight.shape"),
        (lambda: depthwise_pair(X, SMALL.transpose(2, 3), LARGE), "taps must be evenly spaced"),
        (lambda: depthwise_sum(X, X, torch.zeros(4, 1, 7, 7), torch.zeros(4, 1, 7, 7)), "3x3 and 5x5"),
        (lambda: depthwise_sum(X, X[:, :3], SMALL, SMALL[:3]), "must be equal"),
        (lambda: depthwise_sum(X, X, SMALL, LARGE), "weight.shape"),
        (lambda: depthwise_sum(X, X, SMALL, SMALL, out=X.half()), "out.dtype"),
        (lambda: attention_statistics(X, X[:, :3]), "equal shapes"),
        (lambda: attention_statistics(X, X, heads=3), "whole heads"),
        (lambda: attention_statistics(X, X.half()), "one dtype"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


class Compiler:
    """Takes a program's place: compiles it for the arguments it is started with, for Hopper, and starts nothing."""

    def __init__(self, program: Any) -> None:
        self.program = program

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self.compile

    def compile(self, *arguments: Any, **options: Any) -> None:
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        pointers = {torch.bfloat16: "*bf16", torch.float32: "*fp32"}
        signature, constants, attributes = {}, {}, {}
        parameters = inspect.signature(self.program.fn).parameters.items()
        for number, ((name, parameter), value) in enumerate(zip(parameters, arguments, strict=True)):
            if isinstance(value, Tensor):
                signature[name] = pointers[value.dtype]
                attributes[number,] = [["tt.divisibility", 16]]
            elif parameter.annotation == "tl.constexpr" or value == 1:
                signature[name], constants[number,] = "constexpr", value
            else:
                signature[name] = "fp32" if isinstance(value, float) else "i32"
        source = ASTSource(self.program, signature, constants, attributes)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        # What a program may have on the smallest of the GPUs since Ampere.
        assert compiled.metadata.shared <= 99 * 1024


@uninterpreted
def test_they_compile_for_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter takes more than the compiler does."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for name in ("normed_pointwise", "depthwise_pair", "depthwise_sum", "attention_statistics"):
        monkeypatch.setattr(programs, name, Compiler(getattr(programs, name)))
    for channels in (96, 192, 384):
        x = picture(1, channels, 9, 9, torch.bfloat16, "cpu")
        normed_pointwise(x, weight(40, channels, like=x), weight(40, like=x))
    x = picture(1, 64, 9, 9, torch.bfloat16, "cpu")
    small, large = weight(64, 1, 3, 3, like=x), weight(64, 1, 5, 5, like=x)
    depthwise_pair(x, small, large)
    depthwise_sum(x, x, small, small)
    depthwise_sum(x, x, large, large)
    attention_statistics(x, x)


@pytest.mark.cuda
def test_the_published_sizes_agree_with_torch() -> None:
    for channels, height, width in ((48, 270, 481), (96, 135, 240), (384, 67, 120)):
        x = picture(1, channels, height, width, torch.bfloat16, "cuda")
        hidden = int(channels * 2.66) * 2
        matrix, bias = weight(hidden, channels, like=x), weight(hidden, like=x)
        wide = normed_pointwise(x, matrix, bias)
        assert_close(wide, plain_normed_pointwise(x, matrix, bias), scale=2)
        weights = [tap_major(weight(hidden, 1, size, size, like=x)) for size in (3, 5)]
        small, large = depthwise_pair(wide, *weights)
        for answer, expected in zip((small, large), plain_depthwise_pair(wide, *weights), strict=True):
            assert_close(answer, expected)
        again = depthwise_sum(small, large, weights[1], weights[1])
        assert_close(again, plain_depthwise_sum(small, large, weights[1], weights[1]))
        heads = channels // 48
        answers, expected = attention_statistics(x, x, heads), plain_attention_statistics(x, x, heads)
        for answer, numbers in zip(answers, expected, strict=True):
            assert_close(answer, numbers, scale=(height * width) ** 0.5)


@pytest.mark.cuda
def test_a_cuda_graph_can_be_captured_after_one_call() -> None:
    x = picture(1, 48, 20, 30, torch.bfloat16, "cuda")
    small, large = weight(48, 1, 3, 3, like=x), weight(48, 1, 5, 5, like=x)
    matrix, bias = weight(48, 48, like=x), weight(48, like=x)

    def chain() -> tuple[Tensor, Tensor, Tensor]:
        narrow, broad = depthwise_pair(normed_pointwise(x, matrix, bias), small, large)
        return attention_statistics(depthwise_sum(narrow, broad, large, large), x)

    chain()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = chain()
    x.copy_(picture(1, 48, 20, 30, torch.bfloat16, "cuda"))
    graph.replay()
    for answer, expected in zip(captured, chain(), strict=True):
        assert torch.equal(answer, expected)
