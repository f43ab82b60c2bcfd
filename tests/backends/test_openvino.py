"""OpenvinoBackend: what it keeps on disk, and what it does where that or OpenVINO itself fails."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.backends.runnable import Runnable
from tests.backends.parted import parted

# Comes with streamderain, and is missing where a lent machine runs the tests marked cuda.
pytest.importorskip("openvino")

from streamderain.backends import openvino
from streamderain.backends.fastest import fastest
from streamderain.backends.openvino import OpenvinoBackend
from streamderain.backends.shapes import SHAPES


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sides that were converted for, as they happen."""
    sides: list[int] = []
    convert = openvino._parts

    def counted(derainer: object, side: int, parts: object) -> object:
        sides.append(side)
        return convert(derainer, side, parts)  # type: ignore[arg-type]

    monkeypatch.setattr(openvino, "_parts", counted)
    return sides


def opened(derainer: Runnable, precision: str = "float32") -> OpenvinoBackend:
    return OpenvinoBackend(derainer, torch.device("cpu"), precision)


def expected_of(derainer: Runnable, pictures: Tensor) -> Tensor:
    assert derainer.module is not None
    answer: Tensor = derainer.module(pictures)
    return answer


def picture(height: int = 32, width: int = 40) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))


def test_what_was_converted_once_is_read_from_disk(conversions: list[int]) -> None:
    derainer = parted()
    first = opened(derainer)(picture())
    again = opened(derainer)(picture())
    assert conversions == [32]
    torch.testing.assert_close(first, again, rtol=0, atol=1e-5)


def test_other_weights_are_converted_anew(conversions: list[int]) -> None:
    answers = [opened(parted(seed))(picture()) for seed in (0, 1)]
    assert conversions == [32, 32]
    assert not torch.equal(*answers)


def test_all_large_pictures_share_a_conversion(conversions: list[int]) -> None:
    backend = opened(parted())
    for height, width in ((192, 200), (208, 192)):
        assert backend(picture(height, width)).shape[-2:] == (height, width)
    assert conversions == [192]


@pytest.mark.parametrize("is_ours", [True, False])
def test_memory_is_counted_once_for_code_of_ours(cache: Path, monkeypatch: pytest.MonkeyPatch, is_ours: bool) -> None:
    """Of other code nobody sees that it has changed; and a note that is damaged is made anew."""
    counts: list[object] = []
    count = openvino.footprint

    def counted(*given: Any) -> Any:
        counts.append(given)
        return count(*given)

    monkeypatch.setattr(openvino, "footprint", counted)
    network = replace(parted(), sources=(Path(__file__),) if is_ours else ())
    found = [opened(network).bytes_per_pixel() for _ in range(3)]
    assert len(set(found)) == 1
    assert len(counts) == (1 if is_ours else 3)
    for note in cache.rglob("bytes-*"):
        note.write_text("many")
        assert opened(network).bytes_per_pixel() == found[0]


def test_a_damaged_file_is_made_anew(cache: Path, conversions: list[int]) -> None:
    derainer = parted()
    expected = opened(derainer)(picture())
    for file in cache.rglob("trunk.*"):
        file.write_bytes(b"damaged")
    torch.testing.assert_close(opened(derainer)(picture()), expected)
    assert conversions == [32, 32]


def test_nothing_half_made_stays(cache: Path) -> None:
    opened(parted())(picture())
    digest = next((cache / "openvino").iterdir())
    assert sorted(each.name for each in digest.iterdir()) == ["compiled", "stem-32"]


def test_a_cache_that_cannot_be_written_only_costs_time(
    cache: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file in the folder's place")
    derainer = parted()
    torch.testing.assert_close(opened(derainer)(picture()), expected_of(derainer, picture()), rtol=0, atol=1e-4)
    assert conversions == [32]
    assert "nothing can be kept" in caplog.text


def test_where_openvino_fails_torch_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(derainer: object, side: int, begin: str) -> object:
        raise RuntimeError("first line\nno such instruction")

    monkeypatch.setattr(openvino, "_parts", broken)
    derainer = parted()
    with caplog.at_level(logging.WARNING):
        answer = opened(derainer, "auto")(picture())
    torch.testing.assert_close(answer, expected_of(derainer, picture()), rtol=0, atol=1e-5)
    assert "plain torch does, more slowly: no such instruction" in caplog.text


def test_only_the_latest_shapes_stay_compiled() -> None:
    backend = opened(parted())
    for width in range(8, 8 * (SHAPES + 3), 8):
        backend(picture(8, width))
    assert len(backend._passes) == SHAPES


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("counts", [(2, 1, 3), (1, 2), (5, 1)])
def test_frames_that_go_abreast_are_answered_as_alone(two_threads: None, counts: tuple[int, ...]) -> None:
    backend, derainer = opened(parted()), parted()
    for number, count in enumerate(counts):
        frames = torch.cat([picture().roll(number + shift, -1) for shift in range(count)])
        torch.testing.assert_close(backend(frames), expected_of(derainer, frames), rtol=0, atol=1e-5)
    # One that comes alone once others came together has nothing compiled for it.
    assert len(backend._passes) == (2 if counts[0] == 1 else 1)


def test_two_streams_of_one_shape_may_come_at_once() -> None:
    backend = opened(parted())
    pictures = [picture(), picture().flip(-1)]
    expected = [backend(each) for each in pictures]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            for found, each in zip(pool.map(backend, pictures), expected, strict=True):
                torch.testing.assert_close(found, each, rtol=0, atol=1e-6)


def test_no_weights_of_less_than_float32_are_kept(cache: Path) -> None:
    derainer = parted()
    opened(derainer)(picture())
    assert 'element_type="f16"' not in next(cache.rglob("trunk.xml")).read_text()


def test_a_signal_after_networks_came_and_went_is_no_end_of_the_process() -> None:
    script = """
import gc, signal, subprocess
from streamderain.backends.openvino import OpenvinoBackend
from tests.backends.parted import parted

signal.signal(signal.SIGCHLD, lambda *_: None)
backends = [OpenvinoBackend(parted()) for _ in range(2)]
while backends:
    backends.pop(0)
    gc.collect()
subprocess.run(["true"], check=True)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("quick", ["float32", "bfloat16"])
def test_the_precision_is_the_one_that_took_the_least_time(quick: str) -> None:
    """By a clock that only the runs move on; one busy moment does not decide."""
    now, passes = [0.0], []

    def run(name: str) -> None:
        passes.append(name)
        now[0] += (1.0 if name == quick else 1.5) + (50.0 if len(passes) == 4 else 0.0)

    runs = {name: partial(run, name) for name in ("float32", "bfloat16")}
    assert fastest(runs, clock=lambda: now[0]) == quick
    assert passes[:4] == ["float32", "bfloat16"] * 2
