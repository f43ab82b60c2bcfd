"""Record: one frame on its way through the engine, with all that becomes known of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

from streamderain.frames import Effort, Event, Frame


@dataclass(eq=False)
class Record:
    """`frame` as it was decoded, on the host, and beside it, on the network's device, what the stations find in turn.

    `data`: its planes, (layout.samples,), derained ones in the end. `seen`: what `Eyes` made of it. `clean`: the
    network's answer, (1, 3, H, W) float RGB in 0..1. `change`: what is added to the planes, as that. `moment`: what
    a blender is given of it. Each is valid on the device after `ready`. One of no `effort` leaves as it came.
    """

    frame: Frame
    data: Tensor
    ready: Event
    seen: Any = field(init=False)
    clean: Tensor = field(init=False)
    change: Tensor = field(init=False)
    moment: Any = field(init=False)
    effort: Effort = Effort.FULL

    @property
    def scene(self) -> Hashable:
        """What frames that have anything in common share."""
        return self.frame.scene, self.frame.layout


Batch: TypeAlias = list[Record]
"""Consecutive frames of one layout, which stations work on together."""
