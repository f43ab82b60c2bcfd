"""Flicker is what changes other than by motion."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.evaluation.flicker import Flicker, FlickerMeter

HEIGHT, WIDTH = 96, 128


def texture(width: int = 2 * WIDTH) -> Tensor:
    """A picture with something large and something small to follow everywhere, uint8 (1, 3, HEIGHT, width)."""
    generator, picture = torch.Generator().manual_seed(0), torch.full((1, 1, HEIGHT, width), 20.0)
    for size, codes in ((32, 120), (4, 80)):
        coarse = torch.rand(1, 1, HEIGHT // size, width // size, generator=generator)
        picture += codes * F.interpolate(coarse, (HEIGHT, width), mode="bicubic", align_corners=False).clamp(0, 1)
    return picture.to(torch.uint8).repeat(1, 3, 1, 1)


def panned(step: int, frames: int = 5) -> list[Tensor]:
    """A camera that turns by `step` pixels a frame."""
    return [texture()[..., step * number : step * number + WIDTH] for number in range(frames)]


def measured(derained: Iterable[Tensor], clean: Iterable[Tensor] | None = None) -> Flicker:
    meter = FlickerMeter()
    for number, frame in enumerate(derained):
        meter.add(frame, list(clean)[number] if clean is not None else None)
    figures = meter.figures()
    assert figures
    return figures


def noisy(frames: list[Tensor], codes: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        (frame + codes * torch.randn(1, 1, HEIGHT, WIDTH, generator=generator)).round().clamp(0, 255).to(torch.uint8)
        for frame in frames
    ]


def test_a_steady_clip_does_not_flicker() -> None:
    steady = panned(0)
    figures = measured(steady, steady)
    assert (figures.warping_error, figures.clean_warping_error) == pytest.approx((0, 0), abs=1e-3)
    assert figures.tof == 0


def test_noise_of_its_own_in_each_frame_flickers_by_what_it_is() -> None:
    """Two noises of 5 codes differ by 5 times the root of 2; Y has 219/255 of that."""
    steady = panned(0)
    figures = measured(noisy(steady, 5), steady)
    assert figures.warping_error == pytest.approx(5 * 2**0.5 * 219 / 255, rel=0.03)
    assert figures.clean_warping_error == pytest.approx(0, abs=1e-3)


def test_a_flash_flickers() -> None:
    frames = panned(0, 3)
    assert measured([frames[0], frames[1] + 10, frames[2]], frames).warping_error == pytest.approx(10 * 219 / 255, 0.01)


def test_motion_is_followed() -> None:
    moving = panned(3)
    unfollowed = float((moving[1].float() - moving[0].float()).square().mean().sqrt())
    assert unfollowed > 20
    assert measured(moving).warping_error < unfollowed / 10


def test_what_could_not_be_seen_in_the_frame_before_is_not_counted() -> None:
    clean = panned(8, 2)
    derained = [frame.clone() for frame in clean]
    derained[1][..., -8:] = 255
    figures = measured(derained, clean)
    assert figures.warping_error == figures.clean_warping_error
    derained[1][..., :8] = 255
    assert measured(derained, clean).warping_error > figures.warping_error + 10


def test_motion_that_is_not_that_of_the_clean_clip_counts_in_pixels() -> None:
    moving = panned(3)
    assert measured(moving, moving).tof == 0
    assert measured(panned(0), moving).tof == pytest.approx(3, abs=0.2)


def test_nothing_is_measured_across_a_cut_or_in_a_single_frame() -> None:
    meter = FlickerMeter()
    meter.add(texture()[..., :WIDTH])
    assert meter.figures() is None
    meter.add(255 - texture()[..., :WIDTH], scene=1)
    assert meter.figures() is None
    meter.add(255 - texture()[..., :WIDTH], scene=1)
    figures = meter.figures()
    assert figures
    assert figures.warping_error == pytest.approx(0, abs=1e-3)
    assert (figures.clean_warping_error, figures.tof) == (None, None)
