"""The whole network as one function of 8-bit codes, as int8 wants it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamderain.networks.drsformer.alignment import candidate_count
from streamderain.networks.drsformer.fused import fused
from streamderain.networks.drsformer.network import DRSformer

LEAVES = 2
"""Channels of the stem that say how far a median leaves the current frame."""


class OfCodes(nn.Module):
    """What `entry_of_codes`, `trunk` and `joined` of an aligned network make together, with one difference: the first
    convolution reads the codes themselves, medians in the place of how far they leave the current frame. What it is
    given then are bytes, which int8 holds exactly, and nothing in float is made of eight pictures.
    """

    def __init__(self, network: DRSformer) -> None:
        super().__init__()
        self.variant = network.variant
        self.quick = fused(network)
        self.quick.patch_embed.proj = self._of_pictures(self.quick.patch_embed.proj)

    def _of_pictures(self, entry: nn.Conv2d) -> nn.Conv2d:
        """The first convolution for frames and medians, where `entry` is the one for frames and leaves."""
        variant, square = self.variant, self.variant.scale**2
        frames, medians = variant.frames, candidate_count(variant.past) - 1
        weights = entry.weight.new_zeros(len(entry.weight), frames + medians, 3, square, 3, 3)
        pictures, leaves = torch.split(entry.weight, [3 * frames * square, LEAVES * square], dim=1)
        weights[:, :frames] = pictures.reshape(-1, frames, 3, square, 3, 3)
        # A leave is the mean over the colours of a median less the current frame.
        share = leaves.reshape(-1, LEAVES, 1, square, 3, 3) / 3
        weights[:, -LEAVES:] += share
        weights[:, variant.past] -= share.sum(dim=1)
        made = nn.Conv2d(3 * square * (frames + medians), len(weights), 3, padding=1)
        made.weight.data = weights.flatten(1, 3)
        made.bias = entry.bias
        return made

    def forward(self, codes: Tensor) -> Tensor:
        """uint8 (N, 3 * pictures, H, W), see entry_of_codes -> (N, 3, H, W) in 0..1: the current frame."""
        answer = self.quick.trunk(F.pixel_unshuffle(codes, self.variant.scale).float() * (1 / 255))
        pictures = codes.view(len(codes), -1, 3, *codes.shape[-2:])
        current, medians = pictures[:, self.variant.past : self.variant.past + 1], pictures[:, self.variant.frames :]
        derained: Tensor = self.quick.joined(torch.cat((current, medians), dim=1).float() * (1 / 255), answer)
        return derained
