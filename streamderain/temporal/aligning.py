"""Neighbouring frames moved onto the current one by the motion of each pair of consecutive frames, which is found once.

The way to a farther neighbour is composed of those in between. On a CPU, with OpenCV alone: pictures are uint8 RGB
(H, W, 3), flows float32 (h, w, 2), right and down in pixels of their own size, which is that of `luma_of`. Networks
are trained on what comes out of here and run on it. Keeps nothing, so any thread may call it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
Field: TypeAlias = NDArray[np.float32]

LARGEST_SIDE = 480
"""Pixels that no side of a luma is longer than."""

SMALLEST_SIDE = 16
"""Pixels under which nothing is taken to move: long ones of 12 or 13 make OpenCV's DIS read beyond their end."""


def opencv() -> Any:
    """OpenCV, loaded when it is first used; its own types ask more of arrays than it does."""
    import cv2

    return cv2


TURNS = 2
"""Steps in which a flow is turned around; more change nothing."""


class Ways:
    """The motion between two consecutive frames, of their lumas, each way found when it is first asked for: a stream
    that knows the past alone asks for the way back.
    """

    def __init__(self, earlier: Picture, later: Picture) -> None:
        self._earlier, self._later = earlier, later

    @cached_property
    def forth(self) -> Field:
        """Where in the later one the pixels of the earlier are."""
        return consecutive_flow(self._earlier, self._later)

    @cached_property
    def back(self) -> Field:
        """Where in the earlier one the pixels of the later are."""
        return consecutive_flow(self._later, self._earlier)

    @property
    def known_forth(self) -> Field | None:
        """`forth` where somebody has asked for it."""
        return self.__dict__.get("forth")


class WaysByOne(Ways):
    """The same by one search, from where it is known `about` on: the way there is turned around by fixed points (Chen
    et al., Medical Physics 35, 2008). Where it leads from nowhere, the two do not agree.
    """

    def __init__(self, earlier: Picture, later: Picture, about: Field | None = None) -> None:
        super().__init__(earlier, later)
        self._about = about

    @cached_property
    def forth(self) -> Field:
        """Where in the later one the pixels of the earlier are."""
        return consecutive_flow(self._earlier, self._later, self._about)

    @cached_property
    def back(self) -> Field:
        """Where in the earlier one the pixels of the later are."""
        back = -self.forth
        for _ in range(TURNS):
            back = -moved(self.forth, places_of(back, *back.shape[:2]))
        return back


def luma_of(picture: Picture) -> Picture:
    """What motion is looked for in: (H, W, 3) -> (h, w) grey, half the size or, by further halves, smaller."""
    height, width = picture.shape[:2]
    height, width = -(-height // 2), -(-width // 2)
    while max(height, width) > LARGEST_SIDE:
        height, width = -(-height // 2), -(-width // 2)
    small: Picture = opencv().resize(_grey(picture), (width, height), interpolation=opencv().INTER_AREA)
    return small


def _grey(picture: Picture) -> Picture:
    grey: Picture = opencv().cvtColor(picture, opencv().COLOR_RGB2GRAY)
    return grey


def consecutive_flow(here: Picture, there: Picture, about: Field | None = None) -> Field:
    """Where in the luma `there` each pixel of `here` is: (h, w) twice -> (h, w, 2). Where it is known `about`, as that,
    the search begins there, at its last step.

    DIS (Kroeger et al., ECCV 2016), its fast preset with the last step to half of the luma's size, which people who
    walk need: without it they cost up to 1.9 dB. Patches stand farther apart for it, and are refined longer.
    """
    if min(here.shape) < SMALLEST_SIDE:
        return np.zeros((*here.shape, 2), np.float32)
    # Made anew, which takes nothing, as one is no two threads'.
    dis = opencv().DISOpticalFlow.create(opencv().DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(1)
    dis.setPatchStride(6)
    dis.setVariationalRefinementIterations(8)
    if about is not None:
        dis.setCoarsestScale(1)
        dis.setGradientDescentIterations(8)
        about = about.copy()
    flow: Field = dis.calc(here, there, about)
    return flow


def ways_through(pictures: Sequence[Picture]) -> list[Ways | None]:
    """The motion between each picture and the next, None where the two are alike."""
    lumas = [luma_of(picture) for picture in pictures]
    return [
        None if np.array_equal(*pair) else Ways(*some_lumas)
        for pair, some_lumas in zip(pairwise(pictures), pairwise(lumas), strict=True)
    ]


def composed(first: Field, second: Field) -> Field:
    """The flow from a to c, where `first` goes from a to b and `second` from b to c, all (h, w, 2)."""
    onward: Field = first + moved(second, places_of(first, *first.shape[:2]))
    return onward


def moved(there: Any, places: Field, cubic: bool = False) -> Any:
    """`there` read at `places`, (H, W, 2) in pixels from its left and top; beyond its border the nearest is read."""
    cv2 = opencv()

    if not cubic:
        return cv2.remap(there, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # In floats, as OpenCV takes a third longer for bytes, of which it makes the same.
    sharp = cv2.remap(there.astype(np.float32), places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return cv2.addWeighted(sharp, 1, sharp, 0, 0, dtype=cv2.CV_8U)


def picture_moved(there: Picture, places: Field) -> Picture:
    """`moved` for RGB, (H, W, 3): by linear interpolation, and its light by cubic interpolation, which keeps the grain.

    In colour that is not seen, and cubic interpolation of all three takes half as long again.
    """
    cv2 = opencv()

    # Of four channels, as OpenCV takes twice as long for three.
    smooth = moved(cv2.cvtColor(there, cv2.COLOR_RGB2RGBA), places)
    light, sharp = cv2.cvtColor(smooth, cv2.COLOR_RGBA2GRAY), moved(_grey(there), places, cubic=True)
    more, less = (cv2.cvtColor(cv2.subtract(*each), cv2.COLOR_GRAY2RGB) for each in ((sharp, light), (light, sharp)))
    made: Picture = cv2.subtract(cv2.add(cv2.cvtColor(smooth, cv2.COLOR_RGBA2RGB), more), less)
    return made


def places_of(flow: Field, height: int, width: int) -> Field:
    """Where a picture of that size is read to be moved by `flow`, (h, w, 2): (height, width, 2) pixels."""
    cv2 = opencv()

    # Stretched while it is small, and added by OpenCV: numpy takes four times as long.
    stretch = np.diag([width / flow.shape[1], height / flow.shape[0]])
    large = cv2.resize(cv2.transform(flow, stretch), (width, height), interpolation=cv2.INTER_LINEAR)
    places: Field = cv2.add(large, _places(height, width), dst=large)
    return places


def flows_from(current: int, ways: Sequence[Ways | None]) -> list[Field | None]:
    """The flow from frame `current` of a window to each of its frames, of the `ways` between each and the next.

    None stands for the frame itself, and where the two are one picture.
    """
    flows: list[Field | None] = [None] * (len(ways) + 1)
    for number in range(current, len(ways)):
        way = ways[number]
        flows[number + 1] = _onward(flows[number], way.forth if way else None)
    for number in range(current, 0, -1):
        way = ways[number - 1]
        flows[number - 1] = _onward(flows[number], way.back if way else None)
    return flows


def _onward(flow: Field | None, step: Field | None) -> Field | None:
    if flow is None or step is None:
        return flow if step is None else step
    return composed(flow, step)


def aligned_window(pictures: Sequence[Picture], current: int, ways: Sequence[Ways | None]) -> list[Picture]:
    """Frames of one size in order of time, each moved onto frame `current`; that one stays what it is.

    `ways` has the motion between each frame and the next, one fewer than there are frames, None where one of the two is
    a copy of the other. What moved out of the picture is filled from its edge.
    """
    height, width = pictures[current].shape[:2]
    aligned = []
    for number, (picture, flow) in enumerate(zip(pictures, flows_from(current, ways), strict=True)):
        if flow is None:
            aligned.append(picture)
        elif number and picture is pictures[number - 1] and number - 1 > current:
            aligned.append(aligned[-1])
        else:
            aligned.append(picture_moved(picture, places_of(flow, height, width)))
    return aligned


def median_of(pictures: Sequence[Picture]) -> Picture:
    """The middle value of each sample, of an even number the lower one: T times the same shape -> that shape.

    An odd-even sort of minima and maxima.
    """
    present = pictures[len(pictures) // 2]
    # At the end of what is known, copies of the present stand for what comes.
    if 2 * sum(each is present for each in pictures) > len(pictures):
        return present
    rows = list(pictures)
    for turn in range(len(rows)):
        for first in range(turn % 2, len(rows) - 1, 2):
            low, high = rows[first], rows[first + 1]
            rows[first], rows[first + 1] = opencv().min(low, high), opencv().max(low, high)
    return rows[(len(rows) - 1) // 2]


def network_window(pictures: Sequence[Picture], current: int, ways: Sequence[Ways | None]) -> list[Picture]:
    """What an aligned network is given of a window: its frames, aligned, and their medians, in the order of
    `networks.alignment.medians`: of the past and the present, where there are two frames before it; of all aligned
    frames; and of the frames as they came.
    """
    moved = aligned_window(pictures, current, ways)
    last = [median_of(moved[current - 2 : current + 1])] if current >= 2 else []
    return [*moved, *last, median_of(moved), median_of(pictures)]


def planes_of(pictures: Sequence[Picture], planes: Picture | None = None) -> Picture:
    """K pictures (H, W, 3) as a network takes them: (K, 3, H, W), in `planes` where there are such."""
    if planes is None:
        planes = np.empty((len(pictures), 3, *pictures[0].shape[:2]), np.uint8)
    for picture, into in zip(pictures, planes, strict=True):
        opencv().split(picture, list(into))
    return planes


def picture_of(planes: Sequence[Picture]) -> Picture:
    """Three planes (H, W) -> (H, W, 3)."""
    made: Picture = opencv().merge(list(planes))
    return made


def is_available() -> bool:
    """Whether OpenCV, which all of this needs, is installed."""
    return importlib.util.find_spec("cv2") is not None


@lru_cache(maxsize=8)
def _places(height: int, width: int) -> Field:
    """Each pixel's own place: (height, width, 2)."""
    places = np.empty((height, width, 2), np.float32)
    places[..., 0] = np.arange(width)
    places[..., 1] = np.arange(height)[:, None]
    return places
