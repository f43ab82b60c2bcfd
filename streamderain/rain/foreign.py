"""Rain that no network is trained on: it judges how far they reach.

Written on its own. It shares neither code nor model with the rain that samples are drawn from, imports nothing of
this room, and nothing in training may import it; a test reads the syntax trees for that.

Drops are flattened ellipsoids that fall through turbulent air before a pinhole camera with a rolling shutter.
Each exposure is cut into parts; in each a drop is a ribbon with a darker rim, filled on a finer canvas, and the parts
are added up. What a drop shows is refracted: the picture upside down. Light is added up where it is linear, and far
rain pales the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

NEAREST_METRES, FARTHEST_METRES = 0.8, 6.0
FOCAL_HEIGHTS = 1.2
FINENESS = 4
"""Pixels of the canvas to one of the picture, along each side."""

PARTS = 4
"""Of an exposure. Each is straight, so together they show how the air bends a path."""

READOUT_SECONDS = 0.008
"""From the first row's exposure to the last one's."""

SHAPE = 4.0
"""Of the gamma distribution of diameters (after Ulbrich, 1983, equation 2)."""

SMALLEST_MM, LARGEST_MM = 0.4, 6.0
RIM, RIM_LIGHT, BODY_LIGHT = 0.55, 0.65, 1.15
"""Where a drop's body ends, as a share of its width, and how bright rim and body are."""

SKY_SHARE = 0.45
"""Of the light that a drop refracts, that which comes from above the picture."""

WAVES = 6
SWAY_METRES = 0.03
LOSS_PER_DROP = 2e-4
"""Share of the light that far rain takes, for each drop in a cubic metre; at most `MOST_LOST`."""

MOST_LOST = 0.08
LEAST_SEEN = 0.008
"""Opacity times width in pixels; drops of which a camera sees less are left to the far rain."""

MOST_HIDDEN = 0.97
GAMMA = 2.2
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Shower:
    """`amount` is the number of drops in a cubic metre, 20 to 400; `width` the median diameter in millimetres, 0.5
    to 4; `length` the exposure in seconds, which makes streaks long; `lean` their mean lean from the vertical in
    radians, any; `brightness` how much of what it passes a median drop hides, 0..1. `mist` scales what far rain takes
    of the light, 0 for none. `focal_px` is that of the whole picture, where only a crop is drawn, and makes all
    larger and less dense; None for 1.2 heights.
    """

    amount: float = 120.0
    width: float = 1.5
    length: float = 1 / 60
    lean: float = 0.0
    brightness: float = 0.3
    mist: float = 1.0
    focal_px: float | None = None
    seed: int = 0


class ForeignRain:
    """All drops before pictures of `height` by `width` pixels, for every moment of time."""

    def __init__(self, shower: Shower, height: int, width: int) -> None:
        self.shower, self.height, self.width = shower, height, width
        self._focal = shower.focal_px or FOCAL_HEIGHTS * height
        generator = np.random.default_rng(shower.seed)
        self._side = 1.1 * math.hypot(height, width) / self._focal
        # Paths begin above the picture and end below, so that none ends or begins in it.
        self._beyond = 10 * (shower.length + READOUT_SECONDS) + 0.1
        self._depth = self._depths(generator)
        self._travel = self._side * self._depth + self._beyond
        count = len(self._depth)
        diameter = shower.width * generator.gamma(SHAPE, size=count) / (SHAPE - 1 / 3)
        self._mm = diameter.clip(min(SMALLEST_MM, shower.width), LARGEST_MM)
        self._speed = fall_speed(self._mm)
        self._start, self._across, self._glint = generator.random((3, count))
        self._waves = generator.standard_normal((WAVES, 6))

    def _depths(self, generator: np.random.Generator) -> Floats:
        """Metres to each drop, the far ones first, as near ones are drawn over them.

        At each depth they fill a square as wide as the view, longer by what is beyond: one volume that grows with
        the depth's square, and one with the depth.
        """
        near, far = NEAREST_METRES, FARTHEST_METRES
        square = self.shower.amount * self._side**2 * (far**3 - near**3) / 3
        longer = self.shower.amount * self._side * self._beyond * (far**2 - near**2) / 2
        depth = np.concatenate(
            (
                np.cbrt(generator.uniform(near**3, far**3, generator.poisson(square))),
                np.sqrt(generator.uniform(near**2, far**2, generator.poisson(longer))),
            )
        )
        return np.asarray(np.sort(depth)[::-1], np.float64)

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, in this rain, exposed from `seconds` on; same shape."""
        light = clean.permute(1, 2, 0).cpu().numpy().astype(np.float32) ** GAMMA
        small = _refracted(light)
        light = self._paled(light, seconds)
        drops, hidden = self._exposed(small, seconds)
        rainy = (light * (1 - hidden[..., None]) + drops).clip(0, 1) ** (1 / GAMMA)
        return torch.from_numpy(rainy.astype(np.float32)).permute(2, 0, 1).to(clean.device)

    def opacity(self, seconds: float) -> Tensor:
        """How much of each pixel drops hide: (H, W) float, 0..1."""
        _, hidden = self._exposed(np.zeros((1, 1, 3), np.float32), seconds)
        return torch.from_numpy(hidden)

    def _exposed(self, shown: Picture, seconds: float) -> tuple[Picture, Picture]:
        """The light of all drops, (H, W, 3), and what they hide, (H, W), all parts of the exposure together."""
        import cv2

        fallen, along = self._fallen(seconds)
        row = self._pixels(fallen, along, seconds)[1]
        begin = READOUT_SECONDS * (row / self.height).clip(0, 1)
        length = self.shower.length / PARTS
        canvas = np.zeros((self.height * FINENESS, self.width * FINENESS, 4), np.float32)
        total = np.zeros((self.height, self.width, 4), np.float32)
        for part in range(PARTS):
            canvas[:] = 0
            first, last = (begin + number * length for number in (part, part + 1))
            ends = [self._pixels(fallen, along + self._speed * late, seconds + late) for late in (first, last)]
            self._fill(canvas, np.stack(ends), shown, (part == 0, part == PARTS - 1))
            total += cv2.resize(canvas, (self.width, self.height), interpolation=cv2.INTER_AREA)
        # Where streaks cross, no more light comes than from a drop that hides all.
        total *= MOST_HIDDEN / np.maximum(total[..., 3:], MOST_HIDDEN)
        return total[..., :3], total[..., 3]

    def _fallen(self, seconds: float) -> tuple[Floats, Floats]:
        """How often each drop has begun anew, and how far it has fallen since, in metres below the middle."""
        fallen = self._start * self._travel + self._speed * seconds
        times = np.floor(fallen / self._travel)
        return times, fallen - times * self._travel - self._side * self._depth / 2 - self._beyond + 0.05

    def _pixels(self, times: Floats, along: Floats, moment: Floats | float) -> Floats:
        """Where drops are in the picture: x and y, (2, drops)."""
        across = ((self._across + times * GOLDEN) % 1 - 0.5) * self._side * self._depth
        sway_x, sway_y = self._sway(across, along, moment)
        across, along = across + sway_x, along + sway_y
        cos, sin = math.cos(self.shower.lean), math.sin(self.shower.lean)
        scale = self._focal / self._depth
        x = (across * cos + along * sin) * scale + self.width / 2
        y = (along * cos - across * sin) * scale + self.height / 2
        return np.stack((x, y))

    def _sway(self, across: Floats, along: Floats, moment: Floats | float) -> tuple[Floats, Floats]:
        """Metres by which turbulent air moves drops aside, a sum of waves (after Kraichnan, 1970)."""
        x, y = np.zeros_like(across), np.zeros_like(along)
        for number, (right, down, deep, pace, phase, tilt) in enumerate(self._waves):
            place = (right * across + down * along + deep * self._depth) * 2 * (1 + number / 2)
            wave = np.sin(place + pace * 4 * moment + phase * 3) * SWAY_METRES / (1 + number / 2)
            x, y = x + wave * math.cos(tilt), y + wave * 0.3 * math.sin(tilt)
        return x, y

    def _fill(self, canvas: Picture, ends: Floats, shown: Picture, tips: tuple[bool, bool]) -> None:
        """Fill on `canvas` the ribbons between `ends`, (2, 2, drops) of begin and end, x and y."""
        import cv2

        low, high, size = ends.min(axis=0), ends.max(axis=0), np.array([[self.width], [self.height]])
        numbers = np.flatnonzero(((high > -9) & (low < size + 9)).all(axis=0))
        wide = self._mm[numbers] * self._focal / self._depth[numbers] / 1000
        hidden = self._hidden(numbers)
        seen = hidden * wide > LEAST_SEEN
        numbers, wide, hidden = numbers[seen], wide[seen], hidden[seen]
        ends = ends[..., numbers]
        # What is thinner than a pixel of the canvas is drawn as wide as that and fainter.
        drawn = np.maximum(wide, 1.5 / FINENESS)
        hidden = hidden * wide / drawn
        # Larger drops are flatter (Pruppacher and Beard, 1970, equation 1).
        tall = wide * (1.03 - 0.062 * self._mm[numbers]).clip(0.6, 1)
        light = self._colours(shown, ends.mean(axis=0), numbers) * hidden[:, None]
        for share, glow in ((1.0, RIM_LIGHT), (RIM, BODY_LIGHT)):
            values = np.column_stack((light * glow, hidden)).tolist()
            for corners, value in zip(_ribbons(ends, drawn * share, tall * share, tips), values, strict=True):
                cv2.fillConvexPoly(canvas, corners, value, cv2.LINE_8, 4)

    def _hidden(self, numbers: npt.NDArray[np.intp]) -> Floats:
        """The share of the exposure for which drops hide what they pass, made `brightness` for a median one."""
        slowness = self._mm / self._speed
        usual = self.shower.width / fall_speed(np.array([self.shower.width]))[0]
        return np.asarray((self.shower.brightness * slowness[numbers] / usual).clip(0, 0.95), np.float64)

    def _colours(self, shown: Picture, places: Floats, numbers: npt.NDArray[np.intp]) -> Floats:
        """What drops at `places`, (2, drops), show of the picture upside down: linear RGB, (drops, 3)."""
        rows, columns = shown.shape[:2]
        x = ((1 - places[0] / self.width) * columns).clip(0, columns - 1).astype(int)
        y = ((1 - places[1] / self.height) * rows).clip(0, rows - 1).astype(int)
        sky = shown.reshape(-1, 3).max(axis=0)
        glint = 0.75 + 0.8 * self._glint[numbers, None] ** 2
        return np.asarray(((1 - SKY_SHARE) * shown[y, x] + SKY_SHARE * (0.3 + 0.7 * sky)) * glint, np.float64)

    def _paled(self, light: Picture, seconds: float) -> Picture:
        """`light` through far rain that drifts by in sheets."""
        down, right = np.mgrid[: self.height, : self.width] / self.height
        sheets = np.zeros_like(down)
        for x, y, _, pace, phase, _ in self._waves:
            sheets += np.sin(3 * (x * right + y * down) + 2 * pace * seconds + 3 * phase)
        thick = 0.5 + 0.5 * np.tanh(sheets / math.sqrt(WAVES))
        lost = min(MOST_LOST, self.shower.mist * LOSS_PER_DROP * self.shower.amount) * thick[..., None]
        airlight = light.mean(axis=(0, 1)) * 0.5 + 0.5 * light.max()
        return np.asarray(light * (1 - lost) + airlight * lost, np.float32)


def fall_speed(diameter_mm: Floats) -> Floats:
    """Metres per second of drops of up to 6 mm (Brandes, Zhang and Vivekanandan, 2002, equation 3)."""
    d = diameter_mm
    speed = -0.1021 + 4.932 * d - 0.9551 * d**2 + 0.07934 * d**3 - 0.002362 * d**4
    return np.asarray(speed.clip(0.3), np.float64)


def _refracted(light: Picture) -> Picture:
    """`light`, (H, W, 3), as coarse as a drop shows it: (6, 8, 3)."""
    import cv2

    return np.asarray(cv2.resize(light, (8, 6), interpolation=cv2.INTER_AREA), np.float32)


def _ribbons(ends: Floats, wide: Floats, tall: Floats, tips: tuple[bool, bool]) -> npt.NDArray[np.int32]:
    """Six corners around each way between `ends`, (drops, 6, 2) in sixteenths of a pixel of the canvas.

    `tips` says whether the drop's own height stands out at the beginning and at the end.
    """
    first, last = ends
    path = last - first
    steps = np.hypot(*path)
    forward = np.where(steps > 1e-6, path / np.maximum(steps, 1e-6), np.array([[0.0], [1.0]]))
    half = np.stack((-forward[1], forward[0])) * wide / 2
    before, after = (forward * tall / 2 * shown for shown in tips)
    points = (first - before, first + half, last + half, last + after, last - half, first - half)
    fine = np.stack(points).transpose(2, 0, 1) * (FINENESS * 16)
    return np.asarray(np.rint(fine.clip(-1e6, 1e6)), np.int32)
