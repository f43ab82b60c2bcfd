"""A clip through an encoder and back, in memory: what compression does to pictures, for training."""

from __future__ import annotations

import io

import av
import numpy as np
import torch
from torch import Tensor


def compressed(clip: Tensor, crf: int, preset: str = "veryfast") -> Tensor:
    """`clip` as H.264 at this quality would show it.

    (T, 3, H, W) uint8 RGB, H and W even -> the same shape. `crf` is x264's, 0 (lossless luma) to 51.
    """
    # Without look-ahead, as live encoders run, and because with it x264 gives short clips now this, now that.
    options = {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
    memory = io.BytesIO()
    with av.open(memory, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = clip.shape[-2:]
        stream.pix_fmt = "yuv420p"
        # A window is shorter than a thread is worth.
        stream.thread_count = 1
        for picture in clip.permute(0, 2, 3, 1).contiguous().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r", format="h264") as recorded:
        recorded.streams.video[0].thread_count = 1
        pictures = [frame.to_ndarray(format="rgb24") for frame in recorded.decode(video=0)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
