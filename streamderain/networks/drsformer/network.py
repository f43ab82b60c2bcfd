"""DRSformer: a U-net of transformer blocks that attend over channels and keep only the top scores.

Written from Chen et al., "Learning A Sparse Transformer Network for Effective Image Deraining",
CVPR 2023 (arXiv 2303.11950); equation numbers below are that paper's. Parameter names are those of
the published checkpoints, so that these load strictly.

Five things go beyond the paper, and all vanish at the published sizes: a pixel-unshuffled stem
(`scale` > 1), which runs the whole network at a fraction of the resolution; a window of
neighbouring frames (`past`, `future`) that enter as further input channels; their alignment
(`aligned`), with a vote of each pixel between the current frame and what the frames agree on;
residual blocks of dense convolutions in the place of the experts (`dense`) and in front of each
level's transformer blocks (`residual`), which processors run at ten times the rate of depthwise ones;
and widths of the levels (`widths`) that need not double.

Knows nothing of files, devices or video.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamderain.backends.runnable import PartedNetwork
from streamderain.networks.drsformer.alignment import aligned, candidate_count, medians
from streamderain.networks.drsformer.experts import MixtureOfExperts
from streamderain.networks.drsformer.variant import Variant
from streamderain.temporal.filters import median_over_frames

KEPT_FRACTIONS = ((1, 2), (2, 3), (3, 4), (4, 5))
"""What each of the four branches of the attention keeps of a row's scores, as numerator, denominator."""


class LayerNorm(nn.Module):
    """Normalisation over the channels of each pixel of (N, C, H, W); biased variance, epsilon 1e-5."""

    class Body(nn.Module):
        """Holds the affine part under the name that the published checkpoints give it."""

        def __init__(self, dim: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(dim))
            self.bias = nn.Parameter(torch.zeros(dim))

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = self.Body(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        pixels = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(pixels, pixels.shape[-1:], self.body.weight, self.body.bias, eps=1e-5)
        return normed.permute(0, 3, 1, 2)


class TopKSparseAttention(nn.Module):
    """Attention over channels in which each row keeps its largest scores only (TKSA, eqs. 3 to 5).

    Four branches keep 1/2, 2/3, 3/4 and 4/5 of the keys; they share the values and are added with
    learned weights.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(dim, dim * 3, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(dim * 3, dim * 3, 3, padding=1, groups=dim * 3, bias=False)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=False)
        for branch in range(1, len(KEPT_FRACTIONS) + 1):
            self.register_parameter(f"attn{branch}", nn.Parameter(torch.tensor([0.2])))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        count, channels, height, width = x.shape
        heads = self.temperature.shape[0]
        qkv = self.qkv_dwconv(self.qkv(x)).reshape(count, 3, heads, channels // heads, height * width)
        query, key, value = qkv.unbind(1)
        query = F.normalize(query, dim=-1)
        key = F.normalize(key, dim=-1)
        scores = query @ key.transpose(-2, -1) * self.temperature
        # The branches share `value`, so their attention matrices are summed before the one product.
        out = self._sparse(scores) @ value
        projected: Tensor = self.project_out(out.reshape(count, channels, height, width))
        return projected

    def _sparse(self, scores: Tensor) -> Tensor:
        """(N, heads, C, C) scores -> the weighted sum of the branches' attention matrices."""
        keys = scores.shape[-1]
        total = torch.zeros_like(scores)
        for branch, (numerator, denominator) in enumerate(KEPT_FRACTIONS, start=1):
            # A head of a single channel still keeps that one.
            kept = max(1, keys * numerator // denominator)
            top, index = scores.topk(kept, dim=-1)
            weight = self.get_parameter(f"attn{branch}")
            total = total.scatter_add(-1, index, top.softmax(dim=-1) * weight)
        return total


class MixedScaleFeedForward(nn.Module):
    """Feed-forward network that mixes 3x3 and 5x5 depthwise convolutions twice (MSFN, eq. 6)."""

    def __init__(self, dim: int, expansion: float) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        wide = hidden * 2
        self.project_in = nn.Conv2d(dim, wide, 1, bias=False)
        self.dwconv3x3 = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        self.dwconv5x5 = nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False)
        self.dwconv3x3_1 = nn.Conv2d(wide, hidden, 3, padding=1, groups=hidden, bias=False)
        self.dwconv5x5_1 = nn.Conv2d(wide, hidden, 5, padding=2, groups=hidden, bias=False)
        self.project_out = nn.Conv2d(wide, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        x = self.project_in(x)
        small_first, small_second = F.relu(self.dwconv3x3(x)).chunk(2, dim=1)
        large_first, large_second = F.relu(self.dwconv5x5(x)).chunk(2, dim=1)
        small = F.relu(self.dwconv3x3_1(torch.cat((small_first, large_first), dim=1)))
        large = F.relu(self.dwconv5x5_1(torch.cat((small_second, large_second), dim=1)))
        projected: Tensor = self.project_out(torch.cat((small, large), dim=1))
        return projected


class SparseTransformerBlock(nn.Module):
    """Attention and feed-forward, each normalised before and added to its input (STB, eqs. 1 and 2)."""

    def __init__(self, dim: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = TopKSparseAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ffn = MixedScaleFeedForward(dim, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.ffn(self.norm2(x))
        return out


class ResidualBlock(nn.Module):
    """Two dense 3x3 convolutions, added to their input; does nothing until it is trained."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(dim, dim, 3, padding=1)
        self.second = nn.Conv2d(dim, dim, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class PatchEmbedding(nn.Module):
    """3x3 convolution from the input's channels to the network's width."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, width, H, W)."""
        out: Tensor = self.proj(x)
        return out


class Downsample(nn.Module):
    """Half the resolution, from the `fine` level's channels to the `coarse` one's, in the paper twice as many."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(fine, coarse // 4, 3, padding=1, bias=False), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, fine, H, W) -> (N, coarse, H/2, W/2)."""
        out: Tensor = self.body(x)
        return out


class Upsample(nn.Module):
    """Twice the resolution, from the `coarse` level's channels to the `fine` one's, in the paper half as many."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(coarse, fine * 4, 3, padding=1, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, coarse, H, W) -> (N, fine, 2H, 2W)."""
        out: Tensor = self.body(x)
        return out


class DRSformer(PartedNetwork):
    """The whole network; what it was built from stands in `variant`.

    Rainy RGB in 0..1 -> derained RGB, which may leave 0..1 slightly; H and W are multiples of `variant.size_multiple`.
    """

    parts = ("stem", "trunk", "joined")

    def __init__(self, variant: Variant | None = None) -> None:
        super().__init__()
        self.variant = variant = variant or Variant()
        width1, width2, width3, width4 = variant.widths

        def level(depth: int, width: int) -> nn.Sequential:
            heads, expansion = variant.heads[depth], variant.expansion
            return nn.Sequential(
                *(ResidualBlock(width) for _ in range(variant.residual[depth])),
                *(SparseTransformerBlock(width, heads, expansion) for _ in range(variant.blocks[depth])),
            )

        def compensator(width: int, blocks: int) -> nn.Module:
            if variant.mefc:
                return MixtureOfExperts(width)
            return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))

        if variant.frames > 1:
            # Past and future frames enter alike, so no shape tells how many there are of each.
            self.register_buffer("window", torch.tensor([variant.past, variant.future]))
        if variant.mirrored:
            # Nor does any shape tell of it.
            self.register_buffer("mirrored", torch.tensor(1))
        self.patch_embed = PatchEmbedding((3 * variant.frames + 2 * variant.aligned) * variant.scale**2, width1)
        self.encoder_level0 = compensator(width1, variant.dense[0])
        self.encoder_level1 = level(0, width1)
        self.down1_2 = Downsample(width1, width2)
        self.encoder_level2 = level(1, width2)
        self.down2_3 = Downsample(width2, width3)
        self.encoder_level3 = level(2, width3)
        self.down3_4 = Downsample(width3, width4)
        self.latent = level(3, width4)
        self.up4_3 = Upsample(width4, width3)
        self.reduce_chan_level3 = nn.Conv2d(width3 * 2, width3, 1, bias=False)
        self.decoder_level3 = level(2, width3)
        self.up3_2 = Upsample(width3, width2)
        self.reduce_chan_level2 = nn.Conv2d(width2 * 2, width2, 1, bias=False)
        self.decoder_level2 = level(1, width2)
        self.up2_1 = Upsample(width2, width1)
        # The first level keeps both halves of the skip connection, hence twice the width.
        self.decoder_level1 = level(0, width1 * 2)
        self.refinement = compensator(width1 * 2, variant.dense[1])
        self.output = nn.Conv2d(width1 * 2, 3 * variant.scale**2, 3, padding=1, bias=False)
        if variant.aligned:
            choices = candidate_count(variant.past)
            self.vote = nn.Conv2d(width1 * 2, choices * variant.scale**2, 3, padding=1)
            nn.init.zeros_(self.vote.weight)
            # At first the current frame has nearly all of the vote.
            self.vote.bias = nn.Parameter(
                torch.tensor([4.0, *[0.0] * (choices - 1)]).repeat_interleave(variant.scale**2)
            )

    def stem(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3 * frames, H, W) -> the trunk's input, (N, channels, H / scale, W / scale), and the pictures that each
        pixel can choose from, (N, K, 3, H, W), the current frame first. Has no weights.
        """
        past, (count, _, height, width) = self.variant.past, frames.shape
        window = frames.view(count, -1, 3, height, width)
        if not self.variant.aligned:
            return self._unshuffled(self.views(frames)), window[:, past : past + 1]
        moved = aligned(window, past)
        return self.entry(moved, medians(moved, median_over_frames(window), past))

    def entry(self, moved: Tensor, middles: Tensor) -> tuple[Tensor, Tensor]:
        """What `stem` returns, of frames that lie on the current one, (N, T, 3, H, W) in 0..1, and their `medians`,
        (N, K - 1, 3, H, W).
        """
        current = moved[:, self.variant.past : self.variant.past + 1]
        # How far the medians of all frames leave the current one says where it rains, and where nothing moves.
        leave = (middles[:, -2:] - current).mean(dim=2)
        stem = self._unshuffled(self.views(torch.cat((moved.flatten(1, 2), leave), dim=1)))
        return stem, torch.cat((current, middles), dim=1)

    def forward_aligned(self, moved: Tensor, unmoved: Tensor) -> Tensor:
        """What `forward` returns, for frames that were aligned elsewhere (see temporal.aligning).

        `moved`: (N, T, 3, H, W) RGB in 0..1, the window in order of time, each frame moved onto the current one.
        `unmoved`: (N, 3, H, W), the median of the same frames as they came.
        """
        stem, choices = self.entry(moved, medians(moved, unmoved, self.variant.past))
        return self.joined(choices, self.trunk(stem))

    def entry_of_codes(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What `entry` returns, of 8-bit codes, uint8 (N, (T + K - 1) * 3, H, W): aligned frames, then their medians
        (see temporal.aligning.network_window).
        """
        count, _, height, width = codes.shape
        pictures = (codes.float() / 255).view(count, -1, 3, height, width)
        return self.entry(pictures[:, : self.variant.frames], pictures[:, self.variant.frames :])

    def views(self, pictures: Tensor) -> Tensor:
        """What of pictures, (N, C, H, W), goes through the trunk: they, and of a `mirrored` network behind them their
        mirror images. Not while it is trained: samples are flipped anyway.
        """
        return torch.cat((pictures, pictures.flip(-1))) if self._looks_twice else pictures

    def agreed(self, answers: Tensor) -> Tensor:
        """What is answered to `views` -> what is answered to the pictures: the mean, what was mirrored turned back."""
        if not self._looks_twice:
            return answers
        straight, mirrored = answers.chunk(2)
        return (straight + mirrored.flip(-1)) / 2

    @property
    def _looks_twice(self) -> bool:
        return self.variant.mirrored and not self.training

    def _unshuffled(self, stem: Tensor) -> Tensor:
        return F.pixel_unshuffle(stem, self.variant.scale) if self.variant.scale > 1 else stem

    def trunk(self, stem: Tensor) -> Tensor:
        """All that has weights: its input -> (N, answers, H / scale, W / scale), what `joined` takes."""
        x = self.features(stem)
        residual: Tensor = self.output(x)
        return torch.cat((residual, self.vote(x)), dim=1) if self.variant.aligned else residual

    def features(self, stem: Tensor) -> Tensor:
        """The U-net: what `output` and `vote` read, (N, 2 * width, H / scale, W / scale)."""
        level1 = self.encoder_level1(self.encoder_level0(self.patch_embed(stem)))
        level2 = self.encoder_level2(self.down1_2(level1))
        level3 = self.encoder_level3(self.down2_3(level2))
        x = self.up4_3(self.latent(self.down3_4(level3)))
        x = self.decoder_level3(self.reduce_chan_level3(torch.cat((x, level3), dim=1)))
        x = self.decoder_level2(self.reduce_chan_level2(torch.cat((self.up3_2(x), level2), dim=1)))
        x = self.decoder_level1(torch.cat((self.up2_1(x), level1), dim=1))
        refined: Tensor = self.refinement(x)
        return refined

    def joined(self, choices: Tensor, answer: Tensor) -> Tensor:
        """The choice of each pixel and what is added to it: pictures (N, K, 3, H, W) and the trunk's answer ->
        (N, 3, H, W).
        """
        answer = self.agreed(self.shuffled(answer))
        if not self.variant.aligned:
            return choices[:, 0] + answer
        return self.chosen(choices, answer[:, 3:]) + answer[:, :3]

    def shuffled(self, answer: Tensor) -> Tensor:
        """(N, C * scale * scale, h, w) -> (N, C, h * scale, w * scale)."""
        return F.pixel_shuffle(answer, self.variant.scale) if self.variant.scale > 1 else answer

    @staticmethod
    def chosen(choices: Tensor, votes: Tensor) -> Tensor:
        """Pictures (N, K, 3, H, W), by the votes for each at each pixel, (N, K, H, W) -> (N, 3, H, W)."""
        mixed: Tensor = (votes.softmax(dim=1)[:, :, None] * choices).sum(dim=1)
        return mixed
