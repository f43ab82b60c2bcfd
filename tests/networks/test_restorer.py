"""Restorer: pictures of any size in, as many out; and the devices that it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from streamderain.errors import DeviceError, WeightsError
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer, pick_device
from tests.networks.small import TINY, network

WINDOWED = Variant(
    widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), mefc=False, scale=2, past=2, future=1
)


def clip(count: int, height: int = 16, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("variant", [TINY, WINDOWED], ids=["single", "windowed"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (37, 51), (16, 1), (32, 48)])
def test_any_size_comes_back_as_uint8_of_that_size(variant: Variant, height: int, width: int) -> None:
    pictures = clip(2, height, width)
    derained = Restorer(network(variant))(pictures)
    assert derained.shape == pictures.shape
    assert derained.dtype == torch.uint8


def test_pictures_stand_for_themselves_unless_consecutive() -> None:
    restorer = Restorer(network(WINDOWED))
    pictures = clip(4)
    alone = torch.cat([restorer(picture) for picture in pictures.split(1)])
    assert torch.equal(restorer(pictures), alone)
    assert not torch.equal(restorer(pictures, consecutive=True), alone)


def test_a_network_of_single_frames_does_not_care_who_stands_beside() -> None:
    restorer = Restorer(network())
    pictures = clip(3)
    assert torch.equal(restorer(pictures, consecutive=True), restorer(pictures))


def test_consecutive_frames_see_their_neighbours_and_the_ends_see_copies() -> None:
    derainer = network(WINDOWED)
    pictures = clip(4)
    derained = Restorer(derainer)(pictures, consecutive=True)
    for place in range(4):
        window = [pictures[min(max(place + offset, 0), 3)] for offset in (-2, -1, 0, 1)]
        expected = derainer(torch.cat(window)[None].float() / 255).clamp(0, 1)
        difference = derained[place].float() - expected[0] * 255
        # Rounding, and no more.
        assert difference.abs().max() <= 0.51


def test_a_single_consecutive_frame_is_a_picture() -> None:
    restorer = Restorer(network(WINDOWED))
    assert torch.equal(restorer(clip(1), consecutive=True), restorer(clip(1)))


def test_restore_answers_for_the_frames_between_their_neighbours() -> None:
    restorer = Restorer(network(WINDOWED))
    pictures = clip(7).float() / 255
    windows = torch.stack([pictures[place : place + 4] for place in range(4)])
    together = restorer.restore(windows)
    assert together.shape == (4, 3, 16, 32)
    assert together.min() >= 0
    assert together.max() <= 1
    for place in range(4):
        alone = restorer.restore(windows[place : place + 1])
        torch.testing.assert_close(together[place : place + 1], alone, rtol=0, atol=1e-4)


def test_the_same_pictures_give_the_same_answer() -> None:
    pictures = clip(2)
    assert torch.equal(Restorer(network())(pictures), Restorer(network())(pictures))


def test_the_pictures_are_left_as_they_were() -> None:
    pictures = clip(2)
    Restorer(network())(pictures)
    assert torch.equal(pictures, clip(2))


def test_no_pictures_give_none() -> None:
    assert Restorer(network())(clip(0)).shape == (0, 3, 16, 32)


@pytest.mark.parametrize(
    "wrong",
    [
        clip(1).float(),
        clip(1).to(torch.int16),
        clip(1)[0],
        clip(1)[:, :1],
        clip(1).permute(0, 2, 3, 1),
        clip(2)[None],
    ],
    ids=["float", "int16", "no batch", "gray", "channels last", "five axes"],
)
def test_other_shapes_and_kinds_are_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 3, H, W\) torch\.uint8"):
        Restorer(network())(wrong)


def test_it_says_which_neighbours_it_wants() -> None:
    assert (Restorer(network(WINDOWED)).past, Restorer(network(WINDOWED)).future) == (2, 1)
    assert (Restorer(network()).past, Restorer(network()).future) == (0, 0)


def test_it_loads_weights_from_a_file(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "some.safetensors")
    loaded = Restorer.load(str(tmp_path / "some.safetensors"), "cpu")
    assert loaded.device == torch.device("cpu")
    assert torch.equal(loaded(clip(1)), Restorer(network())(clip(1)))


def test_weights_that_are_not_there_are_an_error() -> None:
    with pytest.raises(WeightsError):
        Restorer.load("no-such-weights", "cpu")


@pytest.fixture
def only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("only_a_cpu")
@pytest.mark.parametrize("wanted", ["cuda", "cuda:0", "cuda:3"])
def test_cuda_without_cuda_is_refused_with_a_way_out(wanted: str) -> None:
    with pytest.raises(DeviceError, match=f"{wanted} is not here: .* sees 0 CUDA devices; try --device auto"):
        pick_device(wanted)


@pytest.mark.usefixtures("only_a_cpu")
def test_mps_without_a_mac_is_refused() -> None:
    with pytest.raises(DeviceError, match="mps is not here"):
        pick_device("mps")


@pytest.mark.parametrize("wanted", ["potato", "", "cuda:-1", "cuda:x", "cpu:1:2"])
def test_nonsense_is_no_device(wanted: str) -> None:
    with pytest.raises(DeviceError, match="allowed: auto, cpu, cuda"):
        pick_device(wanted)


@pytest.mark.parametrize("wanted", ["meta", "xpu"])
def test_devices_that_torch_knows_and_we_do_not_use_are_refused(wanted: str) -> None:
    with pytest.raises(DeviceError, match="does not use"):
        pick_device(wanted)


@pytest.mark.usefixtures("only_a_cpu")
def test_auto_takes_the_best_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


def test_a_second_gpu_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="sees 2 CUDA devices"):
        pick_device("cuda:2")


def test_less_memory_means_smaller_tiles_and_nearly_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamderain.networks.memory.SMALLEST_TILE", 64 * 64)
    derainer = network(TINY)
    windows = torch.rand(2, 1, 3, 192, 256)
    whole, cut = Restorer(derainer), Restorer(derainer)
    monkeypatch.setattr("streamderain.networks.restorer.budget", lambda device, gibibytes: 10**12)
    assert (whole.plan(2, 192, 256).batch, whole.plan(2, 192, 256).tile) == (2, 192 * 256)
    # Room for a frame that waits and a quarter of a picture.
    room = 192 * 256 * (550 + cut.backend.bytes_per_pixel() / 4)
    monkeypatch.setattr("streamderain.networks.restorer.budget", lambda device, gibibytes: int(room))
    assert (cut.plan(2, 192, 256).batch, cut.plan(2, 192, 256).tile) == (1, 192 * 256 // 4)
    # A tile is normalised over its own pixels alone.
    assert (whole.restore(windows) - cut.restore(windows)).abs().mean() < 0.02


def test_what_cannot_fit_is_an_error_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamderain.networks.restorer.budget", lambda device, gibibytes: 10**6)
    with pytest.raises(DeviceError, match="megapixels need"):
        Restorer(network(TINY)).plan(1, 2160, 3840)
