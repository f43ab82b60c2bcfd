"""What deraining is worth to what watches a camera: alarms of motion detectors, and people that are found.

Five frames a second, as Frigate looks, of a camera that stands still: three photographs, in which nothing moves, and
`pedestrians`, in which people walk. It rains on each in three ways; the camera's noise is added and all is put through
H.264. Derained is that by `fast` with the settings of a live stream, at full and at half the size. The two clips of
real rain, of a camera nearly still, have no clean version and last two seconds, so they have shares and no rates.

Detectors: the difference of consecutive frames, and MOG2 with OpenCV's defaults; both ring where what has changed holds
a spot of `SPOT` of the picture, once opened with 3 x 3 pixels. An alarm is the first frame that rings, after which the
detector is silent for ten seconds, so there are at most 360 an hour. People are found by OpenCV's HOG detector (Dalal
and Triggs, CVPR 2005), a linear classifier of 2005 and no neural network, on the picture at its size; against what it
finds in the clean frames it is told how much of that it finds again, and what else.

OpenCV 5 has no HOG any more: pip install --target DIR 'opencv-python-headless<5', and PYTHONPATH=DIR. Writes
alarms.json.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from rainy_clips import HELD_OUT_PHOTOS, RAINS, rained_on
from results import DATA, load, save
from through import live, picture
from torch import Tensor

from streamderain.config import LiveConfig
from streamderain.engine.engine import load_network
from streamderain.frames import Effort, Network
from streamderain.media.images import compressed, list_images, read_clip, read_image

FRAME_RATE = 5
HEIGHT, WIDTH = 360, 480
PHOTOS = (2, 6, 13)
NOISE = 0.006
CRF = 23
SPOT = 0.001
DIFFERENCE = 25
WARM_UP = 2 * FRAME_RATE
"""Frames that are not counted: background models begin to learn."""
SILENT = 10 * FRAME_RATE
SAME = 0.5
"""Overlap over union from which on two boxes are one person."""

Boxes = list[tuple[int, int, int, int]]


@dataclass
class Found:
    """What the detectors made of one version."""

    frames: int = 0
    rings: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)
    people: list[Boxes] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what was made of another clip."""
        self.frames += other.frames
        for mine, others in ((self.rings, other.rings), (self.alarms, other.alarms)):
            for name, count in others.items():
                mine[name] = mine.get(name, 0) + count
        self.people += other.people


def differences(greys: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Where each frame but the first is another than the one before."""
    calm = [cv2.GaussianBlur(grey, (5, 5), 0) for grey in greys]
    for before, now in pairwise(calm):
        yield cv2.threshold(cv2.absdiff(before, now), DIFFERENCE, 255, cv2.THRESH_BINARY)[1]


def foregrounds(pictures: list[np.ndarray]) -> Iterator[np.ndarray]:
    """What MOG2 takes for foreground, its shadows left out, in each frame but the first."""
    model = cv2.createBackgroundSubtractorMOG2()
    for number, each in enumerate(pictures):
        mask = cv2.threshold(model.apply(each), 200, 255, cv2.THRESH_BINARY)[1]
        if number:
            yield mask


def rings(mask: np.ndarray) -> bool:
    """Whether a detector of motion rings."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, spots, _ = cv2.connectedComponentsWithStats(opened)
    return bool((spots[1:, cv2.CC_STAT_AREA] >= SPOT * mask.size).any())


def alarms(ringing: list[bool]) -> int:
    """How often somebody would be told."""
    count, silent_until = 0, 0
    for number, each in enumerate(ringing):
        if each and number >= silent_until:
            count, silent_until = count + 1, number + SILENT
    return count


def watched(clip: Tensor, with_people: bool) -> Found:
    """What the detectors make of a clip, (T, 3, H, W) uint8 RGB."""
    pictures = [np.ascontiguousarray(each.permute(1, 2, 0).numpy()) for each in clip]
    greys = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in pictures]
    masks = {"difference": differences(greys), "MOG2": foregrounds(pictures)}
    found = Found(max(0, len(pictures) - WARM_UP))
    for name, each in masks.items():
        ringing = [rings(mask) for mask in each][WARM_UP - 1 :]
        found.rings[name], found.alarms[name] = sum(ringing), alarms(ringing)
    if with_people and hasattr(cv2, "HOGDescriptor"):
        found.people = list(people(pictures[WARM_UP:]))
    return found


def people(pictures: list[np.ndarray]) -> Iterator[Boxes]:
    """Where HOG sees people, left, top, width, height."""
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    for each in pictures:
        boxes, weights = hog.detectMultiScale(each, winStride=(8, 8), padding=(8, 8), scale=1.05)
        yield [tuple(map(int, box)) for box, weight in zip(boxes, np.ravel(weights), strict=True) if weight > 0.5]


def against(found: list[Boxes], clean: list[Boxes]) -> dict[str, Any]:
    """How many of the clean frames' people are found again, and how many more."""
    again = sum(sum(any(overlap(one, other) >= SAME for one in mine) for other in theirs)
                for mine, theirs in zip(found, clean, strict=True))  # fmt: skip
    more = sum(sum(all(overlap(one, other) < SAME for other in theirs) for one in mine)
               for mine, theirs in zip(found, clean, strict=True))  # fmt: skip
    return {"again": again, "of": sum(map(len, clean)), "more": more}


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Intersection over union of two boxes."""
    width, height = (
        max(0, min(one[at] + one[at + 2], other[at] + other[at + 2]) - max(one[at], other[at])) for at in (0, 1)
    )
    both = width * height
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def filmed(clip: Tensor, seed: int) -> Tensor:
    """A clip as a camera would send it."""
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(seed)) * 255 * NOISE
    return compressed((clip + noise).round().clamp_(0, 255).to(torch.uint8), CRF)


def scenes(seconds: int) -> Iterator[tuple[str, Tensor]]:
    """Name and clean frames: nothing moves, or people do."""
    photos = list_images(DATA / "train" / "clean")[-HELD_OUT_PHOTOS:]
    for number in PHOTOS:
        photo = read_image(photos[number]).float()[None]
        scale = max(HEIGHT / photo.shape[-2], WIDTH / photo.shape[-1])
        large = torch.nn.functional.interpolate(photo, scale_factor=scale, mode="bilinear", antialias=True)
        still = large[0, :, :HEIGHT, :WIDTH].round().to(torch.uint8)
        yield "nothing moves", still.expand(seconds * FRAME_RATE, -1, -1, -1)
    # Ten frames a second, and a part in which people are tall enough for HOG.
    shown = read_clip(DATA / "clips" / "clean" / "pedestrians.mp4", 10 * seconds)[::2]
    yield "people walk", shown[..., 100 : 100 + HEIGHT, 144 : 144 + WIDTH].contiguous()


def versions(network: Network, rainy: Tensor) -> dict[str, Tensor]:
    """The rainy clip and what deraining makes of it."""
    return {"rainy": rainy} | {
        f"derained{name}": torch.stack([picture(pair.clean) for pair in live(network, rainy, FRAME_RATE, effort)])
        for name, effort in (("", Effort.FULL), (" at half size", Effort.HALF))
    }


def made(network: Network, seconds: int) -> list[dict[str, Any]]:
    """The rows of the clips that are made here: scene, rain, version."""
    totals: dict[tuple[str, str, str], Found] = {}
    for number, (scene, clean) in enumerate(scenes(seconds)):
        with_people = scene == "people walk"
        dry = watched(filmed(clean, number), with_people)
        for kind, rain in RAINS.items():
            totals.setdefault((scene, kind, "clean"), Found()).add(dry)
            rainy = filmed(rained_on(clean, rain, FRAME_RATE), number)
            for version, clip in versions(network, rainy).items():
                totals.setdefault((scene, kind, version), Found()).add(watched(clip, with_people))
    return [
        {"scene": scene, "rain": kind, "version": version, "seconds": found.frames / FRAME_RATE,
         "ringing": {name: count / found.frames for name, count in found.rings.items()},
         "alarms_an_hour": {name: 3600 * FRAME_RATE * count / found.frames for name, count in found.alarms.items()},
         "people": against(found.people, totals[scene, kind, "clean"].people) if found.people else None}
        for (scene, kind, version), found in totals.items()
    ]  # fmt: skip


def real(network: Network) -> list[dict[str, Any]]:
    """Shares of frames that ring in real rain, every frame looked at."""
    rows = []
    for name in ("terrace", "courtyard"):
        rainy = read_clip(DATA / "clips" / "real" / f"{name}.mp4", 60)
        for version, clip in versions(network, rainy).items():
            found = watched(clip, with_people=False)
            ringing = {each: count / found.frames for each, count in found.rings.items()}
            rows.append({"clip": name, "version": version, "frames": found.frames, "ringing": ringing})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--seconds", type=int, default=32, help="of each scene")
    parser.add_argument("--parts", nargs="+", choices=("made", "real"), default=["made", "real"],
                        help="what is run; the other stays as it is in alarms.json")  # fmt: skip
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = load_network(LiveConfig(model=arguments.model, device="cpu"))
    kept = {} if len(arguments.parts) == 2 else load("alarms")
    about = {"model": arguments.model, "size": f"{WIDTH}x{HEIGHT}", "fps": FRAME_RATE}
    loads = kept.get("load_at_begin", {}) | dict.fromkeys(arguments.parts, os.getloadavg()[0])
    found = {"made": kept.get("made"), "real": kept.get("real"), "seconds": kept.get("seconds")}
    if "made" in arguments.parts:
        found |= {"made": made(network, arguments.seconds), "seconds": arguments.seconds}
    if "real" in arguments.parts:
        found["real"] = real(network)
    save("alarms", {**about, **found, "load_at_begin": loads})


if __name__ == "__main__":
    main()
