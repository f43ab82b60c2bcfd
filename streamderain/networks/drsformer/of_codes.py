"""The whole network as one function of 8-bit codes, as int8 wants it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamderain.networks.drsformer.alignment import candidate_count
from streamderain.networks.drsformer.fused import fused
from streamderain.networks.drsformer.network import DRSformer

LEAVES = 2
"""Channels of the stem that say how far a median leaves the current frame."""


class OfCodes(nn.Module):
    """What `entry_of_codes`, `trunk` and `joined` of an aligned network make together, with one difference: the first
    convolution reads the codes themselves, medians in the place of how far they leave the current frame. What it is
    given then are bytes, which int8 holds exactly, and nothing in float is made of all pictures.
    """

    def __init__(self, network: DRSformer) -> None:
        super().__init__()
        self.variant = network.variant
        self.quick = fused(network)
        self.quick.patch_embed.proj = self._of_pictures(self.quick.patch_embed.proj)

    def _of_pictures(self, entry: nn.Conv2d) -> nn.Conv2d:
        """The first convolution for frames and medians as they are, where `entry` is the one for frames and leaves at
        one over the scale, each pixel a square of them: it strides over the squares instead.
        """
        variant, scale = self.variant, self.variant.scale
        frames, medians = variant.frames, candidate_count(variant.past) - 1
        weights = entry.weight.new_zeros(len(entry.weight), frames + medians, 3, scale, scale, 3, 3)
        pictures, leaves = torch.split(entry.weight, [3 * frames * scale**2, LEAVES * scale**2], dim=1)
        weights[:, :frames] = pictures.reshape(-1, frames, 3, scale, scale, 3, 3)
        # A leave is the mean over the colours of a median less the current frame.
        share = leaves.reshape(-1, LEAVES, 1, scale, scale, 3, 3) / 3
        weights[:, -LEAVES:] += share
        weights[:, variant.past] -= share.sum(dim=1)
        side = 3 * scale
        made = nn.Conv2d(3 * (frames + medians), len(weights), side, stride=scale, padding=scale)
        # (..., y and x in a square, y and x of squares) -> (..., y of a square, y in it, x of it, x in it)
        made.weight.data = weights.permute(0, 1, 2, 5, 3, 6, 4).reshape(len(weights), -1, side, side).contiguous()
        made.bias = entry.bias
        return made

    def forward(self, codes: Tensor) -> Tensor:
        """uint8 (N, 3 * pictures, H, W), see entry_of_codes -> (N, 3, H, W) in 0..1: the current frame."""
        quick, past = self.quick, self.variant.past
        features = quick.features(quick.views(codes.float() * (1 / 255)))
        pictures = codes.view(len(codes), -1, 3, *codes.shape[-2:])
        choices = torch.cat((pictures[:, past : past + 1], pictures[:, self.variant.frames :]), dim=1)
        votes, added = (quick.agreed(quick.shuffled(each(features))) for each in (quick.vote, quick.output))
        return quick.chosen(choices.float() * (1 / 255), votes) + added
