"""Rain behind which the picture pales: a veil of one density or one that thickens with depth, streaks before it.

Veil says what physics makes of a rate; this is what pictures on the net show, of any density.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamderain.rain.falling import sky_of
from streamderain.rain.painted import PaintedRain
from streamderain.rain.veil import plausible_depth

BACKDROP_METRES = 100.0


@dataclass(frozen=True)
class Haze:
    """`loss` is the share of its light that the furthest thing loses, 0..1, `whiteness` how far the light that
    comes instead leaves the picture's own sky (0) for white (1). `horizon_heights` is where the ground begins to
    come nearer, in heights of the picture from its top; with None all is equally far.
    """

    loss: float
    whiteness: float
    horizon_heights: float | None = None

    def on(self, clean: Tensor) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, through the haze; same shape (Koschmieder, 1924).

        In the picture's gamma, as those who paint haze do it.
        """
        sky = sky_of(clean)
        airlight = sky + self.whiteness * (1 - sky)
        return airlight + (clean - airlight) * self.transmission(*clean.shape[-2:])

    def transmission(self, height: int, width: int) -> Tensor:
        """The share of light that comes through, (H, W), 1 - `loss` at the least."""
        if self.horizon_heights is None:
            return torch.full((height, width), 1 - self.loss)
        depth = plausible_depth(height, width, 1.2 * height, BACKDROP_METRES, self.horizon_heights)
        return (1 - self.loss) ** (depth / BACKDROP_METRES)


@dataclass(frozen=True)
class VeiledRain:
    """`rain` in front of `haze`, which stays as it is while the rain falls."""

    haze: Haze
    rain: PaintedRain

    def on(self, clean: Tensor, seconds: float) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, in haze and rain at the moment `seconds`; same shape."""
        return self.rain.on(self.haze.on(clean), seconds)
