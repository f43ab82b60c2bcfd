"""Networks of others to measure speed against: S2VD's derainer (Yue et al., CVPR 2021; 0.53 M parameters) and PReNet
(Ren et al., CVPR 2019; 168,963).

Built by their published sizes, with random weights, which cost as much as trained ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PeerDerainer(nn.Module):
    """32 features at half resolution in eight blocks, then a tail at full resolution; a clip at once."""

    def __init__(self) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> nn.Conv3d:
            return nn.Conv3d(inputs, outputs, 3, padding=1)

        def block() -> nn.Sequential:
            halves = ((nn.BatchNorm3d(32), nn.ReLU(), convolution(32, 32)) for _ in range(2))
            return nn.Sequential(*(layer for half in halves for layer in half))

        self.head = nn.Sequential(convolution(12, 32), nn.ReLU(), convolution(32, 32))
        self.blocks = nn.ModuleList(block() for _ in range(8))
        self.join = nn.Sequential(nn.BatchNorm3d(32), nn.ReLU(), convolution(32, 12))
        self.tail = nn.Sequential(convolution(3, 32), nn.ReLU(), convolution(32, 32), nn.ReLU(), convolution(32, 3))

    def forward(self, clip: Tensor) -> Tensor:
        """(3, T, H, W) -> the same shape."""
        small = F.pixel_unshuffle(clip.transpose(0, 1), 2).transpose(0, 1)[None]
        x = self.head(small)
        for block in self.blocks:
            x = x + block(x)
        rain = F.pixel_shuffle(self.join(x)[0].transpose(0, 1), 2).transpose(0, 1)
        out: Tensor = self.tail((clip - rain)[None])[0]
        return out


class PReNet(nn.Module):
    """Five residual blocks of 32 features, run six times over a picture and what was made of it, with one LSTM of
    convolutions that remembers from each time to the next.
    """

    def __init__(self) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        def block() -> nn.Sequential:
            return nn.Sequential(convolution(32, 32), nn.ReLU(), convolution(32, 32), nn.ReLU())

        self.head = nn.Sequential(convolution(6, 32), nn.ReLU())
        self.gates = convolution(64, 4 * 32)
        self.blocks = nn.ModuleList(block() for _ in range(5))
        self.tail = convolution(32, 3)

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) -> the same shape."""
        out, seen = rainy, rainy.new_zeros(len(rainy), 32, *rainy.shape[2:])
        cell = seen
        for _ in range(6):
            entering = torch.cat((self.head(torch.cat((rainy, out), 1)), seen), 1)
            take, forget, new, show = self.gates(entering).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + take.sigmoid() * new.tanh()
            seen = x = show.sigmoid() * cell.tanh()
            for block in self.blocks:
                x = (x + block(x)).relu()
            out = rainy + self.tail(x)
        return out
