"""Rain that falls: streaks of drops in depth, drawn for any moment of a clip.

A drop is a point in front of a pinhole camera. Its size follows Marshall and Palmer, its speed Atlas,
its place at a moment is a function of that moment, so a clip's frames show the same drops further down.
Drops live in shells of depth: near ones are few, long, wide and out of focus, far ones many and short.
A camera that turns shears the streaks and carries them along.

Knows nothing of files, networks or training; runs on any torch device.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SHELL_EDGES_METRES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
DROPS_PER_CUBIC_METRE_AND_MM = 8000
"""N0 of Marshall and Palmer (1948, eq. 2): drops to a cubic metre of air and a millimetre of diameter, at 0."""

SMALLEST_DROP_MM = 0.5
FASTEST_METRES_PER_SECOND = 10
SMALLEST_WIDTH_PX = 0.12
"""Drops that the camera sees narrower than this melt into haze and are not drawn one by one."""

MOST_DROPS_PER_PIXEL = 0.08
"""Bound on the drops of a shell, which keeps cloudbursts affordable; the largest drops stay."""

SURROUNDINGS = (3, 4)
"""Rows and columns of what a drop tells apart of its surroundings."""

FLOAT32_SECONDS = 60.0
"""Until then float32 places the quickest drop to a tenth of a pixel; hours later it would jump."""


@dataclass(frozen=True)
class Rain:
    """What falls, and how the camera sees it.

    `rate_mm_per_hour`: 2 is light rain, 10 moderate, 50 heavy. `wind_m_per_s` blows to the right,
    `gust_m_per_s` is its standard deviation from drop to drop. `exposure_seconds` sets the length of
    the streaks and how faint they are. `focal_heights` is the focal length in heights of the full
    picture, `picture_height` that height in pixels where only a crop of the picture is drawn.
    `strength` scales the opacity that the physics gives, which is low; `whiteness` says how far the
    light in the drops leaves that of the surroundings (0) for white (1). `defocus_px` is the blur of
    a drop at one metre, with the far end in focus. Drops nearer than `nearest_metres` are left out, and those
    further away than `farthest_metres`, as in front of a near wall; both are edges of shells.
    """

    rate_mm_per_hour: float = 20.0
    wind_m_per_s: float = 1.0
    gust_m_per_s: float = 0.3
    exposure_seconds: float = 1 / 250
    focal_heights: float = 1.2
    picture_height: int | None = None
    strength: float = 4.0
    whiteness: float = 0.3
    defocus_px: float = 1.0
    nearest_metres: float = 0.5
    farthest_metres: float = SHELL_EDGES_METRES[-1]
    seed: int = 0


@dataclass(frozen=True)
class View:
    """Where a turning camera looks, and how quickly it turns: a turn moves near and far by the same pixels.

    `x_px` and `y_px`, right and down, are how far the picture has moved since the rain began; `x_px_per_s` and
    `y_px_per_s` how quickly it moves during this exposure.
    """

    x_px: float = 0.0
    y_px: float = 0.0
    x_px_per_s: float = 0.0
    y_px_per_s: float = 0.0


STEADY = View()


@dataclass(frozen=True)
class _Shell:
    """The drops between two depths; all tensors are (drops,) float32, lengths in pixels.

    Drops live from `longest`, the longest streak, above the picture to as much below it, and `margin` beyond
    both sides.
    """

    identity: Tensor
    start_y: Tensor
    speed_x: Tensor
    speed_y: Tensor
    opacity: Tensor
    blur_px: float
    margin: float
    longest: float


class Rainfall:
    """All drops that cross a picture of `height` by `width` pixels, for every moment of time."""

    def __init__(self, rain: Rain, height: int, width: int, device: torch.device | str = "cpu") -> None:
        self.rain, self.height, self.width = rain, height, width
        # Drawn on the CPU whatever the device, so that a seed means the same rain everywhere.
        generator = torch.Generator().manual_seed(rain.seed)
        edges = [edge for edge in SHELL_EDGES_METRES if rain.nearest_metres <= edge <= rain.farthest_metres]
        self._shells = [self._shell(near, far, generator, device) for near, far in itertools.pairwise(edges)]

    def _shell(self, near: float, far: float, generator: torch.Generator, device: torch.device | str) -> _Shell:
        rain = self.rain
        focal = rain.focal_heights * (rain.picture_height or self.height)
        slope = drop_slope(rain.rate_mm_per_hour)
        middle = (near + far) / 2
        smallest = max(SMALLEST_DROP_MM, SMALLEST_WIDTH_PX * middle / focal * 1000)
        slowest = float(_terminal_speed(torch.tensor(smallest)))
        tilt = (abs(rain.wind_m_per_s) + 3 * rain.gust_m_per_s) / slowest
        longest = FASTEST_METRES_PER_SECOND * rain.exposure_seconds * focal / near
        margin = longest + tilt * (self.height + longest)
        per_cubic_metre = DROPS_PER_CUBIC_METRE_AND_MM / slope * math.exp(-slope * smallest)
        area = (self.height + 2 * longest) * (self.width + 2 * margin)
        expected = per_cubic_metre * area / focal**2 * (far**3 - near**3) / 3
        most = MOST_DROPS_PER_PIXEL * area
        if expected > most:
            smallest += math.log(expected / most) / slope
        count = int(torch.poisson(torch.tensor(min(expected, most)), generator=generator))

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator)

        diameter = smallest - torch.log1p(-uniform()) / slope
        depth = (near**3 + uniform() * (far**3 - near**3)) ** (1 / 3)
        fall = _terminal_speed(diameter)
        drift = rain.wind_m_per_s + rain.gust_m_per_s * torch.randn(count, generator=generator)
        width_px = diameter / 1000 * focal / depth
        # A drop hides a pixel for the part of the exposure that it needs to pass its own height.
        coverage = (diameter / 1000 / (fall * rain.exposure_seconds)).clamp(max=1)
        mean_width = float(width_px.mean()) if count else 0.0
        return _Shell(
            identity=torch.arange(count, device=device),
            start_y=(uniform() * (self.height + 2 * longest)).to(device),
            speed_x=(drift * focal / depth).to(device),
            speed_y=(fall * focal / depth).to(device),
            opacity=(rain.strength * coverage * width_px).to(device),
            blur_px=math.hypot(mean_width / 3, rain.defocus_px * max(0.0, 1 / middle - 1 / SHELL_EDGES_METRES[-1])),
            margin=margin,
            longest=longest,
        )

    def opacity(self, seconds: float, view: View = STEADY) -> Tensor:
        """How much of each pixel drops hide in an exposure that begins at `seconds`: (H, W), 0..1."""
        through = torch.ones(self.height, self.width, device=self._shells[0].start_y.device)
        for number, shell in enumerate(self._shells):
            through = through * (1 - self._shell_opacity(shell, number, seconds, view))
        return 1 - through

    def _shell_opacity(self, shell: _Shell, number: int, seconds: float, view: View) -> Tensor:
        exposure = self.rain.exposure_seconds
        x, y = self._places(shell, number, seconds, view)
        length_x, length_y, opacity = shell.speed_x * exposure, shell.speed_y * exposure, shell.opacity
        if view.x_px_per_s or view.y_px_per_s:
            own = torch.hypot(length_x, length_y)
            length_x = length_x + view.x_px_per_s * exposure
            length_y = length_y + view.y_px_per_s * exposure
            # The same light over another length; one that the camera follows stays a point.
            opacity = opacity * own / torch.hypot(length_x, length_y).clamp(min=1)
        inside = (torch.maximum(y, y + length_y) > -2) & (torch.minimum(y, y + length_y) < self.height + 2)
        inside &= (torch.maximum(x, x + length_x) > -2) & (torch.minimum(x, x + length_x) < self.width + 2)
        drawn = _splat(
            self.height,
            self.width,
            *(values[inside] for values in (x, y, length_x, length_y, opacity)),
        )
        return blur(drawn, shell.blur_px).clamp(max=0.95)

    def _places(self, shell: _Shell, number: int, seconds: float, view: View) -> tuple[Tensor, Tensor]:
        """The pixel where each drop is at `seconds`, x and y of (drops,) each."""
        travel = self.height + 2 * shell.longest
        is_exact = abs(seconds) > FLOAT32_SECONDS and shell.speed_y.device.type != "mps"
        speed_y = shell.speed_y.double() if is_exact else shell.speed_y
        fallen = shell.start_y + speed_y * seconds + view.y_px
        # A drop that has left below begins a new fall elsewhere.
        fall = torch.div(fallen, travel, rounding_mode="floor")
        y = (fallen - fall * travel - shell.longest).float()
        across = _hash01(shell.identity, fall.long(), self.rain.seed * 8 + number)
        x = across * (self.width + 2 * shell.margin) - shell.margin
        x = x + shell.speed_x * (y + shell.longest) / shell.speed_y
        if view.x_px or view.y_px:
            # Wind carries a drop along for what it has fallen, not for what the camera has turned. Those that
            # leave on one side of the margin enter on the other.
            x = x + view.x_px - shell.speed_x / shell.speed_y * view.y_px
            x = torch.remainder(x + shell.margin, self.width + 2 * shell.margin) - shell.margin
        return x, y

    def on(self, clean: Tensor, seconds: float, view: View = STEADY) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, as the camera sees it through the rain; same shape."""
        opacity = self.opacity(seconds, view)
        return (clean * (1 - opacity) + light_in_drops(clean, self.rain.whiteness) * opacity).clamp(0, 1)


def light_in_drops(clean: Tensor, whiteness: float) -> Tensor:
    """What a drop in front of each pixel of `clean` sends to the camera; both (3, H, W) RGB in 0..1.

    A drop gathers light from a field of view of 165 degrees (Garg and Nayar, 2007, section 3): it shows
    a small, blurred image of the surroundings, the bright sky among them. `whiteness` is that of Rain.
    """
    coarse = F.adaptive_avg_pool2d(clean, SURROUNDINGS)
    surroundings = F.interpolate(coarse[None], clean.shape[-2:], mode="bilinear", align_corners=False)[0]
    light = 0.6 * surroundings + 0.4 * sky_of(clean)
    return light + whiteness * (1 - light)


def sky_of(clean: Tensor) -> Tensor:
    """The brightest that a large part of `clean`, (3, H, W) RGB in 0..1, shows: (3, 1, 1)."""
    return F.adaptive_avg_pool2d(clean, SURROUNDINGS).amax(dim=(1, 2), keepdim=True)


def drop_slope(rate_mm_per_hour: float) -> float:
    """How quickly drops get rarer with their diameter, per mm (Marshall and Palmer, 1948, eq. 3)."""
    return float(4.1 * rate_mm_per_hour**-0.21)


def _terminal_speed(diameter_mm: Tensor) -> Tensor:
    """Metres per second of a drop in still air (Atlas, Srivastava and Sekhon, 1973, eq. 3)."""
    return (9.65 - 10.3 * torch.exp(-0.6 * diameter_mm)).clamp(min=0.5)


def _hash01(identity: Tensor, fall: Tensor, seed: int) -> Tensor:
    """A number in 0..1 for each drop and fall, the same whenever it is asked for."""
    mixed = identity * 2654435761 + fall * 40503 + seed * 97 + 12345
    for _ in range(2):
        mixed = mixed ^ (mixed >> 15)
        mixed = (mixed * 2246822519) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 13)).to(torch.float32) / 2**32


def _splat(
    height: int, width: int, x: Tensor, y: Tensor, length_x: Tensor, length_y: Tensor, opacity: Tensor
) -> Tensor:
    """Straight streaks added up on (H, W), each a row of points a pixel apart, bilinear, so smooth."""
    points = torch.hypot(length_x, length_y).ceil().long().clamp(min=1)
    streak = torch.repeat_interleave(torch.arange(len(points), device=x.device), points)
    first = torch.cumsum(points, 0) - points
    along = (torch.arange(len(streak), device=x.device) - first[streak] + 0.5) / points[streak]
    # With a border of one pixel, each point that touches the picture has its four neighbours on the canvas.
    px, py = x[streak] + along * length_x[streak] + 1, y[streak] + along * length_y[streak] + 1
    inside = (px > 0) & (px < width + 1) & (py > 0) & (py < height + 1)
    px, py, along, streak = px[inside], py[inside], along[inside], streak[inside]
    # Both ends thin out, as the shutter opens and closes on a moving drop.
    value = opacity[streak] * (4 * along * (1 - along)).sqrt()
    left, top = px.long(), py.long()
    right, down = px - left, py - top
    place, row = top * (width + 2) + left, width + 2
    canvas = torch.zeros((height + 2) * row, device=x.device)
    canvas.index_add_(0, place, value * (1 - right) * (1 - down))
    canvas.index_add_(0, place + 1, value * right * (1 - down))
    canvas.index_add_(0, place + row, value * (1 - right) * down)
    canvas.index_add_(0, place + row + 1, value * right * down)
    return canvas.view(height + 2, row)[1:-1, 1:-1]


def blur(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., H, W); a `sigma` under 0.2 pixels leaves it as it is."""
    if sigma < 0.2:
        return picture
    radius = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    height, width = picture.shape[-2:]
    mode = "replicate" if min(height, width) <= radius else "reflect"
    padded = F.pad(picture.reshape(-1, 1, height, width), (radius,) * 4, mode=mode)
    blurred = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return blurred.view(picture.shape)
