"""What blending costs: frames per second of whole runs at 640x480 with `fast` on a CPU, with and without, in turn."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from results import FOLDER, ROOT, save

from streamderain.config import DerainConfig
from streamderain.networks.restorer import Restorer
from streamderain.run import derain

HEIGHT, WIDTH = 480, 640
FRAMES = 24
ROUNDS = 3


def enlarged_sample(path: Path) -> None:
    """The first frames of the rainy sample at 640x480."""
    import av

    with av.open(ROOT / "samples" / "rainy-temple.mp4") as source, av.open(path, "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == FRAMES:
                break
            target.mux(stream.encode(frame.reformat(WIDTH, HEIGHT)))
        target.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = Restorer.load(arguments.model, "cpu")
    ways = {"without": {"blend": 0.0}, "with": {}, "with, past alone": {"neighbours": "past"}}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "rainy.mp4", Path(folder) / "out.mp4"
        enlarged_sample(clip)
        for number in range(ROUNDS + 1):
            for way, settings in ways.items():
                done = derain(clip, output, DerainConfig(overwrite=True, **settings), network=network)
                if number:
                    rates[way].append(done.frames_per_second)
    medians = {way: statistics.median(each) for way, each in rates.items()}
    result = {
        "model": arguments.model,
        "size": f"{WIDTH}x{HEIGHT}",
        "threads": arguments.threads,
        "frames_per_second": medians,
        "over_without": {way: rate / medians["without"] for way, rate in medians.items()},
    }
    save("blending", result, arguments.out)


if __name__ == "__main__":
    main()
