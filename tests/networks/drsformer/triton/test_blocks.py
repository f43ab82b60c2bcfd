"""Blocks that call the kernels: the function of the published ones, to rounding; see conftest for how they run."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="triton is not installed; it comes with torch for CUDA, or: pip install triton")

from streamderain.backends.table import open_backend
from streamderain.networks.drsformer import network as paper
from streamderain.networks.drsformer.fused import FusedExperts, fused, lowered
from streamderain.networks.drsformer.triton import blocks, kernels
from streamderain.networks.drsformer.triton.blocks import KernelAttention, KernelBlock, KernelFeedForward, with_kernels
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.registry import runnable
from tests.networks.small import network, shaken

from .conftest import INTERPRETED, on_device, run_interpreted, uninterpreted

LEVELS = {"widths": (12, 24, 48, 96), "blocks": (0, 1, 0, 0), "heads": (1, 2, 1, 1)}
PUBLISHED = Variant(**LEVELS)
OURS = Variant(**LEVELS, mefc=False, scale=2, past=2, future=2, dense=(1, 1), aligned=True)

pytestmark = pytest.mark.usefixtures("exact_arithmetic")


@pytest.fixture(autouse=True)
def short_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is interpreted takes as long as its text, and each column makes it longer."""
    if INTERPRETED:
        monkeypatch.setattr(kernels, "_PIXELS_IN_A_ROW", 1)


def picture(dim: int, count: int = 1) -> Tensor:
    return torch.randn(count, dim, 3, 7).contiguous(memory_format=torch.channels_last)


def assert_same(answer: Tensor, expected: Tensor) -> None:
    """`expected` is the published block's."""
    torch.testing.assert_close(answer.cpu(), expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


@uninterpreted
def test_interpreted_they_are_the_published_blocks() -> None:
    run_interpreted(__file__)


@on_device
@pytest.mark.parametrize(("dim", "heads"), [(6, 1), (12, 4), (20, 2)])
def test_attention(dim: int, heads: int, device: str) -> None:
    block = shaken(paper.SparseTransformerBlock(dim, heads, 1.0), torch.float32)
    x = picture(dim, count=2)
    answer = KernelAttention(block.norm1, block.attn).to(device)(x.to(device))
    assert answer.is_contiguous(memory_format=torch.channels_last)
    assert_same(answer, block.attn(block.norm1(x)))


@on_device
@pytest.mark.parametrize(("dim", "hidden"), [(4, 1), (8, 15), (8, 16), (8, 20), (6, 21)])
def test_feed_forward(dim: int, hidden: int, device: str) -> None:
    """Groups of channels need no filling up where `hidden` is 15 or 16."""
    block = shaken(paper.SparseTransformerBlock(dim, 1, hidden / dim), torch.float32)
    assert len(block.ffn.dwconv3x3_1.weight) == hidden
    x = picture(dim)
    answer = KernelFeedForward(block.norm2, block.ffn).to(device)(x.to(device))
    assert answer.is_contiguous(memory_format=torch.channels_last)
    assert_same(answer, block.ffn(block.norm2(x)))


@on_device
@pytest.mark.parametrize("normed_up_to", [7, 8])
def test_a_block_takes_any_layout(normed_up_to: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "NORMED_UP_TO", normed_up_to)
    block = shaken(paper.SparseTransformerBlock(8, 2, 2.66), torch.float32)
    x = picture(8, count=2).contiguous()
    assert_same(KernelBlock(block).to(device)(x.to(device)), block(x))


@on_device
@pytest.mark.parametrize("variant", [PUBLISHED, OURS], ids=["published", "ours"])
@torch.inference_mode()
def test_a_network_is_the_published_network(variant: Variant, device: str) -> None:
    derainer = network(variant)
    frames = torch.rand(1, 3 * variant.frames, 8 * variant.scale, 16)
    quick = with_kernels(derainer).to(device, memory_format=torch.channels_last)
    assert_same(quick(frames.to(device)), derainer(frames))
    kinds = {type(module) for module in quick.modules()}
    assert KernelBlock in kinds
    assert (FusedExperts in kinds) == variant.mefc
    assert paper.SparseTransformerBlock not in kinds


def test_the_published_network_stays_as_it_is() -> None:
    derainer = paper.DRSformer(PUBLISHED)
    with_kernels(derainer)
    assert derainer.state_dict().keys() == paper.DRSformer(PUBLISHED).state_dict().keys()
    assert all(parameter.requires_grad for parameter in derainer.parameters())


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_neighbouring_channels_of_weights_are_neighbours_in_memory(form: torch.memory_format) -> None:
    block = paper.SparseTransformerBlock(8, 2, 2.66)
    feed_forward = KernelFeedForward(block.norm2, block.ffn)
    if form == torch.channels_last:
        feed_forward.to(memory_format=form)
    weights = [feed_forward.small, feed_forward.large, feed_forward.sums[0].even, feed_forward.sums[1].odd]
    assert all(each.taps.stride(0) == 1 for each in weights)


@on_device
@torch.inference_mode()
def test_lowered_it_is_near(device: str) -> None:
    derainer = network(PUBLISHED)
    half = lowered(with_kernels(derainer).to(device), torch.float16)
    frames = torch.rand(1, 3, 8, 16)
    answer = half.trunk(frames.to(device, torch.float16))
    assert answer.dtype == torch.float16
    expected = fused(derainer).trunk(frames)
    error = answer.float().cpu() - expected
    assert error.square().mean() < 0.02**2 * expected.square().mean()


@pytest.mark.cuda
@pytest.mark.parametrize("variant", [PUBLISHED, OURS], ids=["published", "ours"])
@torch.inference_mode()
def test_the_backend_on_a_gpu_is_the_network(variant: Variant) -> None:
    derainer = network(variant)
    backend = open_backend(runnable(derainer), torch.device("cuda"), "triton", "float32")
    assert backend.name == "triton"
    for _ in range(3):
        frames = torch.rand(2, 3 * variant.frames, 64, 96)
        # What is left to libraries is in TF32, which has ten bits.
        torch.testing.assert_close(backend(frames.to("cuda")).cpu(), derainer(frames), rtol=0, atol=0.02)
