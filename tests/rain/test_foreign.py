"""ForeignRain: apart from all rain that is trained on, the same for its seed, and shaped as its numbers say."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.rain import foreign
from streamderain.rain.foreign import ForeignRain, Shower
from tests.test_layers import imported

PACKAGE = Path(foreign.__file__).parent.parent
HEIGHT, WIDTH = 80, 96
SHOWER = Shower(amount=200, width=2.0, length=1 / 100, brightness=0.6, focal_px=300, seed=3)
CLEAN = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)) * 0.5


def rain(**changed: float) -> ForeignRain:
    return ForeignRain(dataclasses.replace(SHOWER, **changed), HEIGHT, WIDTH)


def names(text: str, module: Path) -> set[str]:
    return {name for name, _ in imported(ast.parse(text), module)}


def on_foreign_rain(names: set[str]) -> bool:
    return any(name.startswith("streamderain.rain.foreign") for name in names)


def test_nothing_that_trains_or_is_trained_on_imports_it() -> None:
    trained = [
        *(PACKAGE / "training").rglob("*.py"),
        *(PACKAGE / "rain").glob("*.py"),
        *PACKAGE.glob("cli/training.py"),
    ]
    assert len(trained) > 10
    for path in trained:
        assert not on_foreign_rain(names(path.read_text(), path.relative_to(PACKAGE))), path


def test_it_imports_nothing_of_the_project() -> None:
    text = Path(foreign.__file__).read_text()
    assert not [name for name in names(text, Path("rain/foreign.py")) if name.startswith("streamderain")]
    assert ast.get_docstring(ast.parse(text), clean=True).startswith("Rain that no network is trained on")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "from streamderain.rain.foreign import ForeignRain",
        "from streamderain.rain import foreign",
        "def f():\n    import streamderain.rain.foreign as rain",
        "from ..rain import foreign",
    ],
)
def test_an_import_is_found_however_it_is_written(text: str) -> None:
    assert on_foreign_rain(names(text, Path("training/clips.py")))


def test_the_same_seed_is_the_same_rain_at_any_moment() -> None:
    first, again = rain(), rain()
    again.on(CLEAN, 7.0)
    assert torch.equal(first.on(CLEAN, 1.5), again.on(CLEAN, 1.5))
    assert not torch.equal(first.on(CLEAN, 1.5), first.on(CLEAN, 1.6))
    assert not torch.equal(first.on(CLEAN, 1.5), rain(seed=4).on(CLEAN, 1.5))


@pytest.mark.parametrize("brightness", [0.05, 1.0])
@pytest.mark.parametrize("amount", [0.0, 30.0, 600.0])
def test_pictures_stay_in_range(amount: float, brightness: float) -> None:
    drawn = rain(amount=amount, brightness=brightness)
    rainy, hidden = drawn.on(CLEAN, 0.3), drawn.opacity(0.3)
    assert rainy.shape == CLEAN.shape
    assert rainy.dtype == torch.float32
    assert rainy.isfinite().all()
    assert 0 <= float(rainy.min()) <= float(rainy.max()) <= 1
    assert hidden.shape == (HEIGHT, WIDTH)
    assert 0 <= float(hidden.min()) <= float(hidden.max()) <= 1
    assert bool(hidden.any()) == (amount > 0)


def test_without_mist_a_pixel_without_a_drop_keeps_its_colour() -> None:
    drawn = rain(mist=0.0)
    dry = drawn.opacity(0.3) == 0
    assert 0.2 < float(dry.float().mean()) < 1
    rainy = drawn.on(CLEAN, 0.3)
    torch.testing.assert_close(rainy[:, dry], CLEAN[:, dry], atol=1e-4, rtol=0)
    assert float((rainy - CLEAN)[:, ~dry].abs().max()) > 0.05
    assert float((rain(amount=400.0).on(CLEAN, 0.3) - CLEAN)[:, dry].abs().mean()) > 0.005


def streak_sizes(hidden: Tensor) -> tuple[float, float, float]:
    """Mean length and width in pixels, and lean in radians, of streaks that touch neither edge nor each other."""
    lit = (hidden > 0.03).numpy().astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    sizes = []
    for number in range(1, count):
        x, y, wide, tall, area = stats[number]
        if area < 8 or x == 0 or y == 0 or x + wide == hidden.shape[1] or y + tall == hidden.shape[0]:
            continue
        (_, _), sides, _ = cv2.minAreaRect(np.argwhere(labels == number)[:, ::-1].astype(np.float32))
        rows, columns = np.nonzero(labels == number)
        axis = np.linalg.eigh(np.cov(np.stack((columns, rows))))[1][:, -1]
        lean = math.remainder(math.atan2(axis[0], axis[1]), math.pi)
        sizes.append((max(sides), min(sides), lean))
    assert len(sizes) > 3
    length, width, lean = np.median(np.array(sizes), axis=0)
    return float(length), float(width), float(lean)


def sizes(**changed: float) -> tuple[float, float, float]:
    shower = dataclasses.replace(SHOWER, amount=25, **changed)
    # Side by side, a picture apart, so that one measurement sees many streaks.
    drawn = ForeignRain(shower, 200, 200)
    return streak_sizes(torch.cat([drawn.opacity(float(second)) for second in range(3)], dim=1))


def test_a_longer_exposure_makes_longer_streaks() -> None:
    lengths = [sizes(length=length)[0] for length in (1 / 400, 1 / 100, 1 / 50)]
    assert all(longer > 1.3 * shorter for shorter, longer in itertools.pairwise(lengths))


def test_larger_drops_make_wider_streaks() -> None:
    assert sizes(width=4.0, focal_px=900)[1] > 1.5 * sizes(width=1.0, focal_px=900)[1]


@pytest.mark.parametrize("lean", [0.0, 0.5, -1.0, 1.5])
def test_streaks_lean_as_they_are_told(lean: float) -> None:
    assert abs(math.remainder(sizes(lean=lean, length=1 / 60)[2] - lean, math.pi)) < 0.1


def test_amount_and_brightness_hide_more() -> None:
    def hidden(**changed: float) -> float:
        return float(rain(**changed).opacity(0.2).mean())

    assert hidden(amount=400) > 1.5 * hidden(amount=100)
    assert hidden(brightness=0.6) > 1.5 * hidden(brightness=0.2)


def test_drops_fall_on_from_frame_to_frame() -> None:
    """What is seen later looks most like what was seen before, further down along the lean."""
    drawn = ForeignRain(dataclasses.replace(SHOWER, length=1 / 500, amount=60), 160, 160)
    # So small a step that even near drops stay.
    before, after = (drawn.opacity(seconds).numpy() for seconds in (2.0, 2.004))
    likeness = [float((before[: 160 - down, :] * after[down:, :]).sum()) for down in range(12)]
    # At 0.8 to 6 metres, drops of 4 to 9 m/s pass 0.8 to 13 pixels; most are far.
    assert 1 <= likeness.index(max(likeness)) <= 8
    upward = [float((after[: 160 - up, :] * before[up:, :]).sum()) for up in range(2, 12)]
    assert max(likeness) > 1.3 * max(upward)


def test_it_rains_as_much_after_hours_and_nowhere_less() -> None:
    drawn = rain(lean=0.4)
    amounts = [float(drawn.opacity(seconds).mean()) for seconds in (0.0, 10.0, 3600.0)]
    assert max(amounts) < 1.4 * min(amounts)
    total = sum(drawn.opacity(float(second)) for second in range(12))
    assert isinstance(total, Tensor)
    rows = [float(part.mean()) for part in total.chunk(4)]
    columns = [float(part.mean()) for part in total.chunk(4, dim=1)]
    assert max(rows) < 1.6 * min(rows)
    assert max(columns) < 1.6 * min(columns)


@pytest.mark.parametrize(("diameter", "speed"), [(1.0, 4.03), (2.0, 6.49), (3.0, 8.06), (5.0, 9.09)])
def test_drops_fall_as_fast_as_was_measured(diameter: float, speed: float) -> None:
    """Against Gunn and Kinzer (1949), table 2."""
    assert foreign.fall_speed(np.array([diameter]))[0] == pytest.approx(speed, rel=0.04)
