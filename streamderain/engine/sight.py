"""What is seen of a frame, and how a network is given windows of it: by OpenCV on a CPU, by torch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.engine.blend import Moment, TemporalBlender
from streamderain.engine.blend_on_device import DeviceBlender, DeviceMoment
from streamderain.engine.colour import to_picture, to_rgb
from streamderain.frames import Network, PixelLayout, takes_aligned
from streamderain.temporal.aligning import (
    Picture,
    Ways,
    WaysByOne,
    luma_of,
    network_window,
    opencv,
    picture_of,
    planes_of,
)
from streamderain.temporal.motion import Gauge
from streamderain.temporal.motion import Ways as DeviceWays


class Eyes(Protocol):
    """How frames are seen; what is seen of one is a tensor or a Sight."""

    def see(self, data: Tensor, layout: PixelLayout) -> Sequence[Any]:
        """What is seen of each of N frames, of their planes, (N, layout.samples)."""

    def of_picture(self, picture: Tensor) -> Any:
        """What is seen of a frame that has no planes, of its picture, uint8 RGB (3, H, W)."""

    def halved(self, seen: Any) -> Any:
        """The same at half the size, odd sides rounded up."""

    def join(self, rows: Sequence[Sequence[Any]]) -> Tensor:
        """The windows of several frames, each a row in order of time, as a network takes them."""

    def rainy(self, seen: Any) -> Tensor:
        """(1, 3, H, W) float RGB in 0..1, the caller's own."""

    def moment(self, seen: Any, clean: Tensor) -> Any:
        """What a blender is given of a frame, of what was seen of it and `clean`, (1, 3, H, W) float RGB in 0..1."""

    def blender(self) -> Blender:
        """One for a stream of frames."""


class Blender(Protocol):
    """Brings a frame nearer to what its neighbours agree on."""

    def added(self, strength: float, before: Sequence[Any], present: Any, after: Sequence[Any]) -> Tensor | None:
        """What blending adds to the clean picture, (1, 3, H, W) in units of 0..1, or None for nothing.

        `strength` is how far it goes, 0 to 1; the moments of neighbours stand in order of time.
        """


class Sight:
    """A frame as a CPU sees it: `picture`, uint8 RGB (H, W, 3), and the motion from frames before it, found once."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self._ways: WeakKeyDictionary[Sight, Ways] = WeakKeyDictionary()

    @cached_property
    def luma(self) -> Picture:
        """What motion is looked for in."""
        return luma_of(self.picture)

    @cached_property
    def half(self) -> Sight:
        """The same at half the size, whose motion is found anew, at a quarter of the cost."""
        height, width = self.picture.shape[:2]
        size = -(-width // 2), -(-height // 2)
        return Sight(opencv().resize(self.picture, size, interpolation=opencv().INTER_AREA))

    def ways_from(self, earlier: Sight) -> Ways:
        """The motion between an earlier frame and this one."""
        if earlier not in self._ways:
            self._ways[earlier] = self._found_from(earlier)
        return self._ways[earlier]

    def _found_from(self, earlier: Sight) -> Ways:
        return Ways(earlier.luma, self.luma)


class CleanSight(Sight):
    """A frame behind the network, of which `rainy` is what was before. One search tells both ways, and begins with what
    was found between the rainy frames: so what is blended gains 0.05 dB. What a network is given would lose 0.1.
    """

    def __init__(self, picture: Picture, rainy: Sight) -> None:
        super().__init__(picture)
        self._rainy = rainy

    def _found_from(self, earlier: Sight) -> Ways:
        assert isinstance(earlier, CleanSight)
        # There are none where the network was given half the size, or nothing.
        about = self._rainy._ways.get(earlier._rainy)
        return WaysByOne(earlier.luma, self.luma, about.known_forth if about else None)


class SharpEyes:
    """Sights of frames, and uint8 windows, aligned, for a network that takes them; `current` is the frame's place."""

    def __init__(self, current: int) -> None:
        self.current = current

    def see(self, data: Tensor, layout: PixelLayout) -> Sequence[Sight]:
        """See Eyes."""
        return [Sight(to_picture(each, layout)) for each in data]

    def of_picture(self, picture: Tensor) -> Sight:
        """See Eyes."""
        return Sight(picture_of(list(picture.cpu().numpy())))

    def halved(self, seen: Sight) -> Sight:
        """See Eyes."""
        return seen.half

    def join(self, rows: Sequence[Sequence[Sight]]) -> Tensor:
        """See Eyes: uint8 (N, K, 3, H, W)."""
        first, *others = (self._window(row) for row in rows)
        joined = np.empty((len(rows), len(first), 3, *first[0].shape[:2]), np.uint8)
        for window, into in zip([first, *others], joined, strict=True):
            planes_of(window, into)
        return torch.from_numpy(joined)

    def _window(self, row: Sequence[Sight]) -> list[Picture]:
        ways = [None if later is earlier else later.ways_from(earlier) for earlier, later in pairwise(row)]
        return network_window([sight.picture for sight in row], self.current, ways)

    def rainy(self, seen: Sight) -> Tensor:
        """See Eyes."""
        return torch.from_numpy(planes_of([seen.picture])) / 255

    def moment(self, seen: Sight, clean: Tensor) -> Calm:
        """See Eyes."""
        codes = picture_of([opencv().convertScaleAbs(plane, alpha=255) for plane in clean[0].numpy()])
        return Calm(Moment.of(seen.picture, codes), CleanSight(codes, seen))

    def blender(self) -> SharpBlender:
        """See Eyes."""
        return SharpBlender()


class Calm(NamedTuple):
    """A frame behind the network as a CPU sees it. Motion is found anew in it: between frames that still hold their
    rain it is worse, which would cost 0.4 dB of what blending brings.
    """

    moment: Moment
    sight: Sight


class SharpBlender:
    """Blends by the motion between the clean frames."""

    def __init__(self) -> None:
        self._blender = TemporalBlender(0.0)

    def added(self, strength: float, before: Sequence[Calm], present: Calm, after: Sequence[Calm]) -> Tensor | None:
        """See Blender."""
        if not strength:
            return None
        self._blender.strength = strength
        ways = [later.sight.ways_from(earlier.sight) for earlier, later in pairwise([*before, present, *after])]
        past, future = ([each.moment for each in side] for side in (before, after))
        change = self._blender(past, present.moment, future, ways)
        return None if change is None else torch.from_numpy(change)[None].div_(255)


class PlainEyes:
    """Tensors, (3, H, W) float RGB in 0..1, on any device, and windows of frames as they came."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def see(self, data: Tensor, layout: PixelLayout) -> Sequence[Tensor]:
        """See Eyes."""
        return to_rgb(data, layout).clamp(0, 1).unbind()

    def of_picture(self, picture: Tensor) -> Tensor:
        """See Eyes."""
        return picture.to(self.device).float() / 255

    def halved(self, seen: Tensor) -> Tensor:
        """See Eyes."""
        size = [-(-side // 2) for side in seen.shape[-2:]]
        return F.interpolate(seen[None], size, mode="area")[0]

    def join(self, rows: Sequence[Sequence[Tensor]]) -> Tensor:
        """See Eyes: (N, T, 3, H, W)."""
        stacked = torch.stack([picture for row in rows for picture in row])
        return stacked.view(len(rows), -1, *stacked.shape[1:])

    def rainy(self, seen: Tensor) -> Tensor:
        """See Eyes; a copy, as a view would hold all of its batch for as long as somebody holds the frame."""
        return seen[None].clone()

    def moment(self, seen: Tensor, clean: Tensor) -> DeviceMoment:
        """See Eyes."""
        return DeviceMoment.of(seen[None], clean)

    def blender(self) -> PlainBlender:
        """See Eyes."""
        return PlainBlender(self.device)


class PlainBlender:
    """Blends by the motion that it finds between the clean frames."""

    def __init__(self, device: torch.device) -> None:
        self._blender, self._motion = DeviceBlender(0.0), DeviceWays(Gauge(device))

    def added(
        self, strength: float, before: Sequence[DeviceMoment], present: DeviceMoment, after: Sequence[DeviceMoment]
    ) -> Tensor | None:
        """See Blender."""
        if not strength:
            return None
        self._blender.strength = strength
        ways = self._motion.between([each.luma for each in (*before, present, *after)])
        made: Tensor = self._blender(before, present, after, ways) - present.clean
        return made


def eyes_of(network: Network) -> Eyes:
    """The eyes that see what `network` takes."""
    if takes_aligned(network):
        return SharpEyes(network.past)
    return PlainEyes(network.device)
