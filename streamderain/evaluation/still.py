"""Real rain before a still camera: what stands behind the rain is the median over time, of what does not move.

The camera need not stand quite still: neighbouring frames are laid onto each other first. Clips are held in memory.

The median is no better than its frames: where rain covers a pixel in half of them it is in the median, too, and haze
always is. Of a still clip in drawn rain it has a PSNR of 40 dB where the rain is light, and of 31 dB where it is dense.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamderain.errors import EvaluationError
from streamderain.evaluation.evaluate import Score, upright
from streamderain.evaluation.flicker import FlickerMeter
from streamderain.evaluation.methods import Method
from streamderain.evaluation.metrics import luma
from streamderain.evaluation.pairs import VIDEO_ENDINGS
from streamderain.evaluation.profile_picture import TemporalProfile
from streamderain.media.decoder import decode
from streamderain.media.images import shown_in
from streamderain.media.source import open_source

MOST_FRAMES = 100
"""Held in memory, 92 MB of 640x480; later frames are not looked at."""

FEWEST_FRAMES = 5
"""Different ones, of which a median tells rain from what is behind it."""

WINDOW = 10
"""Frames before and after, of which the median is taken."""

STREAK = 7
"""Side in pixels of the square of whose pixels the middle one is taken before motion is looked for: streaks are
narrower. Otherwise the pixels on which most rain falls would be taken for moving ones, and left out.
"""

STEADY_CODES = 6
"""How far, in codes of grey, half of the frames may stray from the median at a pixel that does not move."""

PASSING_CODES = 12
"""How far, in codes of grey, the median of three neighbouring frames may stray from that of all of them."""

MARGIN = 5
"""Side in pixels of the square around a pixel in which nothing may move."""

LEAST_SHARE = 0.01
"""The least share of a frame's pixels that must be known to be judged; other frames are left out."""

FEATURES = 400
FEWEST_FEATURES = 12
"""With fewer to follow, the picture is taken to stand still."""

LEAST_AGREEING = 0.4
"""The least share of the features that follow one homography; with fewer, two frames are taken for different scenes."""

STANDING_PX = 0.1
"""A camera that moves by less from frame to frame, in every quarter of the picture, is taken to stand still: rain
moves single corners by more, and what need not be interpolated stays sharp.
"""

REPEAT_CODES = 2
"""The most by which nearly all pixels of a repeated frame differ, after another round of encoding."""

Picture = npt.NDArray[np.uint8]
Homography = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StillTruth:
    """For a clip of T frames: what it would look like without rain, uint8 RGB (T, 3, H, W), and where that can be
    believed, bool (T, 1, H, W).
    """

    pictures: Tensor
    still: Tensor

    @property
    def share(self) -> float:
        """The share of the pixels that are believed."""
        return float(self.still.float().mean())


def find_videos(rainy: Path, clean: Path | None = None) -> list[Path]:
    """The video that a user names, or those in a folder. Raises EvaluationError where there is none, and for `clean`,
    which has no place here.
    """
    if clean is not None:
        raise EvaluationError(
            f"{clean} is not needed with --still, which finds the truth in {rainy} alone; leave it out"
        )
    if rainy.is_file():
        return [rainy]
    found = [path for path in shown_in(rainy) if path.suffix.lower() in VIDEO_ENDINGS] if rainy.is_dir() else []
    if not found:
        raise EvaluationError(f"{rainy} is no video, and no folder with videos; allowed: {', '.join(VIDEO_ENDINGS)}")
    return found


def evaluate_still(
    videos: Sequence[Path],
    methods: Sequence[Method],
    report: Callable[[Score], None] = lambda score: None,
    frames: int | None = None,
    plot: Path | None = None,
) -> list[Score]:
    """Score every method on each video against the median over time: PSNR over the pixels that do not move.

    Looks at the first `frames` frames, MOST_FRAMES at most. `report` gets each score as it is made; `plot` is a folder
    for temporal profiles: rainy, derained, and what is taken for the truth. Raises EvaluationError for a video that is
    too short, or in which everything moves.
    """
    scores = []
    for video in videos:
        rainy = _read(video, min(frames or MOST_FRAMES, MOST_FRAMES))
        truth = still_truth(rainy)
        for method in methods:
            scores.append(_score(video, rainy, truth, method, plot))
            report(scores[-1])
    return scores


def _read(video: Path, frames: int) -> Tensor:
    with open_source(video) as source:
        source.drop_passengers()
        pictures = [upright(frame) for frame in islice(decode(source), frames)]
    if len({picture.shape for picture in pictures}) > 1:
        raise EvaluationError(f"{video} changes its size; cut it into videos of one size")
    return torch.cat(pictures) if pictures else torch.empty(0, 3, 0, 0, dtype=torch.uint8)


def _score(video: Path, rainy: Tensor, truth: StillTruth, method: Method, plot: Path | None) -> Score:
    meter, profile, psnrs = FlickerMeter(), TemporalProfile(), []
    with method.video(video) as pairs:
        for number, pair in enumerate(islice(pairs, len(rainy))):
            derained = upright(pair.clean)
            meter.add(derained, scene=pair.clean.scene)
            profile.add(rainy[number : number + 1], derained, truth.pictures[number : number + 1])
            if float(truth.still[number].float().mean()) >= LEAST_SHARE:
                psnrs.append(psnr_where(derained, truth.pictures[number : number + 1], truth.still[number]))
    if not psnrs:
        raise EvaluationError(f"everything moves in {video}; --still needs a camera that stands still, or nearly so")
    if plot:
        profile.write(plot, video.name, method.name)
    flicker = meter.figures()
    return Score(
        set="still",
        name=video.name,
        method=method.name,
        psnr=fmean(psnrs),
        flicker=flicker.warping_error if flicker else None,
        share=truth.share,
    )


def psnr_where(derained: Tensor, truth: Tensor, mask: Tensor) -> float:
    """PSNR on Y in dB of two pictures, uint8 RGB (1, 3, H, W), over the pixels of `mask`, bool (1, H, W)."""
    error = float((luma(derained) - luma(truth))[0][mask].square().mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def still_truth(rainy: Tensor) -> StillTruth:
    """The median over time of a stabilised clip, uint8 RGB (T, 3, H, W), and where nothing moves.

    A repeated frame gets the truth of the one that it repeats, and counts once in medians. Raises EvaluationError for
    fewer than FEWEST_FRAMES different frames.
    """
    pictures = [np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) for frame in rainy]
    greys = [_grey(picture) for picture in pictures]
    firsts = list(_first_of_each(greys))
    distinct = sorted(set(firsts))
    shown = [pictures[first] for first in distinct]
    if len(distinct) < FEWEST_FRAMES:
        raise EvaluationError(f"{len(distinct)} different frames; a median over time needs {FEWEST_FRAMES} or more")
    steps = [homography(greys[first], greys[second]) for first, second in pairwise(distinct)]
    made = {first: _median_around(number, shown, steps) for number, first in enumerate(distinct)}
    return StillTruth(*(torch.stack([made[first][part] for first in firsts]) for part in (0, 1)))


def _first_of_each(greys: Sequence[Picture]) -> Iterator[int]:
    """For each frame the number of the one that it repeats, or its own."""
    first = 0
    for number, grey in enumerate(greys):
        difference = np.abs(grey.astype(np.int16) - greys[first])
        # A few pixels aside: rain that falls anew changes more of them.
        if (difference > REPEAT_CODES).mean() > 1e-4:
            first = number
        yield first


def homography(here: Picture, there: Picture) -> Homography | None:
    """How places `here` become places `there`, (3, 3), both uint8 grey (H, W); None where they show different scenes.

    Corners are followed by Lucas and Kanade; RANSAC leaves those out that rain or something that moves carried away.
    """
    import cv2

    corners = cv2.goodFeaturesToTrack(here, FEATURES, 0.001, 8)
    if corners is None:
        return np.eye(3)
    followed, found, _ = cv2.calcOpticalFlowPyrLK(here, there, corners, np.zeros_like(corners), maxLevel=4)
    first, second = corners[found[:, 0] == 1][:, 0], followed[found[:, 0] == 1][:, 0]
    if len(first) < FEWEST_FEATURES or _stands(first, second):
        return np.eye(3)
    matrix, agreeing = cv2.findHomography(first, second, cv2.RANSAC, 1.0)
    if matrix is None or agreeing.mean() < LEAST_AGREEING:
        return None
    return np.asarray(matrix, np.float64)


def _stands(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> bool:
    """Whether the corners, (N, 2) before and after, hardly move, seen over each quarter of the picture."""
    quarters = (first > np.median(first, axis=0)) @ [1, 2]
    middles = [np.median((second - first)[quarters == each], axis=0) for each in np.unique(quarters)]
    return bool(np.abs(middles).max() < STANDING_PX)


def _median_around(
    number: int, pictures: Sequence[Picture], steps: Sequence[Homography | None]
) -> tuple[Tensor, Tensor]:
    """What is behind the rain of one frame, uint8 (3, H, W), and where nothing moves, bool (1, H, W)."""
    ways = sorted(_ways(number, steps), key=lambda way: abs(way[0] - number))
    laid = [_laid(pictures[each], way) for each, way in ways]
    stack = np.stack([picture for picture, _ in laid])
    middle = np.partition(stack, len(stack) // 2, axis=0)[len(stack) // 2]
    enough = len(laid) >= FEWEST_FRAMES
    still = np.all([seen for _, seen in laid], axis=0) & _is_steady(stack) & enough
    return torch.from_numpy(middle).permute(2, 0, 1), torch.from_numpy(still)[None]


def _ways(number: int, steps: Sequence[Homography | None]) -> Iterator[tuple[int, Homography]]:
    """The frames around `number`, of its scene alone, and how its places become theirs."""
    yield number, np.eye(3)
    way = np.eye(3)
    for each in range(number, min(number + WINDOW, len(steps))):
        if (step := steps[each]) is None:
            break
        way = step @ way
        yield each + 1, way
    way = np.eye(3)
    for each in range(number - 1, max(number - WINDOW, 0) - 1, -1):
        if (step := steps[each]) is None:
            break
        way = np.linalg.inv(step) @ way
        yield each, way


def _laid(picture: Picture, way: Homography) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """`picture`, uint8 (H, W, 3), read where `way` leads, and where that is inside of it, (H, W)."""
    import cv2

    height, width = picture.shape[:2]
    if np.array_equal(way, np.eye(3)):
        return picture, np.ones((height, width), np.bool_)
    flags: Any = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(picture, way, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    whole = np.full((height, width), 255, np.uint8)
    seen = cv2.warpPerspective(whole, way, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(laid, np.uint8), seen == 255


def _is_steady(stack: Picture) -> npt.NDArray[np.bool_]:
    """Where nothing moves in frames that are laid onto each other, the nearest first: (T, H, W, 3) -> (H, W).

    Half of the frames agree with their median, rain or not. What stays in a place for more than one of three frames,
    and is no rain therefore, is somebody walking by.
    """
    import cv2

    greys = np.stack([cv2.medianBlur(_grey(picture), STREAK) for picture in stack]).astype(np.int16)
    half = len(greys) // 2
    strays = greys - np.partition(greys, half, axis=0)[half]
    spread = np.partition(np.abs(strays), half, axis=0)[half]
    steady = (spread <= STEADY_CODES) & (np.abs(np.median(strays[:3], axis=0)) <= PASSING_CODES)
    return np.asarray(cv2.erode(steady.astype(np.uint8), np.ones((MARGIN, MARGIN), np.uint8)) == 1)


def _grey(picture: Picture) -> Picture:
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
