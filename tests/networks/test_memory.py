"""The memory plan: what is predicted, and what follows from it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from streamderain.errors import DeviceError
from streamderain.networks import memory
from streamderain.networks.memory import LARGEST_TILE, SMALLEST_TILE, budget, free_bytes, planned

GIB = 2**30
CPU = torch.device("cpu")


def test_what_fits_goes_through_whole() -> None:
    plan = planned(4, 640 * 480, 1000, 100, 8 * GIB)
    assert (plan.batch, plan.tile) == (4, 640 * 480)
    assert plan.bytes == 640 * 480 * (100 + 4 * 1000)


def test_first_the_batch_shrinks_then_the_tile() -> None:
    whole = 640 * 480 * 1000
    assert planned(4, 640 * 480, 1000, 0, 3 * whole + 1).batch == 3
    tight = planned(4, 640 * 480, 1000, 0, whole // 2)
    assert tight.batch == 1
    assert tight.tile == 640 * 480 // 2


def test_no_plan_takes_more_than_it_may() -> None:
    for gibibytes in (0.5, 1, 2, 6):
        for pixels in (640 * 480, 1920 * 1080, 3840 * 2160):
            assert planned(4, pixels, 1300, 30, int(gibibytes * GIB)).bytes <= gibibytes * GIB


def test_a_tile_is_never_larger_than_it_pays() -> None:
    assert planned(1, 3840 * 2160, 10, 10, 10**15).tile == LARGEST_TILE


def test_what_cannot_fit_is_said_before_it_runs() -> None:
    with pytest.raises(DeviceError, match=r"8\.3 megapixels need .* GiB, and 0\.2 GiB may be taken; try --memory"):
        planned(1, 3840 * 2160, 7000, 300, GIB // 4)
    with pytest.raises(DeviceError):
        planned(1, 2 * SMALLEST_TILE, 1000, 0, SMALLEST_TILE * 999)


def test_a_small_picture_needs_no_smallest_tile() -> None:
    assert planned(1, 64 * 48, 1000, 0, 64 * 48 * 1000).tile == 64 * 48


def test_a_budget_is_most_of_what_is_free_or_what_was_said() -> None:
    free = free_bytes(CPU)
    assert 0 < free < 2**50
    assert budget(CPU) == pytest.approx(0.8 * free, rel=0.1)
    # Of the GiB that a run may take, what the program has already is gone.
    assert 0 < GIB * 4 - budget(CPU, 4.0) < 3 * GIB


def test_a_container_has_less_than_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"memory.max": "1000", "memory.current": "700", "memory.stat": "inactive_file 50\nactive_file 100\nanon 1"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    assert memory._group_free() == 450
    (tmp_path / "memory.max").write_text("max")
    assert memory._group_free() == math.inf
