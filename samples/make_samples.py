"""Make the sample clips: a photograph filmed by a moving camera, with rain and without.

    python samples/make_samples.py            writes both clips beside this script
    python samples/make_samples.py --out DIR  writes them there

Everything random is seeded, so the same versions of the libraries make the same clips, but for what another
processor rounds otherwise. The photograph comes with scikit-learn; README.md in this folder says whose it is.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamderain.rain.falling import Rain, Rainfall

HEIGHT, WIDTH, FRAME_RATE, SECONDS = 360, 640, 25, 4
FRAMES = FRAME_RATE * SECONDS
SAMPLE_RATE = 48_000
SEED = 7

RAIN = Rain(
    rate_mm_per_hour=6,
    wind_m_per_s=1.2,
    gust_m_per_s=0.35,
    exposure_seconds=1 / 90,
    strength=40,
    whiteness=0.55,
    defocus_px=1.4,
    seed=SEED,
)

OVERCAST = (0.80, 0.83, 0.86)
"""The red, green and blue of a white thing under rain clouds, as the camera exposes it."""

MIST = (0.62, 0.65, 0.68)

NEARNESS: tuple[tuple[float, tuple[tuple[int, int], ...]], ...] = (
    (0.15, ((0, 250), (640, 215), (640, 427), (0, 427))),
    (0.45, ((60, 427), (60, 265), (92, 110), (190, 30), (222, 30), (322, 120), (355, 260), (375, 427))),
    (0.75, ((300, 427), (340, 400), (420, 320), (540, 270), (640, 270), (640, 427))),
    (0.80, ((0, 427), (0, 340), (60, 350), (150, 335), (230, 390), (300, 400), (300, 427))),
    (0.90, ((0, 130), (35, 190), (80, 230), (60, 270), (30, 320), (50, 427), (0, 427))),
    (1.00, ((640, 120), (585, 135), (545, 215), (560, 290), (560, 427), (640, 427))),
)
"""Parts of the photograph, far to near: how near (the sky is 0), and the corners (x, y) that enclose them."""

Picture = npt.NDArray[np.float32]
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """Where the camera looks: photograph pixels `x, y` at the middle of the picture, `scale` of them to a
    pixel, `roll` in radians; `aside` and `forward` move what is nearest, by pixels and by a share.
    """

    x: float
    y: float
    scale: float
    roll: float
    aside: float
    forward: float


def photograph() -> Picture:
    """Scikit-learn's china.jpg as (427, 640, 3) RGB in 0..1."""
    import cv2

    coded = np.frombuffer((resources.files("sklearn.datasets.images") / "china.jpg").read_bytes(), np.uint8)
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], np.float32) / np.float32(255)


def nearness() -> Picture:
    """How near each pixel of the photograph is, 0 to 1, (427, 640); smooth, so that nothing tears."""
    import cv2

    near = np.zeros((427, 640), np.float32)
    for value, corners in NEARNESS:
        cv2.fillPoly(near, [np.array(corners, np.int32)], value)
    return cv2.GaussianBlur(near, (0, 0), 16).astype(np.float32)


def overcast(sunny: Picture, near: Picture) -> Picture:
    """The photograph as on a rainy day: rain does not fall from a blue sky, nor can it be seen before one."""
    grey = sunny @ np.array((0.2126, 0.7152, 0.0722), np.float32)
    far = (1 - near[..., None]) ** 2
    colour = 0.75 - 0.4 * far
    dim = np.array(OVERCAST, np.float32) * (colour * sunny + (1 - colour) * grey[..., None]) ** 1.2
    misty = dim + 0.4 * far * (np.array(MIST, np.float32) - dim)
    return misty.astype(np.float32)


def shake(seed: int, slowest_hz: float = 0.3, fastest_hz: float = 5.0) -> list[float]:
    """A hand's unrest at each frame, with a standard deviation of about 1: slow waves are the largest."""
    random = np.random.default_rng(seed)
    hertz = np.geomspace(slowest_hz, fastest_hz, 12)
    phase = random.uniform(0, 2 * math.pi, 12)
    height = random.uniform(0.5, 1.5, 12) / hertz
    seconds = np.arange(FRAMES)[:, None] / FRAME_RATE
    waves = height * np.sin(2 * math.pi * hertz * seconds + phase)
    deviation = np.sqrt((height**2).sum() / 2)
    return [float(wave) for wave in waves.sum(axis=1) / deviation]


def poses() -> list[Pose]:
    """A walk forward with a slow pan to the right, held by hand."""
    x, y, roll, aside = (shake(SEED * 10 + part) for part in range(4))
    walked = [(1 - math.cos(math.pi * k / (FRAMES - 1))) / 2 for k in range(FRAMES)]
    return [
        Pose(
            x=306 + 24 * far + 1.6 * x[k],
            y=198 - 18 * far + 1.6 * y[k],
            scale=0.91 - 0.03 * far,
            roll=0.0025 * roll[k],
            aside=9 * (far - 0.5) + 0.6 * aside[k],
            forward=0.035 * far,
        )
        for k, far in enumerate(walked)
    ]


def filmed(scene: Picture, near: Picture, pose: Pose) -> Picture:
    """The scene from `pose`, (HEIGHT, WIDTH, 3): near things move further aside and grow faster than far ones."""
    import cv2

    down, across = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    across, down = (across - (WIDTH - 1) / 2) * pose.scale, (down - (HEIGHT - 1) / 2) * pose.scale
    right = math.cos(pose.roll) * across - math.sin(pose.roll) * down
    below = math.sin(pose.roll) * across + math.cos(pose.roll) * down
    depth = cv2.remap(near, right + pose.x, below + pose.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    closer = 1 - pose.forward * depth
    from_x, from_y = right * closer + pose.x + pose.aside * depth, below * closer + pose.y
    seen = cv2.remap(scene, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(seen, np.float32).clip(0, 1)


def rained_on(clean: Iterable[Picture]) -> Iterable[Picture]:
    """The same frames in the rain, each at its own time."""
    rainfall = Rainfall(RAIN, HEIGHT, WIDTH)
    for k, picture in enumerate(clean):
        rainy = rainfall.on(torch.from_numpy(picture).permute(2, 0, 1), k / FRAME_RATE)
        yield rainy.permute(1, 2, 0).numpy()


def rain_noise() -> Sound:
    """(2, SAMPLE_RATE * SECONDS) of quiet rain: a hiss from afar, and drops that hit something near."""
    random = np.random.default_rng(SEED)
    samples = SAMPLE_RATE * SECONDS
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    # Rain hisses between some hundred hertz and ten thousand, ever less towards the top.
    colour = (hertz / 500) / (1 + (hertz / 500) ** 2) ** 0.75 / (1 + (hertz / 7000) ** 4)
    own, shared = random.standard_normal((2, samples)), random.standard_normal(samples)
    hiss = np.fft.irfft(np.fft.rfft(0.8 * own + 0.6 * shared) * colour, samples)
    sound = 0.022 * hiss / hiss.std() + droplets(random, samples)
    fade = np.minimum(1, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.1 * SAMPLE_RATE))
    return np.asarray((sound * fade).clip(-1, 1), np.float32)


def droplets(random: np.random.Generator, samples: int, per_second: int = 70) -> npt.NDArray[np.float64]:
    """(2, samples) of short ringing clicks, few loud ones and many soft ones, left, right and between."""
    sound = np.zeros((2, samples))
    time = np.arange(int(0.03 * SAMPLE_RATE)) / SAMPLE_RATE
    for begin in random.integers(0, samples - len(time), per_second * SECONDS):
        hertz, decay = random.uniform(900, 5000), random.uniform(0.001, 0.005)
        click = np.sin(2 * math.pi * hertz * time) * np.exp(-time / decay) * random.lognormal(-4.3, 0.7)
        side = random.uniform(0, math.pi / 2)
        sound[:, begin : begin + len(time)] += np.outer((math.cos(side), math.sin(side)), click)
    return sound


def write(path: Path, pictures: Iterable[Picture], sound: Sound, crf: int) -> None:
    """One clip: H.264 in BT.709 colours of limited range, and AAC."""
    import av

    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        # One thread, since x264 decides otherwise with each number of them.
        options = {"crf": str(crf), "preset": "slower", "threads": "1"}
        video: Any = container.add_stream("libx264", rate=FRAME_RATE, options=options)
        audio: Any = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", bit_rate=96_000)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = video.codec_context
        context.time_base = Fraction(1, FRAME_RATE)
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        for pts, picture in enumerate(pictures):
            container.mux(video.encode(_video_frame(picture, pts)))
        container.mux(video.encode(None))
        container.mux(audio.encode(_audio_frame(sound)))
        container.mux(audio.encode(None))


def _video_frame(picture: Picture, pts: int) -> Any:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    rgb = av.VideoFrame.from_ndarray((picture * 255).round().astype(np.uint8), "rgb24")
    # All four are named, since libav would take BT.601 for a picture of this size.
    frame = rgb.reformat(
        format="yuv420p",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )
    frame.pts, frame.time_base = pts, Fraction(1, FRAME_RATE)
    return frame


def _audio_frame(sound: Sound) -> Any:
    import av

    frame = av.AudioFrame.from_ndarray(sound, "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    return frame


def main() -> None:
    """Write both clips into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out: Path = parser.parse_args().out
    near = nearness()
    scene = overcast(photograph(), near)
    clean = [filmed(scene, near, pose) for pose in poses()]
    sound = rain_noise()
    write(out / "rainy-temple-clean.mp4", clean, sound, crf=16)
    write(out / "rainy-temple.mp4", rained_on(clean), sound, crf=21)


if __name__ == "__main__":
    main()
