"""All that the judge asks of a network, case by case; each is a function of its name and the material alone.

A further renderer enters as one more group: a name, and its kinds of rain by name, in RENDERERS.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from streamderain.evaluation.dry_scenes import SCENES, panned
from streamderain.evaluation.judge.material import FRAMES, PRESENT, Material, quantised, repeated
from streamderain.evaluation.judge.streaks import Streaks
from streamderain.evaluation.passing import passing
from streamderain.rain.camera import Camera
from streamderain.rain.falling import Rain, Rainfall
from streamderain.rain.foreign import ForeignRain, Shower

VERSION = 6
"""Of the cases. Scores of one version can be compared; raise it with whatever changes a window."""

LEANS = (0.0, 15.0, -35.0, 70.0, 90.0)
LENGTHS = (8.0, 25.0, 60.0, 110.0)
WIDTHS = (0.4, 0.8, 1.3, 2.0)
UNTOUCHED_DB = {0.12: (26.0, 31.0), 0.3: (22.0, 28.0), 0.7: (18.5, 25.0)}
"""By brightness, between which PSNRs on Y a rainy picture lies: faint streaks cannot do more, and few long bright ones
do not do less.
"""

DOWNPOURS: Mapping[str, tuple[Streaks, ...]] = {
    "upright": (Streaks(0.0, 90.0, 1.2, 0.9),),
    "thick": (Streaks(-8.0, 50.0, 2.0, 0.7),),
    "fine": (Streaks(12.0, 40.0, 0.6, 1.0),),
    "short": (Streaks(30.0, 16.0, 0.9, 0.8),),
    "crossed": (Streaks(-20.0, 30.0, 1.0, 0.8), Streaks(25.0, 45.0, 1.4, 0.6)),
    "every way": (Streaks(60.0, 25.0, 0.8, 0.7), Streaks(-45.0, 35.0, 1.2, 0.7), Streaks(5.0, 50.0, 1.0, 0.7)),
}
"""Layers of streaks by name; no part of the picture is without them."""

DOWNPOUR_DB = (11.0, 17.0)
"""Between which PSNRs on Y a picture in a downpour lies, where a single layer would bring it that far."""

GRID, DOWNPOUR, FALLING, FOREIGN, CLIP, FILMED = "grid", "downpour", "falling", "foreign", "clip", "filmed"
DRY, LOOK_ALIKES = "dry", "look-alikes"
STILL, MOVING, PAST_ALONE = "still", "moving", "past alone"
"""The last is the same window as the one before, of which the network sees no frame after the present one, as in a live
stream.
"""

PER_KIND = 4
DRY_CLIP = 8
LARGEST_STILL = (480, 640)
PASSED = (288, 384)
"""Sides in pixels, height and width, of dry windows."""

FRAME_RATE = 25
CLIP_FRAME_RATE = 10

FILMED_PACES = (0.0, 4.0, 25.0)
"""Pixels of a photo by which a recording camera passes in a frame; by the last it jumps, as in a hand that walks."""

CRFS = (20, 25, 30)
"""Quality of the H.264 that a recording camera writes."""

NOISE_AT_WHITE = 0.006
"""Standard deviation of a recording camera's noise, white being 1."""

K = TypeVar("K")

Windows = tuple[Tensor, Tensor]
"""Rainy and clean, uint8 RGB (FRAMES, 3, H, W) each."""


class SomeRain(Protocol):
    """Anything that rains on a picture, (3, H, W) float RGB in 0..1, at a moment."""

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """The picture in the rain, the same shape and range."""


RainKind = Callable[[int, int, int], SomeRain]
"""Height, width and seed -> rain for pictures of that size."""


@dataclass(frozen=True)
class Case:
    """One question: a window, in a `group`, of a `kind`. `axes` are what of a grid it stands for."""

    group: str
    kind: str
    name: str
    draw: Callable[[Material], Windows]
    axes: Mapping[str, float] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """How many of the window's frames the network sees, from the first on."""
        return PRESENT + 1 if self.kind == PAST_ALONE else FRAMES


def falling(rain: Rain, height: int, width: int, seed: int) -> SomeRain:
    """Rain that falls, drawn from `seed` rather than the rain's own."""
    return Rainfall(replace(rain, seed=seed), height, width)


FALLING_KINDS: Mapping[str, RainKind] = {
    name: partial(falling, Rain(*rain, picture_height=480, **more))  # type: ignore[arg-type]
    for name, rain, more in (
        ("drizzle", (3, 0.5, 0.3, 1 / 250), {"strength": 20, "whiteness": 0.6}),
        ("shower", (15, -1.5, 0.3, 1 / 120), {"strength": 22, "whiteness": 0.5}),
        ("wind", (10, 6.0, 1.0, 1 / 60), {"strength": 30, "whiteness": 0.6}),
        ("long exposure", (8, 1.0, 0.1, 1 / 30), {"strength": 50, "whiteness": 0.7}),
        ("cloudburst", (60, 2.5, 0.3, 1 / 60), {"strength": 22, "whiteness": 0.4}),
        ("near", (20, 0.5, 0.3, 1 / 100), {"strength": 40, "whiteness": 0.8, "farthest_metres": 2.0}),
    )
}


FOREIGN_LEANS = (-1.3, 1.3)
FOREIGN_FOCAL_PX = (600.0, 1300.0)
"""Between which the seed chooses a lean, in radians, and the focal length of the picture that a window is cut from."""


def foreign(shower: Shower, height: int, width: int, seed: int) -> SomeRain:
    """Streaks alone of rain that no network is trained on, with a lean and from a picture that `seed` chooses."""
    rng = random.Random(seed)
    lean, focal_px = rng.uniform(*FOREIGN_LEANS), rng.uniform(*FOREIGN_FOCAL_PX)
    return ForeignRain(replace(shower, lean=lean, focal_px=focal_px, mist=0.0, seed=seed), height, width)


FOREIGN_KINDS: Mapping[str, RainKind] = {
    name: partial(foreign, Shower(amount, width, length, brightness=brightness))
    for name, amount, width, length, brightness in (
        ("fine", 300, 0.8, 1 / 100, 0.5),
        ("short", 150, 1.0, 1 / 250, 0.9),
        ("dense", 150, 2.0, 1 / 60, 0.35),
        ("long", 50, 2.0, 1 / 30, 0.4),
        ("coarse", 50, 3.5, 1 / 120, 0.6),
    )
}

RENDERERS: Mapping[str, Mapping[str, RainKind]] = {FALLING: FALLING_KINDS, FOREIGN: FOREIGN_KINDS}
"""Groups of rain beside the grid, kinds by name; all are asked for on stills and under a moving camera."""


def all_cases(material: Material, every: int = 1) -> list[Case]:
    """Every case that there is material for; of each group and kind only every so many, the same ones each time."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in _cases(material):
        found.setdefault((case.group, case.kind), []).append(case)
    return [case for group in found.values() for case in group[::every]]


def _cases(material: Material) -> Iterator[Case]:
    yield from _grid()
    yield from _of_each(DOWNPOUR, DOWNPOURS, _poured)
    for group, kinds in RENDERERS.items():
        yield from rendered(group, kinds)
    if material.clip is not None:
        yield from _clip_in_rain()
    yield from _filmed()
    yield from _dry(material)
    yield from _look_alikes()


def _grid() -> Iterator[Case]:
    for lean, length, width, brightness in product(LEANS, LENGTHS, WIDTHS, UNTOUCHED_DB):
        streaks = Streaks(lean, length, width, brightness)
        name = ", ".join(f"{axis} {value:g}" for axis, value in vars(streaks).items())
        for kind in (STILL, MOVING):
            yield Case(GRID, kind, name, partial(_streaked, streaks, kind, f"{name}, {kind}"), vars(streaks))


def _streaked(streaks: Streaks, kind: str, seed: str, material: Material) -> Windows:
    rng = random.Random(seed)
    clean = _scene(material, kind, rng)
    untouched_db, seed_of_rain = rng.uniform(*UNTOUCHED_DB[streaks.brightness]), rng.randrange(2**31)
    rainy = streaks.on(clean, untouched_db, seed_of_rain)
    return _as(kind, rainy), clean


def _of_each(group: str, kinds: Mapping[str, K], draw: Callable[[K, str, str, Material], Windows]) -> Iterator[Case]:
    """Some cases of each of `kinds` of rain, on stills and under a moving camera; `draw` gets a kind, the scene's and a
    seed.
    """
    for (name, rain), number in product(kinds.items(), range(PER_KIND)):
        label = f"{name} {number + 1}"
        for scene, asked in ((STILL, (STILL,)), (MOVING, (MOVING, PAST_ALONE))):
            drawn = partial(draw, rain, scene, f"{group}, {label}, {scene}")
            yield from (Case(group, kind, label, drawn) for kind in asked)


def _poured(layers: tuple[Streaks, ...], kind: str, seed: str, material: Material) -> Windows:
    """Each layer takes its share of the error, measured against the picture with those before it."""
    rng = random.Random(seed)
    clean = _scene(material, kind, rng)
    each_db = rng.uniform(*DOWNPOUR_DB) + 10 * math.log10(len(layers))
    rainy = clean
    for streaks in layers:
        rainy = streaks.on(rainy, each_db, rng.randrange(2**31))
    return _as(kind, rainy), clean


def rendered(group: str, kinds: Mapping[str, RainKind]) -> Iterator[Case]:
    """The cases of a renderer: some of each of its kinds of rain, on stills and under a moving camera."""
    return _of_each(group, kinds, partial(_rained_on, FRAME_RATE))


def _clip_in_rain() -> Iterator[Case]:
    for (name, rain), number in product(FALLING_KINDS.items(), range(PER_KIND)):
        label = f"{name} {number + 1}"
        draw = partial(_rained_on, CLIP_FRAME_RATE, rain, CLIP, f"{CLIP}, {label}")
        yield from (Case(CLIP, kind, label, draw) for kind in (MOVING, PAST_ALONE))


def _filmed() -> Iterator[Case]:
    """Falling rain as a camera records it, which stands, passes and jumps: real rain comes out of an encoder."""
    for (name, rain), pace, crf in product(FALLING_KINDS.items(), FILMED_PACES, CRFS):
        label = f"{name}, pace {pace:g}, crf {crf}"
        draw = partial(_recorded, pace, crf, rain, f"{FILMED}, {label}")
        yield from (Case(FILMED, kind, label, draw) for kind in (MOVING, PAST_ALONE))


def _recorded(pace: float, crf: int, rain: RainKind, seed: str, material: Material) -> Windows:
    """The clean window goes through the same camera, noise and all: what is asked is to take the rain away."""
    rng = random.Random(seed)
    clean = material.moving(rng, (pace,))
    rainy = _in_rain(clean, FRAME_RATE, rain, rng)
    camera = Camera(shot_noise=NOISE_AT_WHITE, crf=crf, seed=rng.randrange(2**31))
    return quantised(camera.film(rainy)), quantised(camera.film(clean.float() / 255))


def _rained_on(frame_rate: int, rain: RainKind, kind: str, seed: str, material: Material) -> Windows:
    rng = random.Random(seed)
    clean = _scene(material, kind, rng)
    return _as(kind, quantised(_in_rain(clean, frame_rate, rain, rng))), clean


def _in_rain(clean: Tensor, frame_rate: int, rain: RainKind, rng: random.Random) -> Tensor:
    """A clean window, uint8 (T, 3, H, W), at so many frames a second in the rain: float RGB in 0..1, the same shape."""
    falls = rain(clean.shape[-2], clean.shape[-1], rng.randrange(2**31))
    began = rng.uniform(1, 10)
    rainy = [falls.on(frame.float() / 255, began + number / frame_rate) for number, frame in enumerate(clean)]
    return torch.stack(rainy)


def _scene(material: Material, kind: str, rng: random.Random) -> Tensor:
    return {STILL: material.still, MOVING: material.moving, CLIP: material.filmed}[kind](rng)


def _as(kind: str, rainy: Tensor) -> Tensor:
    """Of a still, the streaks stay where they are."""
    return repeated(rainy[FRAMES // 2]) if kind == STILL else rainy


def _dry(material: Material) -> Iterator[Case]:
    """Photographs as they are and under a moving camera, and the clip; each in a mirror too, where it is no less dry: a
    network may take a line that leans to one side for a streak, and the same to the other side for none.
    """
    for number in range(len(material.photos)):
        yield from _both_ways(STILL, f"photo {number + 1}", partial(_dry_photo, number))
        for kind in (MOVING, PAST_ALONE):
            yield from _both_ways(kind, f"photo {number + 1}", partial(_dry_passing, number))
    for number in range(DRY_CLIP if material.clip is not None else 0):
        yield from _both_ways(CLIP, f"clip {number + 1}", partial(_dry_clip, number))


def _both_ways(kind: str, name: str, draw: Callable[[Material], Windows]) -> Iterator[Case]:
    def mirrored(material: Material) -> Windows:
        rainy, clean = draw(material)
        return rainy.flip(-1), clean.flip(-1)

    yield Case(DRY, kind, name, draw)
    yield Case(DRY, kind, f"{name}, mirrored", mirrored)


def _dry_photo(number: int, material: Material) -> Windows:
    photo = material.photos[number]
    window = repeated(photo[:, : LARGEST_STILL[0], : LARGEST_STILL[1]])
    return window, window


def _dry_passing(number: int, material: Material) -> Windows:
    window = passing(material.photos[number], pace=3.0, frames=FRAMES, size=PASSED, seed=number)
    return window, window


def _dry_clip(number: int, material: Material) -> Windows:
    window = material.filmed(random.Random(f"{DRY}, {number}"))
    return window, window


def _look_alikes() -> Iterator[Case]:
    for scene in SCENES:
        yield Case(LOOK_ALIKES, STILL, scene, partial(_look_alike, scene, STILL))
        yield Case(LOOK_ALIKES, MOVING, scene, partial(_look_alike, scene, MOVING))


def _look_alike(scene: str, kind: str, material: Material) -> Windows:
    clip = panned(scene, FRAMES)
    window = _as(kind, clip)
    return window, window
