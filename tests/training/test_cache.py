"""The rolling cache: what is drawn at a step follows from its number, each window as often as was asked."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import cv2
import pytest
import torch

from streamderain.training.cache import AlignedWindows, Batch, Draw, RollingCache
from streamderain.training.material import Material
from streamderain.training.samples import Mix, RainySamples
from tests.scenery import scene

SIDE = 32
DRAW = Draw(batch=4, patch=16, draws=3, size=6, seed=2)


class Numbered(AlignedWindows):
    """Windows that are nothing but their number, in grey."""

    def __init__(self) -> None:
        pass

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        return torch.full((5, 3, SIDE, SIDE), index, dtype=torch.uint8), 0.5


def windows(material: Material, follow: bool = True, mix: Mix | None = None) -> AlignedWindows:
    return AlignedWindows(RainySamples(material, SIDE, 1, 1, 3, mix), follow)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_draws_what_an_uninterrupted_one_would_have(material: Material, workers: int) -> None:
    whole = list(islice(RollingCache(windows(material), DRAW, 0).batches(0), 9))
    resumed = list(islice(RollingCache(windows(material), DRAW, workers).batches(6), 3))
    assert all(torch.equal(a, b) for a, b in zip(whole[6:], resumed, strict=True))
    assert not torch.equal(whole[0], whole[1])


class Threads(AlignedWindows):
    """Windows that tell how many threads OpenCV has where they are rendered."""

    def __init__(self) -> None:
        pass

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        return torch.full((5, 3, SIDE, SIDE), cv2.getNumThreads(), dtype=torch.uint8), 0.5


def test_a_worker_is_forked_while_opencv_has_no_threads_whose_locks_it_would_wait_for() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        batch = next(RollingCache(Threads(), DRAW, 1).batches(0))
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
    assert int(batch.max()) == 1


def test_each_window_is_drawn_a_few_times_and_then_makes_room() -> None:
    cache = RollingCache(Numbered(), DRAW, 0)
    batches = list(islice(cache.batches(0), 45))
    drawn = Counter(int(cut[0, 0, 0, 0]) for batch in batches for cut in batch)
    # 45 steps of 4 cuts, a third of a window each: 60 windows have come and gone, and the cache holds 6.
    assert max(drawn) <= 45 * 4 // 3 + DRAW.size
    settled = [drawn[number] for number in range(DRAW.size, 54)]
    assert sum(settled) / len(settled) == pytest.approx(3, rel=0.15)
    late = {int(cut[0, 0, 0, 0]) for cut in batches[-1]}
    assert min(late) >= 44 * 4 // 3


def test_each_window_is_changed_once_however_often_it_is_drawn() -> None:
    changed: list[int] = []

    def change(window: torch.Tensor) -> torch.Tensor:
        changed.append(int(window[0, 0, 0, 0]))
        return window + 100

    drawn = torch.cat(list(islice(RollingCache(Numbered(), DRAW, 0, change).batches(0), 9)))
    assert changed == list(range(len(changed)))
    assert set(drawn.unique().tolist()) <= {number + 100 for number in changed}


def test_what_the_workers_spent_is_counted() -> None:
    cache = RollingCache(Numbered(), DRAW, 0)
    list(islice(cache.batches(0), 4))
    assert cache.rendering_seconds == 0.5 * (DRAW.size + 3 * 4 // 3)


def test_cuts_have_their_shape_and_are_flipped_now_and_then(material: Material) -> None:
    whole = Draw(batch=24, patch=SIDE, draws=3, size=1, seed=1)
    (batch,) = islice(RollingCache(windows(material), whole, 0).batches(0), 1)
    assert batch.shape == (24, 5, 3, SIDE, SIDE)
    flipped = [torch.equal(cut, batch[0].flip(-1)) for cut in batch]
    assert any(flipped)
    assert all(torch.equal(cut, batch[0]) for cut, is_flipped in zip(batch, flipped, strict=True) if not is_flipped)


def test_neighbours_lie_on_the_current_frame() -> None:
    clip = (torch.stack([scene(3.0 * step, -2.0 * step) for step in range(-1, 2)]) * 255).round().to(torch.uint8)
    dry = Mix(still=0, clip=1, dry=1, filmed=0, unseen=0, lined=0, cut=0)
    side = clip.shape[-1]
    material = Material([clip[0]], [clip])
    moved, as_they_came = (
        AlignedWindows(RainySamples(material, side, 1, 1, 3, dry), follow)[0][0].float() for follow in (True, False)
    )
    inner = (..., slice(12, -12), slice(12, -12))
    for neighbour in (0, 2):
        off, was_off = ((each[neighbour] - each[1])[inner].square().mean() for each in (moved, as_they_came))
        assert off < 0.05 * was_off
    resting = as_they_came[:3].median(dim=0).values
    for each in (moved, as_they_came):
        assert torch.equal(each[1], each[4])
        assert torch.equal(each[3], resting)


def test_a_batch_is_its_parts_in_0_to_1() -> None:
    stacked = torch.arange(5, dtype=torch.uint8).view(1, 5, 1, 1, 1).expand(2, 5, 3, 4, 4) * 51
    batch = Batch.of(stacked)
    assert batch.moved.shape == (2, 3, 3, 4, 4)
    values = [*batch.moved.mean(dim=(0, 2, 3, 4)).tolist(), float(batch.resting.mean()), float(batch.clean.mean())]
    assert values == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
