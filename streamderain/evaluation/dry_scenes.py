"""Drawn scenes without rain that look as if there were some: what a derainer takes for streaks.

Each is a short clip of a camera that pans; its first frame serves as a still.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

HEIGHT, WIDTH = 360, 480
FRAMES = 6
PIXELS_PER_FRAME = 2.6
MARGIN = 24
"""How much wider a scene is than what is seen of it; more than a pan covers."""

Picture = npt.NDArray[np.float32]
Random = np.random.Generator


def fence(random: Random) -> Picture:
    """Thin upright bars in front of foliage."""
    scene = _foliage(random)
    for x in np.arange(4, WIDTH + MARGIN, 13):
        shade = random.uniform(0.55, 0.95)
        _curve(scene, [(float(x), 40), (float(x) + random.normal(0, 0.5), HEIGHT - 50)], random.uniform(1, 3), shade)
    for y in (60, HEIGHT - 80):
        _curve(scene, [(0, y), (WIDTH + MARGIN, y + 3)], 5, 0.8)
    return scene


def cables(random: Random) -> Picture:
    """Wires that hang over a sky, dark and lit ones, and what carries them."""
    scene = _gradient((0.55, 0.68, 0.85), (0.82, 0.86, 0.9))
    for number in range(14):
        left, right, sag = random.uniform(0, HEIGHT), random.uniform(0, HEIGHT), random.uniform(0, 60)
        along = np.linspace(0, 1, 60)
        y = left + (right - left) * along + sag * 4 * along * (1 - along)
        shade = 0.95 if number % 4 == 0 else 0.15
        _curve(scene, list(zip(along * (WIDTH + MARGIN), y, strict=True)), random.uniform(1, 2), shade)
    for x in (90, 300, 420):
        _curve(scene, [(x, 0), (x + 14, HEIGHT)], 1.5, 0.2)
    return scene


def hair(random: Random) -> Picture:
    """Strands that fall over each other, light on dark and dark on light."""
    scene = _gradient((0.5, 0.36, 0.28), (0.75, 0.58, 0.48))
    for _ in range(420):
        x, bend = random.uniform(-40, WIDTH + MARGIN + 40), random.normal(0, 30)
        along = np.linspace(0, 1, 40)
        points = np.stack((x + bend * along**2 + 6 * np.sin(5 * along + x), along * HEIGHT * 1.1 - 10), axis=1)
        shade = random.uniform(0.1, 0.4) if random.random() < 0.7 else random.uniform(0.7, 0.95)
        _curve(scene, [(px, py) for px, py in points], 1, shade, (1, 0.8, 0.6))
    return scene


def blinds(random: Random) -> Picture:
    """Upright slats, each shaded from side to side, with light between them."""
    x = np.arange(WIDTH + MARGIN, dtype=np.float32)
    slat = 0.45 + 0.3 * ((x % 22) / 22)
    slat[x % 22 < 2] = 0.97
    scene = np.broadcast_to(slat[None, :, None], (HEIGHT, WIDTH + MARGIN, 3)).astype(np.float32)
    dusk = np.linspace(1, 0.8, HEIGHT, dtype=np.float32)[:, None, None]
    return scene * dusk + random.normal(0, 0.004, scene.shape).astype(np.float32)


def night(random: Random) -> Picture:
    """A dark street with lamps, lit windows and their reflections on the ground."""
    import cv2

    scene = _gradient((0.02, 0.025, 0.05), (0.07, 0.065, 0.06))
    for _ in range(60):
        x, y = int(random.uniform(0, WIDTH + MARGIN)), int(random.uniform(80, 200))
        cv2.rectangle(scene, (x, y), (x + 5, y + 9), (0.5, 0.42, 0.2), -1)
    for x in range(40, WIDTH + MARGIN, 110):
        _curve(scene, [(x, 90), (x, 300)], 2, 0.16)
        lamp = np.zeros_like(scene)
        cv2.circle(lamp, (x, 88), 5, (1.0, 0.85, 0.55), -1, cv2.LINE_AA)
        _curve(lamp, [(x, 305), (x + 2, HEIGHT)], 3, 0.35)
        scene += lamp + 6 * cv2.GaussianBlur(lamp, (0, 0), 22)
    return scene


SCENES: dict[str, Callable[[Random], Picture]] = {
    "fence of thin bars": fence,
    "cables on the sky": cables,
    "hair": hair,
    "vertical blinds": blinds,
    "night with lamps and noise": night,
}

NOISE = {"night with lamps and noise": 2.5}
"""Standard deviation of a camera's noise in codes; scenes by day have a half."""


def panned(kind: str, frames: int = FRAMES) -> Tensor:
    """The scene of that name under a panning camera, the same at each call: uint8 RGB (frames, 3, HEIGHT, WIDTH)."""
    import cv2

    random = np.random.default_rng(list(SCENES).index(kind))
    scene = cv2.GaussianBlur(SCENES[kind](random), (0, 0), 0.6)
    shots = []
    for number in range(frames):
        shift = np.array([[1, 0, -PIXELS_PER_FRAME * number], [0, 1, 0]], np.float32)
        seen = cv2.warpAffine(scene, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        shots.append(seen * 255 + random.normal(0, NOISE.get(kind, 0.5), seen.shape))
    return torch.from_numpy(np.stack(shots).round().clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()


def _gradient(top: tuple[float, float, float], bottom: tuple[float, float, float]) -> Picture:
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    colours = np.array(top, np.float32) * (1 - down) + np.array(bottom, np.float32) * down
    return np.repeat(colours, WIDTH + MARGIN, axis=1)


def _foliage(random: Random) -> Picture:
    import cv2

    scene = np.zeros((HEIGHT, WIDTH + MARGIN, 3), np.float32)
    for sigma, weight in ((1.5, 0.05), (6, 0.12), (25, 0.2)):
        blurred = cv2.GaussianBlur(random.normal(0, 1, scene.shape[:2]).astype(np.float32), (0, 0), sigma)
        scene += (weight * blurred / blurred.std())[..., None]
    return (np.array((0.25, 0.4, 0.18), np.float32) * (1 + scene)).clip(0, 1)


def _curve(
    scene: Picture,
    points: list[tuple[float, float]],
    width: float,
    shade: float,
    colour: tuple[float, float, float] = (1, 1, 1),
) -> None:
    """Draw a line of any width into `scene`, smooth to a sixteenth of a pixel."""
    import cv2

    fine = 16
    mask = np.zeros(scene.shape[:2], np.uint8)
    line = (np.array(points, np.float32) * fine).round().astype(np.int32)
    cv2.polylines(mask, [line], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    # A line has whole pixels of width here; what is narrower covers less of them.
    cover = (mask.astype(np.float32) / 255 * min(1.0, width / max(1, round(width))))[..., None]
    scene += cover * (np.array(colour, np.float32) * shade - scene)
