"""The network on a GPU: what the CPU makes, to rounding.

Imports neither PyAV nor OpenCV, so that it runs where only torch is.
"""

from __future__ import annotations

import pytest
import torch

from streamderain.engine.colour import add_rgb, to_rgb
from streamderain.frames import PixelLayout
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer, pick_device
from tests.networks.small import TINY, network

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("exact_arithmetic")]

WINDOWED = Variant(
    widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), mefc=True, scale=2, past=1, future=1
)


@pytest.mark.parametrize("variant", [TINY, WINDOWED], ids=["single", "windowed"])
@torch.inference_mode()
def test_float64_agrees_with_the_cpu(variant: Variant) -> None:
    derainer = network(variant).double()
    rainy = torch.rand(2, 3 * variant.frames, 32, 48, dtype=torch.float64)
    expected = derainer(rainy)
    answer = derainer.cuda()(rainy.cuda())
    torch.testing.assert_close(answer.cpu(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("variant", [TINY, WINDOWED], ids=["single", "windowed"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 51), (64, 96)])
def test_pictures_come_back_as_from_the_cpu(variant: Variant, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(height)
    pictures = torch.randint(0, 256, (4, 3, height, width), generator=generator, dtype=torch.uint8)
    on_cpu = Restorer(network(variant), "cpu")(pictures, consecutive=True)
    on_gpu = Restorer(network(variant), "cuda")(pictures, consecutive=True)
    assert on_gpu.device.type == "cpu"
    difference = (on_gpu.int() - on_cpu.int()).abs().float()
    # Rounding differs, and a near tie among the top scores may flip: single codes, hardly ever more.
    assert difference.mean() < 0.05
    assert (difference > 1.5).float().mean() < 0.001


def test_pictures_on_the_gpu_stay_there() -> None:
    pictures = torch.zeros(1, 3, 16, 16, dtype=torch.uint8, device="cuda")
    assert Restorer(network(), "cuda")(pictures).device.type == "cuda"


@pytest.mark.parametrize("layout", [PixelLayout(37, 51), PixelLayout(20, 30, chroma="422", bits=10, rotation=90)])
def test_colours_agree_with_the_cpu(layout: PixelLayout) -> None:
    dtype = torch.uint8 if layout.bits == 8 else torch.int16
    data = torch.randint(0, 2**layout.bits, (2, layout.samples)).to(dtype)
    rgb = to_rgb(data, layout)
    torch.testing.assert_close(to_rgb(data.cuda(), layout).cpu(), rgb, rtol=0, atol=1e-5)
    unchanged = add_rgb(data.cuda(), torch.zeros_like(rgb).cuda(), layout)
    assert torch.equal(unchanged.cpu(), data)
    change = 0.1 * torch.rand_like(rgb)
    difference = add_rgb(data.cuda(), change.cuda(), layout).cpu().int() - add_rgb(data, change, layout).int()
    assert difference.abs().max() <= 1


def test_auto_is_cuda_and_a_gpu_that_is_not_there_is_refused() -> None:
    assert pick_device("auto").type == "cuda"
    assert pick_device("cuda:0") == torch.device("cuda:0")


@torch.inference_mode()
def test_the_published_network_runs() -> None:
    torch.manual_seed(0)
    derainer = DRSformer().eval()
    rainy = torch.rand(1, 3, 64, 64)
    answer = derainer.cuda()(rainy.cuda())
    assert answer.shape == rainy.shape
    assert torch.isfinite(answer).all()
