"""The stations as a chain: what the network and the blender get to see of a stream, and what comes out when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.engine import Dials, Engine
from streamderain.errors import SourceError
from streamderain.frames import Effort, Frame, PixelLayout, Restored

LAYOUT = PixelLayout(32, 48, chroma="gray", full_range=True)


class Watcher:
    """Takes a fixed light away from the middle frame, and remembers the brightness of all frames of each window."""

    device = torch.device("cpu")

    def __init__(self, past: int = 2, future: int = 2) -> None:
        self.past, self.future = past, future
        self.seen: list[list[float]] = []

    def restore(self, windows: Tensor) -> Tensor:
        self.seen += [[round(float(each.mean()), 2) for each in window] for window in windows]
        return windows[:, self.past] - 0.02


def stripes(level: float, upright: bool) -> Tensor:
    """A picture of one of two scenes, whose brightness tells which frame it is."""
    along = torch.arange(48.0)[None, :] if upright else torch.arange(32.0)[:, None]
    return (level + 0.3 * torch.sign(torch.sin(along / 3))).expand(32, 48)


def film(pictures: Sequence[Tensor], fails: bool = False) -> Iterator[Frame]:
    for number, picture in enumerate(pictures):
        data = (picture * 255).round().clamp(0, 255).to(torch.uint8).flatten()
        yield Frame(data, LAYOUT, number, Fraction(1, 25))
    if fails:
        raise SourceError("the cable is cut")


def run(network: Watcher, pictures: Sequence[Tensor], fails: bool = False, **settings: Any) -> Iterator[Restored]:
    """What comes out of the engine when these pictures go in."""
    return Engine(network, DerainConfig(**settings)).run(film(pictures, fails))


LEVELS = [0.40, 0.43, 0.46, 0.49, 0.52, 0.55]


def test_windows_end_at_a_cut() -> None:
    network = Watcher(1, 1)
    pictures = [stripes(level, upright=number < 3) for number, level in enumerate(LEVELS)]
    brightness = [round(float(picture.mean()), 2) for picture in pictures]
    pairs = list(run(network, pictures))
    assert [pair.rainy.pts for pair in pairs] == list(range(6))
    assert [pair.rainy.scene for pair in pairs] == [0, 0, 0, 1, 1, 1]
    expected = [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 5], [4, 5, 5]]
    assert network.seen == [[pytest.approx(brightness[at], abs=0.011) for at in row] for row in expected]


@pytest.mark.parametrize(
    ("neighbours", "window"), [("both", [0, 1, 2, 3, 4]), ("past", [0, 1, 2, 2, 2]), ("none", [2] * 5)]
)
def test_neighbours_are_those_that_were_asked_for(neighbours: str, window: list[int]) -> None:
    network = Watcher()
    pictures = [stripes(level, upright=True) for level in LEVELS[:5]]
    list(run(network, pictures, neighbours=neighbours, blend=0.0))
    brightness = [float(picture.mean()) for picture in pictures]
    assert network.seen[2] == [pytest.approx(brightness[at], abs=0.011) for at in window]


@pytest.mark.parametrize(
    ("settings", "frames"),
    [
        ({"neighbours": "both", "blend": 1.0}, 4),
        ({"neighbours": "both", "blend": 0.0}, 2),
        ({"neighbours": "none", "blend": 0.5}, 2),
        ({"neighbours": "past", "blend": 1.0}, 0),
        ({"neighbours": "none", "blend": 0.0}, 0),
    ],
)
def test_the_delay_is_what_is_said(settings: dict[str, Any], frames: int) -> None:
    network, given = Watcher(), []

    def counted() -> Iterator[Frame]:
        for frame in film([stripes(0.3 + 0.02 * number, upright=True) for number in range(20)]):
            given.append(frame.pts)
            yield frame

    engine = Engine(network, DerainConfig(**settings))
    assert engine.delay == frames
    feeds: list[Any] = [counted()]
    # Without threads, a station takes no more than it needs.
    for station in engine.stations():
        feeds.append(station.run(feeds[-1]))
    assert next(feeds[-1]).rainy.pts == 0
    assert len(given) == frames + 1
    # The first to run is the last to have switched gradients off, which holds in this thread until it ends.
    for feed in feeds[1:]:
        feed.close()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("neighbours", ["both", "past", "none"])
def test_nothing_that_was_decoded_is_lost_when_the_source_breaks(neighbours: str) -> None:
    out: list[int] = []
    pictures = [stripes(level, upright=True) for level in LEVELS]
    with pytest.raises(SourceError, match="the cable is cut"):
        out.extend(pair.rainy.pts for pair in run(Watcher(), pictures, fails=True, neighbours=neighbours))
    assert out == list(range(6))


def test_blending_can_be_told_from_none() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [stripes(0.45, True) + 0.01 * torch.randn(32, 48, generator=generator) for _ in range(6)]
    apart = []
    for blend in (0.0, 1.0):
        pairs = list(run(Watcher(), pictures, blend=blend))
        steady = stripes(0.43, True) * 255
        apart.append(sum(float((pair.clean.data.view(32, 48) - steady).abs().mean()) for pair in pairs))
    assert apart[1] < 0.9 * apart[0]


def test_what_blending_needs_is_made_while_it_is_on_and_turning_it_on_begins_with_the_next_frame() -> None:
    dials = Dials(1.0, 0.0)
    engine, made = Engine(Watcher(), DerainConfig(neighbours="past"), dials), []
    moment = engine._eyes.moment
    engine._eyes.moment = lambda seen, clean: made.append(clean) or moment(seen, clean)  # type: ignore

    def seen_to() -> list[int]:
        """How many were made with each frame; without threads, one is through before the next is taken."""
        feed: Any = film([stripes(level, upright=True) for level in LEVELS])
        for station in engine.stations():
            feed = station.run(feed)
        found = []
        for dials.blend in (0.0, 0.0, 0.0, 1.0, 1.0, 1.0):
            next(feed)
            found.append(len(made))
        return found

    # In a thread of its own, as stations switch gradients off for theirs, and end in another order than they began.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(seen_to).result() == [0, 0, 0, 1, 2, 3]


@pytest.mark.parametrize("batch", [1, 3])
def test_what_the_decoder_gave_goes_through_untouched_and_stays_with_its_frame(batch: int) -> None:
    originals = [object() for _ in LEVELS]
    frames = film([stripes(level, upright=True) for level in LEVELS])
    carried = (replace(frame, original=original) for frame, original in zip(frames, originals, strict=True))
    pairs = list(Engine(Watcher(), DerainConfig(batch=batch)).run(carried))
    for pair, original in zip(pairs, originals, strict=True):
        assert pair.clean.original is pair.rainy.original is original


class Smoother:
    """Takes away what is lighter than the middle of the picture, at whatever size; remembers the sizes."""

    device = torch.device("cpu")
    past = future = 0

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def restore(self, windows: Tensor) -> Tensor:
        self.sizes.append(tuple(windows.shape[-2:]))
        return windows[:, 0].clamp(max=0.5)


def test_at_half_the_size_what_is_taken_away_is_enlarged_and_details_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = 0.3 + 0.1 * torch.rand(32, 48, generator=generator)
    picture[8:16, 12:24] = 0.9
    out = {}
    for effort in Effort:
        network, dials = Smoother(), Dials(1.0, 0.0, effort)
        (pair,) = Engine(network, DerainConfig(neighbours="none"), dials).run(film([picture]))
        assert pair.effort is effort
        assert network.sizes == {Effort.FULL: [(32, 48)], Effort.HALF: [(16, 24)], Effort.NONE: []}[effort]
        out[effort] = pair.clean.data.view(32, 48) / 255
    assert torch.equal(out[Effort.NONE], (picture * 255).round() / 255)
    # Inside the patch as at full size, far from it to the bit what came; the border is as blurred as it must be.
    torch.testing.assert_close(out[Effort.HALF][10:14, 14:22], out[Effort.FULL][10:14, 14:22], rtol=0, atol=0.01)
    assert torch.equal(out[Effort.HALF][20:], out[Effort.NONE][20:])
    apart = {effort: float((out[effort] - out[Effort.FULL]).abs().mean()) for effort in Effort}
    assert apart[Effort.HALF] < 0.25 * apart[Effort.NONE]


@pytest.mark.parametrize("size", [(32, 48), (31, 47), (1, 3)])
def test_half_of_any_size(size: tuple[int, int]) -> None:
    layout = PixelLayout(*size, chroma="gray", full_range=True)
    frame = Frame(torch.full((layout.samples,), 200, dtype=torch.uint8), layout, 0, Fraction(1, 25))
    engine = Engine(Watcher(), DerainConfig(), Dials(1.0, 1.0, Effort.HALF))
    (pair,) = engine.run([frame])
    assert (pair.rainy.data.int() - pair.clean.data.int()).unique().tolist() == [5]


def test_both_sizes_are_prepared_where_both_may_be_needed() -> None:
    frame = next(film([stripes(0.4, upright=True)]))
    for may_halve, sizes in ((False, [(32, 48)]), (True, [(32, 48), (16, 24)])):
        network = Smoother()
        Engine(network, DerainConfig()).prepare(frame, may_halve)
        assert network.sizes == sizes
