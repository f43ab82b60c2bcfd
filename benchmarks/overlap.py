"""How well decoding, the network and encoding overlap.

The network is a stub that sleeps as long as a frame's work would take on a GPU, so the processor is free for
the other stations, as it is beside a real GPU. Perfect overlap means that the whole run takes as long
as its slowest station would alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from results import save
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from streamderain.media.synthetic import write_test_video
from streamderain.run import derain
from streamderain.stream.pipeline import Pipeline

FRAMES = 240
HEIGHT, WIDTH = 360, 640
SECONDS_PER_FRAME = 0.1


class Sleeper:
    """Returns its input after a while."""

    device = torch.device("cpu")
    past = future = 1

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def restore(self, windows: Tensor) -> Tensor:
        """Sleep for each frame."""
        time.sleep(self.seconds * len(windows))
        return windows[:, self.past]


def _decode_alone(clip: Path) -> float:
    began = time.monotonic()
    with open_source(clip) as source:
        for _ in decode(source):
            pass
    return time.monotonic() - began


def _encode_alone(clip: Path, output: Path) -> float:
    with open_source(clip) as source:
        frames = list(decode(source))
        began = time.monotonic()
        sink = FileSink(output, source, layout_of(source.info), Encoding(), overwrite=True)
        for frame in frames:
            sink.write(frame)
        sink.commit()
    return time.monotonic() - began


def _restore_alone(clip: Path) -> float:
    """The network's station with its colour conversion, fed from memory."""
    with open_source(clip) as source:
        frames = list(decode(source))
        upload, restore, *_ = Engine(Sleeper(SECONDS_PER_FRAME), DerainConfig()).stations()
        batches = list(upload.run(frames))
    began = time.monotonic()
    with Pipeline(batches, restore) as restored:
        for _ in restored:
            pass
    return time.monotonic() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "clip.mp4", Path(folder) / "out.mp4"
        write_test_video(clip, HEIGHT, WIDTH, FRAMES)
        alone = {
            "decode": _decode_alone(clip),
            "restore": _restore_alone(clip),
            "encode": _encode_alone(clip, output),
        }
        began = time.monotonic()
        derain(clip, output, overwrite=True, network=Sleeper(SECONDS_PER_FRAME))
        together = time.monotonic() - began
    save(
        "overlap",
        {
            "frames": FRAMES,
            "size": f"{WIDTH}x{HEIGHT}",
            "alone_seconds": alone,
            "together_seconds": together,
            "one_after_another_seconds": sum(alone.values()),
            "together_over_slowest": together / max(alone.values()),
        },
    )


if __name__ == "__main__":
    main()
