"""TemporalBlender: each derained frame and its neighbours, moved onto it, agree on what is there.

Rain that the network left in one frame is outvoted by the others; what moved out of sight takes nothing. On a CPU, with
OpenCV alone: light at full size, colour and every weight that is smooth at half the size, and all of it only where it
rains. `engine.blend_on_device` does the same with tensors. Pictures are uint8 RGB (H, W, 3), differences in codes of
0..255, Y'CbCr that of ITU-R BT.601 in full range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from streamderain.temporal.aligning import Field, Picture, Ways, composed, median_of, moved, opencv, places_of

REACH = 2
"""Neighbours on each side. The second brings 0.2 dB."""

AGREEMENT = 5.1
"""Difference from what is agreed on at which a picture's weight falls to a third."""

FULL = np.float32(255)
"""The weight of what is where it should be."""

LAST_WORD = 0.05
"""Least weight of the frame itself, so that something is left where all neighbours take no part."""

OBJECT = 7.65
"""Mean difference over a `WIDE` square at which two thirds of the blending are given up: it is no streak."""

NARROW, WIDE = 3, 5
"""Sides, in pixels of half the size, of the squares over which differences are averaged, so that noise alone does not
decide.
"""

RAIN = 0.51
"""Mean change by the network from which on a surrounding counts as rained on."""

SURROUNDING = 64
"""Side in pixels of the squares in which the change is averaged; the next squares count too."""

MARGIN = 8
"""Pixels around a part that have a say in it: as many as squares and enlarged weights reach."""

PART = 2**18
"""Pixels that are blended at once, so that what is made of them stays in the cache."""

EIGHTHS = 8.0
"""Differences are counted in eighths of a code, so that bytes suffice: what they cannot hold is far from near."""

TINT = 0.5
"""How much a difference of Cr or Cb counts beside one of Y': about as much as the mean of those of R, G and B."""

TO_RGB = (1.403, 0.0), (-0.714, -0.344), (0.0, 1.773)
"""What Cr and Cb add to R, G and B."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame behind the network: `clean`, uint8 RGB (H, W, 3), and the `rain` that the network took away, float32
    (ceil(H / 64), ceil(W / 64)) in codes, its mean over large squares.
    """

    clean: Picture
    rain: Field

    @classmethod
    def of(cls, rainy: Picture, clean: Picture) -> Moment:
        """The moment of a frame before and after the network, uint8 RGB (H, W, 3); holds on to `clean` alone."""
        cv2 = opencv()

        change = cv2.absdiff(rainy, clean)
        height, width = change.shape[:2]
        columns = np.arange(0, width, SURROUNDING)
        rain = np.empty((-(-height // SURROUNDING), len(columns)), np.float32)
        for row, top in enumerate(range(0, height, SURROUNDING)):
            sums = cv2.reduce(change[top : top + SURROUNDING], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0].sum(axis=-1)
            pixels = min(SURROUNDING, height - top) * np.diff(columns, append=width)
            rain[row] = np.add.reduceat(sums, columns) / (3 * pixels)
        return cls(clean, rain)

    @cached_property
    def light(self) -> Picture:
        """Y', (H, W), of even sides: the last row and column are doubled where needed."""
        made: Picture = opencv().extractChannel(self._full, 0)
        return made

    @cached_property
    def colour(self) -> Picture:
        """Cr and Cb at half the size, (H / 2, W / 2, 2)."""
        return np.ascontiguousarray(_halved(self._full)[..., 1:])

    @cached_property
    def colour_twice(self) -> Picture:
        """`colour` as (H / 2, W / 2, 4), as OpenCV moves four channels in half the time that it takes for two."""
        made: Picture = opencv().merge(opencv().split(self.colour) * 2)
        return made

    @cached_property
    def _full(self) -> Picture:
        cv2 = opencv()

        height, width = self.clean.shape[:2]
        even = cv2.copyMakeBorder(self.clean, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        made: Picture = cv2.cvtColor(even, cv2.COLOR_RGB2YCrCb)
        return made


class _Seen(NamedTuple):
    """Where what is in one frame can be seen in the other, (h, w) of 0 and 255, for each of the `ways`."""

    ways: Ways
    forth: Picture
    back: Picture


class _Neighbour(NamedTuple):
    """A neighbour moved onto the present: its Y' (H, W), its CrCb (H / 2, W / 2, 2) and where it is seen, as that, of 0
    and 255.
    """

    light: Picture
    colour: Picture
    seen: Picture


class TemporalBlender:
    """Blends derained frames with their neighbours, `strength` of 0..1 of the way to what they agree on.

    With neighbours on both sides the median of all is what they agree on, so the frame itself can be outvoted. The
    past alone cannot outvote it: what a new thing covers looks like rain that has gone. There the neighbours only
    calm what they confirm. One blender serves one stream.
    """

    def __init__(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"{strength = }; blending is allowed from 0 to 1")
        self.strength = strength
        self._known: list[_Seen] = []

    def __call__(
        self, before: Sequence[Moment], present: Moment, after: Sequence[Moment], ways: Sequence[Ways]
    ) -> Field | None:
        """What blending with its neighbours, in order of time, adds to the `clean` picture of `present`.

        `ways` has the motion between each of [*before, present, *after] and the next, best found in the derained
        pictures: found in the rainy ones, where rain passes for motion, it costs 0.4 dB and a quarter of the calm.
        float32 RGB (3, H, W) in codes of 0..255; None where nothing changes. Colour changes at half the size, as
        cameras' and codecs' does: its noise from pixel to pixel stays.
        """
        whole: Field | None = None
        for place, change in self._parts(before, present, after, ways):
            whole = np.zeros((3, *present.clean.shape[:2]), np.float32) if whole is None else whole
            whole[:, *place] = change
        return whole

    def _parts(
        self, before: Sequence[Moment], present: Moment, after: Sequence[Moment], ways: Sequence[Ways]
    ) -> Iterator[tuple[tuple[slice, slice], Field]]:
        """Each part that changes, and by what."""
        rained_on = _rained_on(present) if self.strength and (before or after) else None
        if rained_on is None or not rained_on.any():
            return
        rained_on *= self.strength
        height, width = present.clean.shape[:2]
        neighbours = list(self._neighbours(before, after, ways))
        for inner, wide in _places(rained_on):
            crop = _doubled(wide)
            change = _change(
                present.light[crop],
                present.colour[wide],
                [_Neighbour(each.light[crop], each.colour[wide], each.seen[wide]) for each in neighbours],
                rained_on[wide],
                vote=bool(before and after),
            )
            place = _doubled(inner)
            top, left = place[0].start - crop[0].start, place[1].start - crop[1].start
            place = slice(place[0].start, min(place[0].stop, height)), slice(place[1].start, min(place[1].stop, width))
            rows, columns = place[0].stop - place[0].start, place[1].stop - place[1].start
            yield place, change[:, top : top + rows, left : left + columns]

    def _neighbours(
        self, before: Sequence[Moment], after: Sequence[Moment], ways: Sequence[Ways]
    ) -> Iterator[_Neighbour]:
        known = self._seen(ways)
        at = len(before)
        past = [(each.ways.back, each.back) for each in known[:at][::-1]]
        future = [(each.ways.forth, each.forth) for each in known[at:]]
        for moments, steps in ((before[::-1], past), (after, future)):
            flow, seen = None, None
            for there, (step, step_seen) in zip(moments, steps, strict=True):
                if flow is None:
                    flow, seen = step, step_seen
                else:
                    seen = opencv().min(seen, moved(step_seen, places_of(flow, *flow.shape[:2])))
                    flow = composed(flow, step)
                yield _brought(there, flow, seen)

    def _seen(self, ways: Sequence[Ways]) -> list[_Seen]:
        """Each of `ways` with where it is seen, which is found out once, as frames keep their ways for long."""
        known = {id(each.ways): each for each in self._known}
        self._known = [known.get(id(each)) or _Seen(each, *_both_seen(each)) for each in ways]
        return self._known


def _brought(there: Moment, flow: Field, seen: Picture) -> _Neighbour:
    cv2 = opencv()

    height, width = there.light.shape
    light = moved(there.light, places_of(flow, height, width), cubic=True)
    colour = _first_two(moved(there.colour_twice, places_of(flow, height // 2, width // 2)))
    large = cv2.resize(seen, (width // 2, height // 2), interpolation=cv2.INTER_LINEAR)
    return _Neighbour(light, colour, cv2.threshold(large, 127, 255, cv2.THRESH_BINARY)[1])


def _first_two(channels: Picture) -> Picture:
    """(h, w, 4) -> (h, w, 2)."""
    made = np.empty((*channels.shape[:2], 2), np.uint8)
    opencv().mixChannels([channels], [made], [0, 0, 1, 1])
    return made


def _change(own: Picture, tint: Picture, neighbours: Sequence[_Neighbour], share: Field, vote: bool) -> Field:
    """What a mean of all, weighted by how near each is to their median, or without `vote` to the present, would change.

    `own` is the present's Y', (H, W), and `tint` its CrCb, (H / 2, W / 2, 2); `share` of the change, (H / 2, W / 2) in
    0..1, is returned: float32 RGB (3, H, W). Weights are bytes, of which sums are exact.
    """
    cv2 = opencv()

    lights = [cv2.copyTo(each.light, _enlarged_mask(each.seen), own.copy()) for each in neighbours]
    tints = [cv2.copyTo(each.colour, each.seen, tint.copy()) for each in neighbours]
    middle, middle_tint = (_median([own, *lights]), _median([tint, *tints])) if vote else (own, tint)
    light, weights = np.zeros((2, *own.shape), np.float32)
    colour, colour_weights = np.zeros((2, *tint.shape), np.float32)
    for each, other, other_tint in zip(neighbours, lights, tints, strict=True):
        near = _nearness(_apart(other, other_tint, middle, middle_tint), NARROW, AGREEMENT)
        weight = cv2.bitwise_and(each.seen, near)
        large = _enlarged(weight)
        cv2.accumulateProduct(other, large, light)
        cv2.accumulate(large, weights)
        weight = cv2.merge((weight, weight))
        cv2.accumulateProduct(other_tint, weight, colour)
        cv2.accumulate(weight, colour_weights)
    light -= cv2.multiply(weights, own, dtype=cv2.CV_32F)
    colour -= cv2.multiply(colour_weights, tint, dtype=cv2.CV_32F)
    if vote:
        weights += cv2.LUT(cv2.absdiff(own, middle), _own_weights())
        near = _nearness(_apart(own, tint, middle, middle_tint), WIDE, OBJECT)
        share = cv2.multiply(share, near, scale=1 / FULL, dtype=cv2.CV_32F)
    else:
        weights += FULL
    light *= _enlarged(share) / weights
    colour *= (share / _halved(weights))[..., None]
    return _in_rgb(light, colour)


def _in_rgb(light: Field, colour: Field) -> Field:
    """Changes of Y', (H, W), and of Cr and Cb, (H / 2, W / 2, 2), as changes of R, G and B, (3, H, W)."""
    cv2 = opencv()

    planes = np.empty((3, *light.shape), np.float32)
    tints = [_enlarged(tint) for tint in cv2.split(colour)]
    for plane, adds in zip(planes, TO_RGB, strict=True):
        made = light
        for tint, much in zip(tints, adds, strict=True):
            made = cv2.scaleAdd(tint, much, made, dst=plane) if much else made
    return planes


def _places(rained_on: Field) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Where in `rained_on`, (H / 2, W / 2), it rains, in parts of `PART` pixels, and each with its margin."""
    cv2 = opencv()

    height, width = rained_on.shape
    rows = max(MARGIN, PART // 4 // width)
    for top in range(0, height, rows):
        left, first, columns, count = cv2.boundingRect((rained_on[top : top + rows] > 0).view(np.uint8))
        if columns:
            down, right = slice(top + first, top + first + count), slice(left, left + columns)
            yield (down, right), (_wider(down, height), _wider(right, width))


def _wider(part: slice, end: int) -> slice:
    return slice(max(0, part.start - MARGIN), min(end, part.stop + MARGIN))


def _doubled(place: tuple[slice, slice]) -> tuple[slice, slice]:
    down, right = place
    return slice(2 * down.start, 2 * down.stop), slice(2 * right.start, 2 * right.stop)


def _rained_on(moment: Moment) -> Field:
    """How surely it rains around each pixel, by what the network took away: (H / 2, W / 2) in 0..1."""
    cv2 = opencv()

    near = cv2.dilate(moment.rain, np.ones((3, 3), np.uint8))
    height, width = moment.colour.shape[:2]
    made: Field = cv2.resize(np.minimum(near / RAIN, 1), (width, height), interpolation=cv2.INTER_LINEAR)
    return made


def _both_seen(ways: Ways) -> tuple[Picture, Picture]:
    return _agreement(ways.forth, ways.back), _agreement(ways.back, ways.forth)


def _agreement(forth: Field, back: Field) -> Picture:
    """255 where the way there and back ends where it began and stays in the picture, 0 where something came between.

    Sundaram, Brox and Keutzer, ECCV 2010, eq. 5.
    """
    cv2 = opencv()

    height, width = forth.shape[:2]
    places = places_of(forth, height, width)
    returned = moved(back, places)
    length = cv2.addWeighted(_squared(forth), 0.01, _squared(returned), 0.01, 0.5)
    near = cv2.compare(_squared(cv2.add(forth, returned)), length, cv2.CMP_LT)
    inside = cv2.inRange(places, (0, 0), (width - 1, height - 1))
    made: Picture = cv2.bitwise_and(near, inside)
    return made


def _squared(flow: Field) -> Field:
    """The squared length of each vector, (h, w)."""
    right, down = opencv().split(flow)
    made: Field = right * right + down * down
    return made


def _apart(light: Picture, tint: Picture, other_light: Picture, other_tint: Picture) -> Picture:
    """How far two pictures are apart, of Y' (H, W) and CrCb (H / 2, W / 2, 2): (H / 2, W / 2) in eighths of a code."""
    cv2 = opencv()

    light_apart = _halved(cv2.convertScaleAbs(cv2.absdiff(light, other_light), alpha=EIGHTHS))
    tint_apart = cv2.transform(cv2.absdiff(tint, other_tint), np.full((1, 2), EIGHTHS * TINT))
    made: Picture = cv2.add(light_apart, tint_apart)
    return made


def _nearness(apart: Picture, side: int, scale: float) -> Picture:
    """How near what is so far `apart` is, on the mean of squares of `side` pixels: (H / 2, W / 2), at most FULL."""
    cv2 = opencv()

    mean = cv2.blur(apart, (side, side), borderType=cv2.BORDER_REPLICATE)
    made: Picture = cv2.LUT(mean, np.rint(_falling(EIGHTHS * scale)).astype(np.uint8))
    return made


@lru_cache(maxsize=4)
def _falling(scale: float) -> Field:
    """FULL * exp(-(difference / scale)^2) of each byte."""
    made: Field = FULL * np.exp(-((np.arange(256, dtype=np.float32) / np.float32(scale)) ** 2))
    return made


@lru_cache(maxsize=1)
def _own_weights() -> Field:
    return _falling(AGREEMENT) + np.float32(FULL * LAST_WORD)


def _enlarged_mask(seen: Picture) -> Picture:
    cv2 = opencv()

    made: Picture = cv2.resize(seen, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return made


def _halved(large: Any) -> Any:
    """Half as large: the means of four each."""
    cv2 = opencv()

    height, width = large.shape[:2]
    return cv2.resize(large, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _enlarged(small: Any) -> Any:
    """Twice as large."""
    cv2 = opencv()

    return cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


def _median(pictures: list[Picture]) -> Picture:
    """The middle value of an odd number of pictures; of an even one the first, the present, counts twice."""
    return median_of(pictures if len(pictures) % 2 else [*pictures, pictures[0]])
