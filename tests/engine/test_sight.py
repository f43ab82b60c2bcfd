"""What is seen of a frame: once, and alike by whatever sees it."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch

from streamderain.engine.colour import add_rgb
from streamderain.engine.sight import CleanSight, PlainEyes, SharpEyes, Sight, eyes_of
from streamderain.frames import Frame, PixelLayout
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer
from streamderain.temporal import aligning
from streamderain.temporal.aligning import consecutive_flow
from tests.scenery import scene

ALIGNED = Variant((8, 16, 32, 64), blocks=(0, 0, 0, 1), mefc=False, scale=2, past=2, future=2, aligned=True)
LAYOUT = PixelLayout(48, 64)


def frame(number: int) -> Frame:
    grey = Frame(torch.full((LAYOUT.samples,), 128, dtype=torch.uint8), LAYOUT, number, Fraction(1, 25))
    picture = scene(1.5 * number, 0)[:, : LAYOUT.height, : LAYOUT.width]
    return Frame(add_rgb(grey.data[None], picture[None] - 0.5, LAYOUT)[0], LAYOUT, number, Fraction(1, 25))


def planes(*numbers: int) -> torch.Tensor:
    return torch.stack([frame(number).data for number in numbers])


def pictures(seen: Sight | torch.Tensor) -> torch.Tensor:
    return seen if isinstance(seen, torch.Tensor) else torch.from_numpy(seen.picture).permute(2, 0, 1) / 255


def test_sharp_and_plain_eyes_see_the_same_picture() -> None:
    sharp, plain = (eyes.see(planes(0, 1), LAYOUT) for eyes in (SharpEyes(0), PlainEyes(torch.device("cpu"))))
    for one, other in zip(sharp, plain, strict=True):
        torch.testing.assert_close(pictures(one), pictures(other), rtol=0, atol=2.2 / 255)
    assert not torch.equal(pictures(sharp[0]), pictures(sharp[1]))


def test_sharp_and_plain_eyes_see_the_same_at_half_the_size() -> None:
    both = SharpEyes(0), PlainEyes(torch.device("cpu"))
    sharp, plain = (eyes.halved(*eyes.see(planes(0), LAYOUT)) for eyes in both)
    torch.testing.assert_close(pictures(sharp), pictures(plain), rtol=0, atol=2.2 / 255)
    odd = PixelLayout(47, 61)
    for eyes in both:
        seen = eyes.halved(*eyes.see(torch.full((1, odd.samples), 128, dtype=torch.uint8), odd))
        assert pictures(seen).shape == (3, 24, 31)


def test_the_motion_of_a_pair_is_found_once_and_not_kept_for_longer_than_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches = []

    def counted(*lumas: np.ndarray) -> np.ndarray:
        searches.append(lumas)
        return consecutive_flow(*lumas)

    monkeypatch.setattr(aligning, "consecutive_flow", counted)
    eyes = SharpEyes(2)
    seen = list(eyes.see(planes(*range(7)), LAYOUT))
    for first in range(3):
        eyes.join([seen[first : first + 5]])
    # Each way of each pair is asked for but for the outermost, which lead away from every present.
    assert len(searches) == 2 * 6 - 4
    eyes.join([[seen[2]] * 5])
    assert len(searches) == 2 * 6 - 4
    gone = weakref.ref(seen.pop(0))
    gc.collect()
    assert gone() is None


def test_who_knows_the_past_alone_looks_for_the_way_back_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[tuple[np.ndarray, ...]] = []
    eyes = SharpEyes(2)
    seen = list(eyes.see(planes(*range(4)), LAYOUT))
    lumas = [each.luma for each in seen]
    still = np.zeros((*lumas[0].shape, 2), np.float32)
    monkeypatch.setattr(aligning, "consecutive_flow", lambda *pair: searches.append(pair) or still)
    for last in (2, 3):
        eyes.join([[*seen[last - 2 : last], *[seen[last]] * 3]])
    found = [[next(i for i, luma in enumerate(lumas) if luma is each) for each in pair] for pair in searches]
    assert sorted(found) == [[1, 0], [2, 1], [3, 2]]


def test_between_derained_frames_one_search_begins_where_the_rainy_ones_were_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began: list[object] = []
    found = aligning.consecutive_flow
    monkeypatch.setattr(aligning, "consecutive_flow", lambda *given: began.append(given[2:]) or found(*given))
    eyes = SharpEyes(2)
    seen = list(eyes.see(planes(*range(3)), LAYOUT))
    eyes.join([seen[:1] * 3 + seen[1:2] * 2])
    first, second, third = (CleanSight(each.picture, each) for each in seen)
    began.clear()
    ways = second.ways_from(first), third.ways_from(second)
    assert not began, "nothing is looked for before it is asked for"
    assert all(each.forth is not None and each.back is not None for each in ways)
    (about,), (nothing,) = began
    assert about is seen[1].ways_from(seen[0]).forth
    assert nothing is None


def test_a_device_is_neither_waited_for_nor_sent_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(*_: object, **__: object) -> None:
        raise AssertionError("numbers are sent to the device")

    for name in ("tensor", "as_tensor", "from_numpy"):
        monkeypatch.setattr(torch, name, sent)
    monkeypatch.setattr(torch.Tensor, "new_tensor", sent)
    # Whoever asks such a tensor for its values gets an error. Motion is looked for below the full size.
    device, layout = torch.device("meta"), PixelLayout(544, 960, bits=10)
    eyes = PlainEyes(device)
    data = torch.empty(5, layout.samples, dtype=torch.int16, device=device)
    with torch.inference_mode():
        seen = eyes.see(data, layout)
        assert eyes.join([[*seen], [*seen]]).shape == (2, 5, 3, 544, 960)
        moments = [eyes.moment(each, eyes.rainy(each)) for each in seen]
        change = eyes.blender().added(1.0, moments[:1], moments[1], moments[2:3])
        assert change is not None
        assert add_rgb(data[:1], change, layout).device == device
        assert eyes.blender().added(1.0, moments[:1], moments[1], []) is not None


def test_a_network_sees_what_it_takes() -> None:
    aligned = Restorer(DRSformer(ALIGNED), backend="torch")
    assert isinstance(eyes_of(aligned), SharpEyes)
    single = Restorer(DRSformer(Variant((8, 16, 32, 64), blocks=(0, 0, 0, 1), mefc=False)), backend="torch")
    assert isinstance(eyes_of(single), PlainEyes)


@torch.inference_mode()
def test_what_sharp_eyes_join_is_what_the_network_makes_of_the_frames_itself() -> None:
    torch.manual_seed(1)
    network = DRSformer(ALIGNED)
    torch.nn.init.normal_(network.vote.weight, std=0.3)
    restorer, eyes = Restorer(network, backend="torch"), SharpEyes(2)
    seen = eyes.see(planes(*range(5)), LAYOUT)
    joined = eyes.join([seen])
    assert (joined.dtype, joined.shape) == (torch.uint8, (1, ALIGNED.pictures, 3, LAYOUT.height, LAYOUT.width))
    as_they_came = torch.stack([pictures(each) for each in seen])[None]
    torch.testing.assert_close(restorer.restore(joined), restorer.restore(as_they_came), rtol=0, atol=1e-5)
    moved = joined[:, :5].float() / 255
    unmoved = (as_they_came * 255).round().to(torch.uint8).median(dim=1).values.float() / 255
    expected = network.eval().forward_aligned(moved, unmoved).clamp(0, 1)
    torch.testing.assert_close(restorer.restore(joined), expected, rtol=0, atol=1e-4)
