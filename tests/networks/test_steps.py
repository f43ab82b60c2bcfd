"""Memory never costs a frame, and no frame goes out that cannot be one: networks that fail on purpose."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.backends.eager import EagerBackend
from streamderain.config import DerainConfig
from streamderain.errors import DeviceError
from streamderain.networks import restorer as module
from streamderain.networks import steps
from streamderain.networks.memory import Plan
from streamderain.networks.restorer import Restorer
from streamderain.networks.steps import Untold, are_sound, is_out_of_memory, smaller
from streamderain.run import derain
from tests.networks.small import BARE, network

SIDE = 128
CPU_TELLS = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried 4 bytes"


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of an eighth of a test's pictures are allowed."""
    monkeypatch.setattr(steps, "SMALLEST_TILE", SIDE * SIDE // 8)


class Scarce:
    """A backend that has memory for so many pixels at a time; keeps how many it was given, and in which order."""

    name, precision, takes_aligned = "torch", "float32", False

    def __init__(self, backend: Any, pixels: int, error: Callable[[], Exception]) -> None:
        self._backend, self.pixels, self._error = backend, pixels, error
        self.given: list[tuple[int, int]] = []

    def __call__(self, stacked: Tensor) -> Tensor:
        pixels = stacked.shape[-2] * stacked.shape[-1]
        self.given.append((len(stacked), pixels))
        if len(stacked) * pixels > self.pixels:
            raise self._error()
        answer: Tensor = self._backend(stacked)
        return answer

    def bytes_per_pixel(self) -> float:
        return 1.0


def scarce(pixels: int, error: Callable[[], Exception] = lambda: MemoryError()) -> tuple[Restorer, Scarce]:
    restorer = Restorer(network(BARE))
    backend = Scarce(restorer.backend, pixels, error)
    restorer.backend = restorer._running = backend
    return restorer, backend


def pictures(count: int = 4) -> Tensor:
    return torch.rand(count, 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "error",
    [
        lambda: MemoryError(),
        lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        lambda: RuntimeError(CPU_TELLS),
        lambda: RuntimeError("Exception from src/core/...: std::bad_alloc"),
        lambda: RuntimeError("Failed to allocate memory for requested buffer of size 10"),
    ],
)
def test_first_the_batch_gives_way(error: Callable[[], Exception], caplog: pytest.LogCaptureFixture) -> None:
    expected = Restorer(network(BARE)).restore(pictures())
    restorer, backend = scarce(SIDE * SIDE, error)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert torch.allclose(restorer.restore(pictures()), expected, atol=1e-6)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("memory gave out (")
    assert caplog.messages[0].endswith("); from here on frames go through one by one")
    # Once too much, and never again.
    assert [count for count, _ in backend.given] == [4, *[1] * 12]


def test_then_come_tiles_and_smaller_ones_each_told_once(caplog: pytest.LogCaptureFixture) -> None:
    restorer, backend = scarce(SIDE * SIDE // 3)
    with caplog.at_level(logging.WARNING):
        for count in (4, 4, 1):  # the last batch of a video is smaller
            assert restorer.restore(pictures(count)).shape == (count, 3, SIDE, SIDE)
    assert [message.partition("from here on ")[2] for message in caplog.messages] == [
        "frames go through one by one",
        "frames go through in tiles of 0.0082 megapixels",
        "frames go through in tiles of 0.0041 megapixels",
    ]
    assert max(pixels for _, pixels in backend.given[-9:]) <= SIDE * SIDE // 3


def test_at_last_comes_the_cpu(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Restorer(network(BARE)).restore(pictures())
    restorer, backend = scarce(0)
    # A device that is none: what is left is the step to the CPU, and pictures stay where they are.
    restorer.device = torch.device("meta")
    monkeypatch.setattr(module, "budget", lambda device, memory: 10**12)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            answer = restorer._within_memory(pictures()) if not backend.given else None
            if answer is None:
                answer = restorer._within_memory(pictures())
            assert torch.allclose(answer.clamp(0, 1), expected, atol=1e-6)
    assert caplog.messages[-1] == "memory gave out on meta (MemoryError); from here on the CPU is used"
    assert caplog.messages.count(caplog.messages[-1]) == 1


def test_where_nothing_is_left_it_is_one_line() -> None:
    restorer, _ = scarce(0)
    with pytest.raises(DeviceError, match=r"memory gave out \(MemoryError\), and less is not possible; close programs"):
        restorer.restore(pictures())


def test_other_errors_are_no_lack_of_memory() -> None:
    restorer, backend = scarce(0, lambda: RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="a fault"):
        restorer.restore(pictures())
    assert len(backend.given) == 1


def test_what_is_out_of_memory() -> None:
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(RuntimeError("the memory format is not supported"))


def test_steps_end() -> None:
    plan: Plan | None = Plan(4, 10**6, 100)
    seen = []
    while plan := smaller(plan, 10**6):
        seen.append((plan.batch, plan.tile))
    assert seen[:3] == [(1, 10**6), (1, 500_000), (1, 250_000)]
    assert smaller(Plan(1, 10**6, 100), 10**6, is_cut=False) is None


def test_no_frame_of_a_video_is_lost(clip: Path, tmp_path: Path) -> None:
    restorer, _ = scarce(32 * 48)
    done = derain(clip, tmp_path / "out.mkv", DerainConfig(encoder="ffv1", crf=None, batch=4), network=restorer)
    derain(
        clip, tmp_path / "whole.mkv", DerainConfig(encoder="ffv1", crf=None, batch=1), network=Restorer(network(BARE))
    )
    assert done.frames == 12
    from tests.media.conftest import Studio

    Studio(tmp_path).unchanged(tmp_path / "whole.mkv", tmp_path / "out.mkv")


class Low:
    """A backend of less precision, whose n-th answer is spoilt."""

    name, precision, takes_aligned = "torch", "bfloat16", False

    def __init__(self, backend: Any, spoil: dict[int, Callable[[Tensor], Tensor]]) -> None:
        self._backend, self._spoil, self._answers = backend, spoil, 0

    def __call__(self, stacked: Tensor) -> Tensor:
        answers = []
        for answer in self._backend(stacked):
            answers.append(self._spoil.get(self._answers, lambda same: same)(answer))
            self._answers += 1
        return torch.stack(answers)

    def bytes_per_pixel(self) -> float:
        return 1.0


def with_nan(answer: Tensor) -> Tensor:
    answer = answer.clone()
    answer[0, 3, 4] = float("nan")
    return answer


SPOILT = {
    "NaN": with_nan,
    "infinity": lambda answer: answer / 0,
    "black": lambda answer: answer * 0 - 1,
    "white": lambda answer: answer * 0 + 1,
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_frame_that_cannot_be_is_computed_again(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    plain = Restorer(network(BARE))
    # A picture of mid grey and a bit: neither black nor white is near it.
    windows = 0.4 + 0.2 * pictures()
    plain.restore(windows)
    restorer = Restorer(network(BARE))
    near = Identity(restorer.backend)
    restorer.backend = restorer._running = Low(near, {1: SPOILT[kind], 3: SPOILT[kind]})
    restorer._exact = near
    with caplog.at_level(logging.WARNING):
        answer = restorer.restore(windows)
    assert torch.equal(answer, near(windows.flatten(1, 2)).clamp(0, 1))
    assert restorer.recomputed == 2
    assert caplog.messages == ["a frame came out wrong in bfloat16; such are computed again in float32"]


class Identity:
    """Answers with what it is given, a little darker."""

    name, precision, takes_aligned = "torch", "float32", False

    def __init__(self, backend: EagerBackend | Any) -> None:
        self._backend = backend

    def __call__(self, stacked: Tensor) -> Tensor:
        return stacked * 0.99


def test_what_float32_makes_of_it_is_float32s(caplog: pytest.LogCaptureFixture) -> None:
    """The network itself, in torch, answers for what another precision has spoilt."""
    expected = Restorer(network(BARE)).restore(pictures())
    restorer = Restorer(network(BARE))
    restorer.backend = restorer._running = Low(restorer.backend, {2: with_nan})
    with caplog.at_level(logging.WARNING):
        answer = restorer.restore(pictures())
    assert torch.allclose(answer, expected, atol=1e-6)
    assert len(caplog.messages) == 1


def test_a_frame_without_numbers_stays_as_it_came(caplog: pytest.LogCaptureFixture) -> None:
    restorer = Restorer(network(BARE))
    restorer.backend = restorer._running = Low(Identity(None), dict.fromkeys(range(9), with_nan))
    restorer._exact = Low(Identity(None), dict.fromkeys(range(9), with_nan))
    windows = pictures(2)
    with caplog.at_level(logging.WARNING):
        answer = restorer.restore(windows)
    assert torch.equal(answer, windows[:, 0])
    assert (restorer.recomputed, restorer.untouched) == (2, 2)
    assert caplog.messages == [
        "a frame came out wrong in bfloat16; such are computed again in float32",
        "a frame came out as no numbers in float32 too; such stay as they came",
    ]


def test_a_device_is_not_waited_for_until_one_of_its_answers_was_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a GPU, which tells of each answer when it has come that far, here after the next one."""
    told = [False]
    monkeypatch.setattr(Untold, "is_told", property(lambda untold: told[0]))
    restorer = Restorer(network(BARE))
    restorer._is_trusting = True
    restorer.backend = restorer._running = Low(Identity(None), dict.fromkeys(range(9), with_nan))
    restorer._exact = Identity(None)
    windows = pictures(2)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(restorer.restore(windows), windows[:, 0])
        assert (restorer.recomputed, restorer.untouched, caplog.messages) == (0, 0, [])
        told[0] = True
        assert torch.equal(restorer.restore(windows), (windows[:, 0] * 0.99).clamp(0, 1))
    assert (restorer.recomputed, restorer.untouched) == (2, 4)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("has_codes", [False, True])
def test_what_a_network_may_change_is_no_fault(has_codes: bool) -> None:
    codes = torch.randint(0, 256, (3, 3, 41, 40), dtype=torch.uint8)
    rainy, given = codes / 255, codes if has_codes else codes / 255
    assert are_sound(rainy * 0.8, given).tolist() == [True] * 3
    assert are_sound(rainy * float("nan"), given).tolist() == [False] * 3
    assert are_sound(1 - (rainy > 0.5).float(), given).tolist() == [False] * 3
    # Each pixel counts where it is no number.
    for row in range(4):
        spoilt = rainy.clone()
        spoilt[1, 2, row, 5] = float("nan")
        assert are_sound(spoilt, given).tolist() == [True, False, True]
