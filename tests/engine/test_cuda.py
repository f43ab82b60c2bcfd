"""The real lanes of a GPU: the same pixels come down that the CPU makes.

Imports neither PyAV nor OpenCV, so that it runs where only torch is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from streamderain.engine.colour import add_rgb, to_rgb
from streamderain.engine.lanes import CudaLane, Lane, download, lane_on, upload
from streamderain.engine.window import windows
from streamderain.frames import Frame, FrameBatch, PixelLayout
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer
from streamderain.stream.pipeline import Pipeline, Station
from tests.stream.conftest import PATIENCE

pytestmark = pytest.mark.cuda

LAYOUT = PixelLayout(66, 90)
TEN_BIT = PixelLayout(34, 50, chroma="422", bits=10)
NARROW = Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 2, 2, 4), mefc=False, scale=2, past=1, future=1)
WHILE = 4_000_000
"""Clock cycles, some milliseconds, for which a lane is held up so that whoever does not wait reads too early."""


@pytest.fixture(autouse=True)
def exact_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32, which would drown faults in rounding."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


class SleepyLane(CudaLane):
    """A GPU lane whose copies come late."""

    def to_device(self, buffer: Tensor) -> Tensor:
        torch.cuda._sleep(WHILE)
        return super().to_device(buffer)

    def to_host(self, data: Tensor, buffer: Tensor) -> None:
        torch.cuda._sleep(WHILE)
        super().to_host(data, buffer)


def noise(count: int, layout: PixelLayout) -> list[Frame]:
    generator = torch.Generator().manual_seed(count)
    data = torch.randint(0, 2**layout.bits, (count, layout.samples), generator=generator)
    data = data.to(torch.uint8 if layout.bits == 8 else torch.int16)
    return [Frame(data[number].clone(), layout, number, Fraction(1, 30)) for number in range(count)]


def groups_of(clip: list[Frame], size: int) -> Iterator[tuple[Frame, ...]]:
    return (tuple(clip[first : first + size]) for first in range(0, len(clip), size))


def through(
    clip: list[Frame], lane: Callable[[], Lane], work: Callable[[Iterable[FrameBatch], Lane], Iterator[FrameBatch]]
) -> list[Tensor]:
    """The clip's data after upload, `work` and download, each in its own thread and lane."""
    stations = (
        Station("upload", lambda frames: upload(groups_of(frames, 2), lane())),
        Station("restore", lambda batches: work(batches, lane())),
        Station("download", lambda batches: download(batches, lane()), ahead=2),
    )
    with Pipeline(clip, *stations, patience=PATIENCE) as pairs:
        arrived = list(pairs)
    assert [pair.rainy for pair in arrived] == clip
    return [pair.clean.data for pair in arrived]


def inverted(batches: Iterable[FrameBatch], lane: Lane) -> Iterator[FrameBatch]:
    """Takes its time over an exact function of the data."""
    with lane.active():
        for batch in batches:
            lane.after(batch.ready, batch.data)
            torch.cuda._sleep(WHILE)
            top = 2**batch.layout.bits - 1
            yield FrameBatch(batch.frames, top - batch.data, lane.mark())


@pytest.mark.parametrize("layout", [LAYOUT, TEN_BIT])
def test_no_lane_reads_or_writes_too_early(layout: PixelLayout) -> None:
    clip = noise(25, layout)
    arrived = through(clip, lambda: SleepyLane(torch.device("cuda")), inverted)
    for before, after in zip(clip, arrived, strict=True):
        torch.testing.assert_close(
            after, (2**layout.bits - 1 - before.data.int()).to(before.data.dtype), rtol=0, atol=0
        )


def test_upload_and_download_change_nothing_and_come_back_to_host_memory() -> None:
    clip = noise(9, LAYOUT)
    device = torch.device("cuda")
    pairs = list(download(upload(groups_of(clip, 4), lane_on(device)), lane_on(device)))
    for before, pair in zip(clip, pairs, strict=True):
        assert pair.clean.data.device.type == "cpu"
        assert torch.equal(pair.clean.data, before.data)


def test_uploaded_batches_are_on_the_gpu_once_ready() -> None:
    clip = noise(4, LAYOUT)
    (batch,) = upload(groups_of(clip, 4), SleepyLane(torch.device("cuda")))
    batch.ready.synchronize()
    assert batch.data.device.type == "cuda"
    assert torch.equal(batch.data.cpu(), torch.stack([frame.data for frame in clip]))


def test_the_cuda_lane_pins_its_buffers() -> None:
    lane = lane_on(torch.device("cuda"))
    assert isinstance(lane, CudaLane)
    assert lane.host_buffer((2, 3), torch.uint8).is_pinned()


def derained_on(device: torch.device, clip: list[Frame]) -> list[Tensor]:
    torch.manual_seed(0)
    restorer = Restorer(DRSformer(NARROW).eval(), device)

    def work(batches: Iterable[FrameBatch], lane: Lane) -> Iterator[FrameBatch]:
        def picture(batch: FrameBatch) -> Tensor:
            lane.after(batch.ready, batch.data)
            return to_rgb(batch.data, batch.layout).clamp(0, 1)

        with torch.inference_mode(), lane.active():
            for window in windows(batches, restorer.past, restorer.future, picture):
                change = restorer.restore(window.pictures) - window.pictures[:, restorer.past]
                yield FrameBatch(window.frames, add_rgb(window.data, change, window.layout), lane.mark())

    return through(clip, lambda: lane_on(device), work)


@pytest.mark.parametrize("layout", [LAYOUT, TEN_BIT])
def test_a_small_network_derains_as_on_the_cpu(layout: PixelLayout) -> None:
    clip = noise(7, layout)
    on_cpu = torch.stack(derained_on(torch.device("cpu"), clip)).float()
    on_gpu = torch.stack(derained_on(torch.device("cuda"), clip)).float()
    before = torch.stack([frame.data for frame in clip]).float()
    unit = 2 ** (layout.bits - 8)
    assert (on_cpu - before).abs().mean() > 0.2 * unit, "the network changes too little to tell"
    # Rounding differs, and a near tie among the top scores may flip: single codes, hardly ever more.
    difference = (on_gpu - on_cpu).abs() / unit
    assert difference.mean() < 0.05
    assert (difference > 1.5).float().mean() < 0.001
