"""DeviceBlender: votes rain out, calms noise, lets go of what moves, leaves alone what is dry."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from streamderain.engine.blend_on_device import DeviceBlender, DeviceMoment
from streamderain.temporal.motion import Gauge, Ways
from tests.scenery import SIZE, inner, scene

RAIN = 0.05
"""What the network is made to have taken away everywhere, so that it counts as raining."""


def blend(row: list[DeviceMoment], at: int, strength: float = 1.0, after: bool = True) -> Tensor:
    """Number `at` of a row among up to two neighbours on each side, or before it alone."""
    before, later = row[max(0, at - 2) : at], row[at + 1 : at + 3] if after else []
    ways = Ways(Gauge(torch.device("cpu"))).between([each.luma for each in (*before, row[at], *later)])
    return DeviceBlender(strength)(before, row[at], later, ways)[0]


def moments(pictures: Iterable[Tensor], rain: float = RAIN) -> list[DeviceMoment]:
    return [DeviceMoment.of((picture + rain)[None], picture[None]) for picture in pictures]


def blended(pictures: Iterable[Tensor], at: int, strength: float = 1.0, after: bool = True) -> Tensor:
    """What the blender makes of picture number `at` among two neighbours on each side, or before it alone."""
    return blend(moments(pictures), at, strength, after)


def noisy(count: int, pace: float = 0.0, sigma: float = 0.01) -> list[Tensor]:
    """A scene filmed `count` times with a noisy camera that moves by `pace` pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    return [scene(pace * n, 0) + sigma * torch.randn(3, SIZE, SIZE, generator=generator) for n in range(count)]


def with_streak(picture: Tensor, x: int = 48) -> Tensor:
    streaked = picture.clone()
    streaked[:, 40:60, x : x + 2] += 0.06
    return streaked


def error(picture: Tensor, clean: Tensor) -> float:
    return float(inner(picture - clean).square().mean())


@pytest.mark.parametrize("pace", [0.0, 3.0])
def test_rain_left_in_one_frame_is_voted_out_however_the_camera_moves(pace: float) -> None:
    pictures = [scene(pace * n, 0) for n in range(5)]
    pictures[2] = with_streak(pictures[2])
    clean = scene(pace * 2, 0)
    assert error(blended(pictures, 2), clean) < 0.1 * error(pictures[2], clean)


def test_rain_in_a_neighbour_does_not_come_over() -> None:
    pictures = [scene(0, 0)] * 5
    pictures[1] = with_streak(pictures[1])
    for after in (True, False):
        torch.testing.assert_close(blended(pictures, 2, after=after), scene(0, 0), rtol=0, atol=0.025)


@pytest.mark.parametrize(("after", "most"), [(True, 0.45), (False, 0.6)])
def test_noise_is_calmed_and_the_more_the_stronger(after: bool, most: float) -> None:
    pictures = noisy(5, pace=2.0)
    left = [error(blended(pictures, 2, strength, after), scene(4, 0)) for strength in (0.0, 0.5, 1.0)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < most * left[0]


@pytest.mark.parametrize("after", [True, False])
def test_brightness_stays(after: bool) -> None:
    pictures = noisy(5)
    assert float((blended(pictures, 2, after=after) - pictures[2]).mean()) == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize("after", [True, False])
def test_a_thing_that_crosses_leaves_no_trail_and_does_not_vanish(after: bool) -> None:
    pictures = [scene(0, 0) for _ in range(5)]
    for number, picture in enumerate(pictures):
        picture[:, 30:54, 8 + 14 * number : 26 + 14 * number] = torch.tensor([0.9, 0.1, 0.2]).view(3, 1, 1)
    off = (blended(pictures, 2, after=after) - pictures[2]).abs()
    assert off.mean() < 0.002
    # All but the rim of the thing, where flow is smooth and things are not.
    assert off[:, 33:51, 39:51].max() < 0.03


def test_neighbours_that_show_something_else_take_no_part() -> None:
    pictures = [scene(400, 90), scene(300, 70), scene(0, 0), scene(900, 10), scene(90, 500)]
    assert error(blended(pictures, 2), pictures[2]) < 0.02 * error(pictures[1], pictures[2])


def test_where_it_is_dry_nothing_changes_to_the_bit() -> None:
    row = moments(noisy(5), rain=0.0)
    assert torch.equal(blend(row, 2), row[2].clean[0])


def test_strength_zero_and_no_neighbours_are_the_identity() -> None:
    pictures = noisy(5)
    assert torch.equal(blended(pictures, 2, strength=0.0), pictures[2])
    assert torch.equal(blended(pictures[:1], 0), pictures[0])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 65)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    pictures = list(torch.rand(5, 3, *size))
    assert blended(pictures, 2).shape == (3, *size)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="allowed from 0 to 1"):
        DeviceBlender(strength)


@pytest.mark.parametrize("after", [True, False])
def test_bands_leave_no_seams(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = noisy(5, pace=2.0)
    pictures[2] = with_streak(pictures[2])
    whole = blended(pictures, 2, after=after)
    monkeypatch.setattr("streamderain.engine.blend_on_device.BAND", 32 * SIZE)
    torch.testing.assert_close(blended(pictures, 2, after=after), whole, rtol=0, atol=1e-6)
