"""What is measured and what is left out, by a clock that only the bench moves."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from streamderain.errors import DeviceError, WeightsError
from streamderain.profiling.bench import FIDELITY_SIZE, Effort, Ready
from streamderain.profiling.profile import SIZES, Limits, Report, Walk
from streamderain.profiling.rows import Measured, Profile, Setup, Size, Skipped

from .made_up import measured, other

ASKED = Setup("default", "auto", "auto", 0)


class Stopwatch:
    """A bench at which a frame takes a tenth of a second at 640x360, and ten frames make a measurement."""

    device = torch.device("cpu")
    effort = Effort(windows=2)

    def __init__(self, preparing: float = 0.0, largest: int = 10**9, lacking: tuple[str, ...] = ()) -> None:
        self.now = 0.0
        self.tried: list[str] = []
        self._preparing, self._largest, self._lacking = preparing, largest, lacking

    def ready(self, wanted: Setup) -> Ready:
        if wanted.backend in self._lacking:
            raise DeviceError(f"no {wanted.backend} here")
        if wanted.model == "none":
            raise WeightsError("no weights called none")
        self.now += self._preparing
        backend = "openvino" if wanted.backend == "auto" else wanted.backend
        network: Any = None
        return Ready(other(backend=backend, batch=wanted.batch or 1), network, 0.1)

    def psnr(self, ready: Ready) -> float:
        self.now += 1
        return 50.0

    def cost(self, ready: Ready, size: Size, pace: float) -> float:
        return 10 * pace

    def measure(self, ready: Ready, size: Size, report: Report) -> Measured:
        if size.pixels > self._largest:
            raise DeviceError("too many megapixels")
        self.tried.append(str(size))
        report(0.5, "measuring")
        fps = 10 * FIDELITY_SIZE.pixels / size.pixels
        self.now += 10 / fps
        return measured(str(size), fps, ready.setup)


def walk(bench: Stopwatch, setups: list[Setup], sizes: tuple[str, ...] = SIZES, **limits: float) -> Profile:
    sizes_given = [Size.parse(size) for size in sizes]
    return Walk(bench, Limits(**limits), lambda share, text: None, lambda: bench.now).through(setups, sizes_given)


def test_all_is_measured_where_time_allows_and_small_sizes_come_first() -> None:
    bench = Stopwatch()
    found = walk(bench, [ASKED], ("1280x720", "426x240", "426x240"))
    assert bench.tried == ["426x240", "1280x720"]
    assert [str(row.size) for row in found.measured] == bench.tried
    assert found.psnr == {other(): 50.0}
    assert found.device == "cpu"
    assert "processor" in found.machine


def test_a_size_that_would_take_too_long_is_told_from_the_one_before() -> None:
    bench = Stopwatch()
    found = walk(bench, [ASKED], ("640x360", "1280x720", "1920x1080"), each=8.0)
    assert bench.tried == ["640x360", "1280x720"]
    gap = found.rows[2]
    assert isinstance(gap, Skipped)
    assert gap.expected_fps == pytest.approx(10 / 9)
    assert str(gap) == (
        "skipped: about 1.1 fps expected from 1280x720, as measuring it would take 11 s, and 8 s are allowed"
    )


def test_the_time_for_all_counts_getting_ready_and_is_kept_to() -> None:
    bench = Stopwatch(preparing=50.0)
    found = walk(bench, [ASKED], ("640x360", "1280x720", "1920x1080"), altogether=60.0, each=60.0)
    assert bench.tried == ["640x360", "1280x720"]
    assert bench.now <= 60
    assert "measuring it would take 11 s, and 4 s are left" in str(found.rows[2])
    assert bench.tried == [str(row.size) for row in found.measured]


def test_where_nothing_can_be_measured_there_is_still_a_guess() -> None:
    found = walk(Stopwatch(preparing=70.0), [ASKED], ("640x360",), altogether=60.0)
    (gap,) = found.rows
    assert isinstance(gap, Skipped)
    assert gap.expected_fps == pytest.approx(10)
    assert found.psnr == {other(): None}


def test_a_size_that_does_not_fit_into_memory_is_a_row() -> None:
    found = walk(Stopwatch(largest=10**6), [ASKED], ("1280x720", "1920x1080"))
    assert isinstance(found.rows[0], Measured)
    assert str(found.rows[1]) == "skipped: too many megapixels"


def test_of_several_setups_one_that_cannot_be_is_a_row_and_alone_it_is_an_error() -> None:
    bad, bench = other(backend="graphs"), Stopwatch(lacking=("graphs",))
    found = walk(bench, [bad, ASKED], ("640x360",))
    assert str(found.rows[0]) == "skipped: no graphs here"
    assert isinstance(found.rows[1], Measured)
    with pytest.raises(DeviceError, match="no graphs here"):
        walk(bench, [bad], ("640x360",))
    with pytest.raises(WeightsError):
        walk(bench, [ASKED, other(model="none")], ("640x360",))


def test_two_names_of_one_setup_are_measured_once() -> None:
    bench = Stopwatch()
    found = walk(bench, [ASKED, other(), other(batch=4)], ("640x360",))
    assert found.setups == [other(), other(batch=4)]
    assert bench.tried == ["640x360"] * 2


def test_progress_goes_from_nothing_to_all() -> None:
    seen: list[tuple[float, str]] = []
    bench = Stopwatch()
    sizes = [Size.parse("640x360"), Size.parse("1280x720")]
    Walk(bench, Limits(), lambda *said: seen.append(said), lambda: bench.now).through([ASKED, other(batch=2)], sizes)
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert (0.125, "640x360, fast, openvino, bfloat16, batch 1: measuring") in seen


@pytest.mark.parametrize(
    ("pace", "batch", "frames"),
    [(2.0, 1, 13), (0.2, 1, 13), (0.1, 1, 20), (0.05, 1, 120), (0.01, 1, 200), (0.001, 1, 240), (2.0, 4, 40)],
)
def test_a_run_is_as_long_as_its_median_needs(pace: float, batch: int, frames: int) -> None:
    assert Effort().frames(pace, batch, delay_frames=4) == frames
