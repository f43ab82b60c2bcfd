"""The veil of rain: drops too far away to be seen one by one dim and brighten what lies behind them.

How much light a metre of rain takes away follows from the drops' sizes; how many metres there are from a
plausible scene, as a picture tells no depth: ground that rises to the horizon, and behind it a backdrop.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.rain.falling import DROPS_PER_CUBIC_METRE_AND_MM, drop_slope, light_in_drops

EXTINCTION_EFFICIENCY = 2.0
"""A drop takes away twice the light that meets it, half of that by diffraction (van de Hulst, 1957, chapter 8)."""

CAMERA_HEIGHT_METRES = 3.0
HORIZON_SOFTNESS_HEIGHTS = 0.04
"""Things stand in front of the horizon, and the ground is not flat: no edge shows there."""

DISPLAY_GAMMA = 2.2


def extinction_per_metre(rate_mm_per_hour: float) -> float:
    """The share of light lost in a short way through rain, per metre of it.

    The drops of Marshall and Palmer's distribution cover an area of pi / 4 times its second moment, 2 N0 / slope³,
    in a cubic metre. That makes 0.365 R^0.63 per km, the 1.58 R^0.63 dB/km of ITU-R P.1814 (2007);
    Weber et al. (2015) render with 0.312 R^0.67.
    """
    square_mm = math.pi / 4 * 2 * DROPS_PER_CUBIC_METRE_AND_MM / drop_slope(rate_mm_per_hour) ** 3
    return EXTINCTION_EFFICIENCY * square_mm * 1e-6


def plausible_depth(
    height: int, width: int, focal_px: float, backdrop_metres: float, horizon_heights: float = 0.5
) -> Tensor:
    """Metres to what each pixel may show, (H, W): no more than the backdrop, less on the ground below the horizon.

    The ground lies `CAMERA_HEIGHT_METRES` below the camera. Nearness, one over the depth, grows with the rows
    below the horizon, which is `horizon_heights` of the picture's height from its top; it may lie outside.
    """
    below_horizon = (torch.arange(height) + 0.5) / height - horizon_heights
    softly = HORIZON_SOFTNESS_HEIGHTS * F.softplus(below_horizon / HORIZON_SOFTNESS_HEIGHTS)
    nearness = 1 / backdrop_metres + softly * height / (CAMERA_HEIGHT_METRES * focal_px)
    return (1 / nearness)[:, None].expand(height, width)


class Veil:
    """The far rain in front of pictures of `height` by `width` pixels."""

    def __init__(
        self,
        rate_mm_per_hour: float,
        height: int,
        width: int,
        focal_heights: float = 1.2,
        backdrop_metres: float = 150.0,
        horizon_heights: float = 0.5,
        density: float = 1.0,
    ) -> None:
        """`density` multiplies the extinction that the physics gives; `focal_heights` is that of Rain."""
        depth = plausible_depth(height, width, focal_heights * height, backdrop_metres, horizon_heights)
        self.transmission = torch.exp(-density * extinction_per_metre(rate_mm_per_hour) * depth)
        """The share of its light that reaches the camera from each pixel's depth, (H, W), 0..1."""

    def on(self, clean: Tensor, whiteness: float = 0.3) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, through the veil; same shape (Koschmieder, 1924).

        What drops take away of the light they replace by their own, that of drops close by. Light adds up
        where it is linear, so the picture's gamma is undone in between.
        """
        light = light_in_drops(clean, whiteness) ** DISPLAY_GAMMA
        return light.lerp(clean**DISPLAY_GAMMA, self.transmission) ** (1 / DISPLAY_GAMMA)
