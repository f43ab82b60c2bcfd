"""How much it rains, and clips that become dry and wet again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from threading import Semaphore

import av
import pytest
import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.engine import Dials, Engine, load_network
from streamderain.engine.rain_level import DRY_SECONDS, PROBE_SECONDS, RainLevel
from streamderain.frames import Effort, Frame, PixelLayout, Restored

LAYOUT = PixelLayout(72, 96)
SAMPLES = Path(__file__).parent.parent.parent / "samples"


def frame(number: int, streaks: float, fps: int = 5) -> Frame:
    """A grey wall with a still lamp before it, and light streaks elsewhere each time, on that share of the picture."""
    data = torch.full((LAYOUT.samples,), 128, dtype=torch.uint8)
    luma = LAYOUT.split(data)[0]
    luma.fill_(100)
    chance = torch.rand(luma.shape, generator=torch.Generator().manual_seed(number))
    luma[chance < streaks] = 180
    luma[20:30, 20:30] = 240
    return Frame(data, LAYOUT, number, Fraction(1, fps))


class Wall:
    """A network that takes away whatever is lighter than the wall, the lamp too; counts its calls."""

    device = torch.device("cpu")
    past, future = 1, 0

    def __init__(self) -> None:
        self.calls = 0

    def restore(self, windows: Tensor) -> Tensor:
        self.calls += 1
        return windows[:, 1].clamp(max=(100 - 16) / 219)


def in_step(engine: Engine, frames: Iterable[Frame]) -> Iterator[Restored]:
    """The pairs of frames that are given one by one, each when the one before has come out: so no load of the machine
    has a say in how many are on their way when it becomes dry.
    """
    came = Semaphore()

    def given() -> Iterator[Frame]:
        for frame in frames:
            # An engine that fails must not wait for this thread for ever.
            came.acquire(timeout=60)
            yield frame

    for pair in engine.run(given()):
        yield pair
        came.release()


def run(frames: Iterator[Frame], strength: float = 1.0, **settings: object) -> tuple[Engine, Wall, list[Restored]]:
    network = Wall()
    config = DerainConfig(only_in_rain=True, neighbours="past", strength=strength, **settings)  # type: ignore[arg-type]
    engine = Engine(network, config)
    return engine, network, list(in_step(engine, frames))


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("streaks", [0.0, 0.004, 0.05])
def test_the_level_is_the_share_of_light_that_falls(streaks: float, strength: float) -> None:
    engine, _, _ = run((frame(number, streaks) for number in range(60)), strength)
    light = 84 + streaks * 80 + 140 * 100 / (72 * 96)
    # A streak where there was one in the frame before does not count.
    assert engine.rain.level == pytest.approx(streaks * (1 - streaks) * 80 / light, rel=0.3, abs=1e-5)


@pytest.mark.parametrize("blend", [0.0, 1.0])
def test_dry_frames_pass_untouched_and_one_a_second_is_looked_at(blend: float) -> None:
    wet, dry = 10, 300
    clip = (frame(number, 0.02 if number < wet or number >= wet + dry else 0.0) for number in range(wet + dry + 20))
    engine, network, pairs = run(clip, blend=blend)
    assert [pair.rainy.pts for pair in pairs] == list(range(wet + dry + 20))
    untouched = [torch.equal(pair.rainy.data, pair.clean.data) for pair in pairs]
    # The level has to fall first.
    first = untouched.index(True)
    assert (DRY_SECONDS + 2) * 5 <= first <= (DRY_SECONDS + 15) * 5
    looked_at = [number for number in range(first, wet + dry) if not untouched[number]]
    assert len(looked_at) == pytest.approx((wet + dry - first) / 5 / PROBE_SECONDS, abs=2)
    assert network.calls == untouched.count(False)
    # Rain is seen within a second.
    assert not any(untouched[wet + dry + 5 :])
    assert not engine.rain.is_dry


def test_a_level_between_the_two_thresholds_keeps_what_is() -> None:
    def level(*shares: float) -> list[bool]:
        """Whether it is dry after so many seconds of each share."""
        rain, dry = RainLevel(only_in_rain=True), []
        for second, share in enumerate(shares):
            rain._smooth(share, second)
            rain._decide(share, second)
            dry.append(rain.is_dry)
        return dry

    between = 4e-4
    assert not any(level(*[between] * 100))
    assert all(level(*[0.0] * 12, *[between] * 100)[12:])
    assert level(*[0.0] * 20, 6e-4, *[0.0] * 30)[19:22] == [True, False, False]
    # One share above the lower threshold puts it off.
    assert not any(level(*([0.0] * 8 + [between]) * 10))


def test_it_rains_from_the_upper_threshold_on_until_it_was_dry_for_long() -> None:
    def told(*shares: float) -> list[bool | None]:
        rain, said = RainLevel(only_in_rain=False), []
        for second, share in enumerate(shares):
            rain._smooth(share, second)
            rain._decide(share, second)
            said.append(rain.is_raining)
        assert not rain.is_dry
        return said

    between, dry = 4e-4, int(DRY_SECONDS)
    assert told(*[between] * 30)[-1] is None
    assert told(6e-4, *[between] * 30)[-1] is True
    assert told(*[0.0] * (dry + 1), *[between] * 30) == [None] * dry + [False] * 31
    assert told(*[0.0] * (dry + 1), 6e-4)[-1] is True
    assert told(6e-4, *[0.0] * 30)[-1] is False


def test_while_nobody_watches_frames_pass_untouched_and_one_a_second_is_looked_at() -> None:
    network, watching = Wall(), [False]
    engine = Engine(network, DerainConfig(neighbours="past"))
    engine.rain.watched = lambda: watching[0]
    pairs = list(engine.run(frame(number, 0.02) for number in range(100)))
    untouched = [torch.equal(pair.rainy.data, pair.clean.data) for pair in pairs]
    assert network.calls == untouched.count(False) == 20
    assert engine.rain.level == pytest.approx(0.02 * 80 / 85, rel=0.3)
    assert engine.rain.is_raining
    watching[0] = True
    pairs = list(engine.run(frame(number, 0.02) for number in range(100, 120)))
    assert not any(torch.equal(pair.rainy.data, pair.clean.data) for pair in pairs)


def test_without_the_setting_every_frame_goes_through() -> None:
    network = Wall()
    engine = Engine(network, DerainConfig(neighbours="past"))
    assert len(list(engine.run(frame(number, 0.0) for number in range(100)))) == 100
    assert network.calls == 100
    assert engine.rain.level == 0


def test_strength_that_is_turned_off_tells_nothing_and_stops_nothing() -> None:
    network, dials = Wall(), Dials(0.0, 0.0)
    engine = Engine(network, DerainConfig(neighbours="past", only_in_rain=True), dials)
    assert len(list(engine.run(frame(number, 0.0) for number in range(100)))) == 100
    assert (network.calls, engine.rain.level, engine.rain.is_dry) == (100, None, False)


def test_times_that_jump_back_and_pictures_that_repeat() -> None:
    rain = RainLevel(only_in_rain=True)
    for second in (*range(100, 120), *range(30)):
        rain._smooth(0.0, second)
        rain._decide(0.0, second)
    assert rain.is_dry
    assert rain.wants([frame(0, 0.0)])
    assert not rain.wants([frame(1, 0.0)])
    assert rain.wants([replace(frame(0, 0.0), pts=-3)])
    pair = Restored(replace(frame(2, 0.0), repeats=True), frame(2, 0.0))
    rain._saw = lambda pair, strength: pytest.fail("it shows nothing new")  # type: ignore[method-assign]
    assert list(rain.booked([pair], lambda: 1.0)) == [pair]


def pictures(path: Path, count: int, first: int) -> Iterator[Frame]:
    """So many frames of a clip at 160x96, five a second, over and over."""
    with av.open(path) as file:
        clip = [each.reformat(160, 96, "yuv420p").to_ndarray() for each in islice(file.decode(video=0), 12)]
    for number in range(count):
        data = torch.from_numpy(clip[number % len(clip)].reshape(-1).copy())
        yield Frame(data, PixelLayout(96, 160), first + number, Fraction(1, 5))


def test_a_real_network_on_a_clip_that_becomes_dry() -> None:
    network = load_network(DerainConfig(model="fast", device="cpu", backend="torch", precision="float32"))
    calls, restore = [], network.restore
    network.restore = lambda windows: calls.append(len(windows)) or restore(windows)  # type: ignore
    engine = Engine(network, DerainConfig(neighbours="past", only_in_rain=True, blend=0.0))

    def clip() -> Iterator[Frame]:
        yield from pictures(SAMPLES / "rainy-temple.mp4", 10, 0)
        assert not engine.rain.is_dry
        yield from pictures(SAMPLES / "rainy-temple-clean.mp4", 150, 10)
        yield from pictures(SAMPLES / "rainy-temple.mp4", 20, 160)

    pairs = list(in_step(engine, clip()))
    untouched = [torch.equal(pair.rainy.data, pair.clean.data) for pair in pairs]
    through = [pair.effort is not Effort.NONE for pair in pairs]
    first = through.index(False)
    assert not any(untouched[: 10 + 5 * int(DRY_SECONDS)])
    assert sum(untouched[100:160]) > 40
    assert not any(untouched[-6:])
    assert len(calls) == through.count(True) < 130
    assert through[first:160].count(True) <= (160 - first) / 5 / PROBE_SECONDS
