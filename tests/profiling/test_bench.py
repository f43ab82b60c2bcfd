"""Real runs, as small as they can be."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.errors import DeviceError
from streamderain.media.images import read_clip
from streamderain.media.source import open_source
from streamderain.media.synthetic import write_test_video
from streamderain.profiling import bench as bench_module
from streamderain.profiling import memory
from streamderain.profiling.bench import QUICK, Bench
from streamderain.profiling.memory import Peak
from streamderain.profiling.rows import STATIONS, Setup, Size
from streamderain.profiling.runs import Run, run
from streamderain.stream.stats import StationStats
from tests.networks.small import network

SMALL = Size(48, 64)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    save_file(network().state_dict(), tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(bench_module, "FIDELITY_SIZE", SMALL)
    return Bench(tmp_path, DerainConfig(device="cpu", blend=0.5), QUICK)


@pytest.mark.parametrize("batch", [0, 2])
def test_a_measurement_holds_every_figure(bench: Bench, weights: str, batch: int) -> None:
    ready = bench.ready(Setup(weights, "auto", "auto", batch))
    assert ready.setup == Setup(weights, "torch", "float32", batch or 1)
    assert bench.psnr(ready) == math.inf
    said: list[str] = []
    row = bench.measure(ready, SMALL, lambda share, text: said.append(text))
    assert said == ["warming up", "measuring"]
    assert (row.setup, row.size, row.blend) == (ready.setup, SMALL, 0.5)
    assert row.fps > 0
    assert row.network_fps > 0
    assert row.latency.keys() == set(STATIONS)
    for latency in row.latency.values():
        assert 0 <= latency.p50 <= latency.p95 <= latency.p99
    assert row.latency["network"].p50 > row.latency["download"].p50
    assert row.peak_memory_mib > 50
    assert row.peak_gpu_mib is None
    assert row.delay_frames == 2
    assert row.frames >= QUICK.steps
    assert row.seconds >= row.frames / row.fps * 0.5


def test_a_precision_is_judged_by_what_it_changes(bench: Bench, weights: str) -> None:
    ready = bench.ready(Setup(weights, "auto", "auto", 1))
    # Stands for a backend that rounds.
    exact = ready.network.restore
    ready.network.restore = lambda windows: exact(windows) + 0.01  # type: ignore[method-assign]
    rounded = bench_module.Ready(Setup(weights, "other", "bfloat16", 1), ready.network, ready.pace)
    assert bench.psnr(rounded) == pytest.approx(40.0, abs=0.1)
    assert bench.psnr(ready) == math.inf


def test_a_size_beyond_memory_is_refused_before_it_is_tried(tmp_path: Path, weights: str) -> None:
    bench = Bench(tmp_path, DerainConfig(device="cpu", memory=0.001), QUICK)
    with pytest.raises(DeviceError, match="megapixels need"):
        bench.ready(Setup(weights, "auto", "auto", 1))


class Passing:
    """A network that changes nothing."""

    device = torch.device("cpu")
    past = future = 1

    def restore(self, windows: Tensor) -> Tensor:
        return windows[:, 1]


def test_a_run_has_a_time_for_every_frame_and_pass(tmp_path: Path) -> None:
    write_test_video(tmp_path / "clip.mp4", 48, 64, 9)
    done = run(tmp_path / "clip.mp4", tmp_path / "out.mp4", Passing(), DerainConfig(blend=0.0))
    assert len(done.out) == 9
    assert done.out == sorted(done.out)
    assert done.whole >= done.out[-1]
    assert len(done.passes) == 9
    settled = run(tmp_path / "clip.mp4", tmp_path / "out.mp4", Passing(), DerainConfig(blend=0.0), settled=True)
    assert settled.latency().keys() == set(STATIONS)


def made_up(out: list[float], whole: float) -> Run:
    names = ("decode", "upload", "restore", "blend", "download", "encode")
    stations = [StationStats(name, durations=deque([9.0, 0.2, 0.2])) for name in names]
    return Run(out, whole, stations, passes=[8.0, 0.15, 0.15])


def test_pace_is_the_median_step_without_the_end_and_with_what_the_encoder_held_back() -> None:
    steps = [1.0, 2.0, 3.0, 4.0, 9.0, 10.0, 10.01, 10.02]
    assert made_up(steps, whole=10.02).seconds_per_frame(1, delay_frames=2) == pytest.approx(1.0)
    assert made_up(steps, whole=14.02).seconds_per_frame(1, delay_frames=2) == pytest.approx(1.5)


def test_frames_that_come_out_in_batches_are_counted_by_batches() -> None:
    bursts = [float(second) + 0.001 * place for second in range(1, 6) for place in range(4)]
    assert made_up(bursts, bursts[-1]).seconds_per_frame(4, delay_frames=0) == pytest.approx(0.25)


def test_a_long_run_counts_from_where_the_encoder_is_in_swing() -> None:
    out = [0.1 * number for number in range(60)] + [6.0 + 0.3 * number for number in range(60)]
    assert made_up(out, whole=out[-1] + 5).seconds_per_frame(1, delay_frames=0) == pytest.approx(0.3)


def test_conversion_is_what_restoring_takes_beside_the_network_and_the_first_item_is_none() -> None:
    latency = made_up([1.0, 2.0, 3.0], whole=3.3).latency()
    assert latency["decode"].p99 == pytest.approx(200)
    assert latency["network"].p50 == pytest.approx(150)
    assert latency["convert"].p50 == pytest.approx(50)
    assert latency["encode"].p50 == pytest.approx(300)  # with its share of what was left at the end


def test_the_peak_of_memory_is_that_since_it_was_asked_for() -> None:
    earlier = bytearray(200 * 2**20)
    del earlier
    peak = Peak(torch.device("cpu"))
    before = peak.process_mib() or 0
    held = torch.ones(40 * 2**20)
    assert (peak.process_mib() or 0) - before == pytest.approx(160, abs=20)
    del held
    assert (peak.process_mib() or 0) - before == pytest.approx(160, abs=20)
    assert peak.gpu_mib() is None


def test_a_system_that_tells_no_memory_has_none_in_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    assert (Peak(torch.device("cpu")).process_mib() or 0) > 50  # what getrusage says
    monkeypatch.setattr(memory, "resource", None)
    assert Peak(torch.device("cpu")).process_mib() is None


def test_the_video_moves_and_is_encoded(tmp_path: Path) -> None:
    write_test_video(tmp_path / "a.mp4", 90, 160, 5)
    write_test_video(tmp_path / "b.mp4", 90, 160, 5)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with open_source(tmp_path / "a.mp4") as source:
        assert (source.info.codec, source.info.frames, source.info.height, source.info.width) == ("h264", 5, 90, 160)
    clip = read_clip(tmp_path / "a.mp4", 5).float()
    assert (clip[1:] - clip[:-1]).abs().mean() > 3
    assert clip.std() > 20
