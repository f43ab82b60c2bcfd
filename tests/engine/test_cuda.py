"""The real lanes of a GPU, and the whole engine on it: the same pixels come down that the CPU makes.

Imports neither PyAV nor OpenCV, so that it runs where only torch is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine
from streamderain.engine.lanes import CudaLane, Lane, download, lanes_on, upload
from streamderain.engine.record import Batch
from streamderain.frames import Frame, PixelLayout
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer
from streamderain.stream.pipeline import Pipeline, Station
from tests.stream.conftest import PATIENCE

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("exact_arithmetic")]

CUDA = torch.device("cuda")
LAYOUT = PixelLayout(66, 90)
TEN_BIT = PixelLayout(34, 50, chroma="422", bits=10)
NARROW = Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), heads=(1, 2, 2, 4), mefc=False, scale=2, past=1, future=1)
WHILE = 4_000_000
"""Clock cycles, some milliseconds, for which a lane is held up so that whoever does not wait reads too early."""


class SleepyLane(CudaLane):
    """A GPU lane whose copies come late."""

    def to_device(self, rows: Sequence[Tensor]) -> Tensor:
        torch.cuda._sleep(WHILE)
        return super().to_device(rows)

    def to_host(self, data: Tensor) -> Tensor:
        torch.cuda._sleep(WHILE)
        return super().to_host(data)


def noise(count: int, layout: PixelLayout) -> list[Frame]:
    generator = torch.Generator().manual_seed(count)
    data = torch.randint(0, 2**layout.bits, (count, layout.samples), generator=generator)
    data = data.to(torch.uint8 if layout.bits == 8 else torch.int16)
    return [Frame(data[number].clone(), layout, number, Fraction(1, 30)) for number in range(count)]


def groups_of(clip: list[Frame], size: int) -> Iterator[Sequence[Frame]]:
    return (clip[first : first + size] for first in range(0, len(clip), size))


def inverted(batches: Iterable[Batch], lane: Lane) -> Iterator[Batch]:
    """Takes its time over an exact function of the data."""
    with lane.active():
        for batch in batches:
            lane.after(batch[0].ready, batch[0].data)
            torch.cuda._sleep(WHILE)
            for record in batch:
                record.data = 2**record.frame.layout.bits - 1 - record.data
                record.ready = lane.mark()
            yield batch


@pytest.mark.parametrize("layout", [LAYOUT, TEN_BIT])
def test_no_lane_reads_or_writes_too_early(layout: PixelLayout) -> None:
    clip = noise(25, layout)
    up, compute, down = (SleepyLane(CUDA) for _ in range(3))
    stations = (
        Station("upload", lambda frames: upload(groups_of(frames, 2), up)),
        Station("restore", lambda batches: inverted(batches, compute)),
        Station("download", lambda batches: download(batches, down), ahead=2),
    )
    with Pipeline(clip, *stations, patience=PATIENCE) as pairs:
        arrived = list(pairs)
    assert [pair.rainy for pair in arrived] == clip
    for before, pair in zip(clip, arrived, strict=True):
        expected = (2**layout.bits - 1 - before.data.int()).to(before.data.dtype)
        torch.testing.assert_close(pair.clean.data, expected, rtol=0, atol=0)


def test_upload_and_download_change_nothing_and_come_back_to_host_memory() -> None:
    clip = noise(40, LAYOUT)
    # All of them are kept, while page-locked memory is asked for again and again.
    pairs = list(download(upload(groups_of(clip, 4), SleepyLane(CUDA)), SleepyLane(CUDA)))
    for before, pair in zip(clip, pairs, strict=True):
        assert pair.clean.data.device.type == "cpu"
        assert torch.equal(pair.clean.data, before.data)


def test_uploaded_batches_are_on_the_gpu_once_ready() -> None:
    clip = noise(4, LAYOUT)
    (batch,) = upload(groups_of(clip, 4), SleepyLane(CUDA))
    batch[0].ready.synchronize()
    for record, frame in zip(batch, clip, strict=True):
        assert record.data.device.type == "cuda"
        assert torch.equal(record.data.cpu(), frame.data)


def test_what_comes_down_is_page_locked_and_waited_for_asleep() -> None:
    lanes = lanes_on(CUDA)
    assert lanes_on(torch.device("cuda", torch.cuda.current_device())) is lanes
    assert lanes.download.to_host(torch.zeros(2, 3, device=CUDA)).is_pinned()
    assert len({id(lane) for lane in lanes}) == 3


@pytest.mark.skipif("torch.cuda.device_count() < 2", reason="needs two GPUs")
def test_a_lane_makes_its_device_the_current_one() -> None:
    with lanes_on(torch.device("cuda:1")).compute.active():
        assert torch.cuda.current_device() == 1
    assert torch.cuda.current_device() == 0


def derained_on(device: torch.device, clip: list[Frame], **settings: Any) -> Tensor:
    """(N, samples) of what the whole engine makes of the clip."""
    torch.manual_seed(0)
    network = DRSformer(NARROW).eval()
    torch.nn.init.normal_(network.output.weight, std=0.02)
    engine = Engine(Restorer(network, device), DerainConfig(batch=2, **settings))
    pairs = list(engine.run(clip))
    assert [pair.rainy.pts for pair in pairs] == [frame.pts for frame in clip]
    return torch.stack([pair.clean.data for pair in pairs]).float()


@pytest.mark.parametrize("layout", [LAYOUT, TEN_BIT])
@pytest.mark.parametrize("settings", [{"blend": 0.0}, {"blend": 1.0}, {"neighbours": "past"}])
def test_the_whole_engine_derains_as_on_the_cpu(layout: PixelLayout, settings: dict[str, Any]) -> None:
    clip = film(7, layout)
    on_cpu = derained_on(torch.device("cpu"), clip, **settings)
    on_gpu = derained_on(CUDA, clip, **settings)
    before = torch.stack([frame.data for frame in clip]).float()
    unit = 2 ** (layout.bits - 8)
    assert (on_cpu - before).abs().mean() > 0.2 * unit, "the network changes too little to tell"
    # Rounding differs, and a near tie among the top scores may flip: single codes, hardly ever more.
    difference = (on_gpu - on_cpu).abs() / unit
    assert difference.mean() < 0.1
    assert (difference > 2.5).float().mean() < 0.01


def film(count: int, layout: PixelLayout) -> list[Frame]:
    """A soft picture that moves slowly, in a rain of noise: its frames are of one scene."""
    picture = F.interpolate(
        torch.rand(1, 1, 8, 12, generator=torch.Generator().manual_seed(1)), (80, 120), mode="bicubic"
    )
    clip = []
    for number, frame in enumerate(noise(count, layout)):
        planes = [
            0.9 * F.interpolate(picture[..., number : number + 66, number : number + 90], plane.shape)[0, 0]
            + 0.1 * plane / 2**layout.bits
            for plane in layout.split(frame.data)
        ]
        codes = torch.cat([plane.flatten() for plane in planes]).clamp(0, 1) * (2**layout.bits - 1)
        clip.append(replace(frame, data=codes.round().to(frame.data.dtype)))
    return clip
