"""What is lost where parts of a film meet: PSNR of parts, and of one run, against the pictures that both were given.

Pictures that differ in nothing are encoded as one part and as many (`streamderain/media/parts.py`), these with and
without a look at what is behind them; no network is at work. Of each frame the luma is compared. "before" are the dozen
frames before each join, "after" those behind it, in dB above one run. Core-seconds are those of encoding alone, which
the three ways do in turns. Writes joins.json, of which joins_page.py makes docs/joins.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from results import DATA, FOLDER, ROOT, load, save

from streamderain.config import DerainConfig
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.parts import PartSink
from streamderain.media.pixels import layout_of
from streamderain.media.source import Source, open_source
from streamderain.run import derain

NEAR = 12
SIZE = (480, 272)
KIND = "matroska"

ENCODINGS = {
    "libx264, crf 18": Encoding(),
    "libx264, crf 18, veryfast": Encoding(preset="veryfast"),
    "libx264, crf 26, slow": Encoding(crf=26, preset="slow"),
    "libx264, crf 18, tune grain": Encoding(options={"tune": "grain"}),
    "libx264, 800 kbit/s": Encoding(crf=None, options={"b": "800k"}),
    "libx265, crf 18": Encoding("libx265"),
    "libsvtav1, crf 30": Encoding("libsvtav1", crf=30, preset="8"),
    "libvpx-vp9, crf 30": Encoding("libvpx-vp9", crf=30, options={"cpu-used": "4", "b": "0"}),
    "mpeg4, crf 18": Encoding("mpeg4"),
    "mpeg4, 800 kbit/s": Encoding("mpeg4", crf=None, options={"b": "800k"}),
    "mjpeg, crf 18": Encoding("mjpeg"),
}

Luma = npt.NDArray[np.float32]


OTHERS = {
    "pedestrians": ("pedestrians.mp4", 100, ["libx264, crf 18"]),
    "dashcam": ("dashcam.mp4", 200, ["libx264, crf 18", "libx264, 800 kbit/s"]),
    "street": ("one-by-one.mp4", 500, ["libx264, crf 18"]),
}
"""Clips without rain, as a network would leave them, how many of their frames, and how they are encoded."""


def clips(folder: Path, derained: Path | None) -> Iterator[tuple[str, Path, list[str]]]:
    """By name, losslessly, with the ways to encode each: the sample, derained, and others."""
    if derained is None:
        derained = folder / "derained.mkv"
        derain(ROOT / "samples" / "rainy-temple.mp4", derained, DerainConfig(encoder="ffv1", crf=None))
    yield "temple, derained", small(derained, folder / "temple.mkv", 100), [*ENCODINGS]
    for name, (file, most, encodings) in OTHERS.items():
        path = DATA / "clips" / "clean" / file
        if path.exists():
            yield name, small(path, folder / f"{name}.mkv", most), encodings


def small(path: Path, into: Path, most: int) -> Path:
    """The first frames of a clip, in SIZE, at 25 frames a second."""
    with av.open(path) as source, av.open(into, "w") as target:
        stream = target.add_stream("ffv1", rate=25)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for number, frame in enumerate(itertools.islice(source.decode(video=0), most)):
            each = frame.reformat(*SIZE, "yuv420p")
            each.pts, each.time_base = number, 1 / stream.codec_context.framerate
            target.mux(stream.encode(each))
        target.mux(stream.encode(None))
    return into


class Shown:
    """The frames of a clip, encoded one way or another."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source, self.folder, self.frames = source, folder, list(decode(source))
        self.step = self.frames[1].pts - self.frames[0].pts
        height, width = self.frames[0].layout.height, self.frames[0].layout.width
        self.lumas = [frame.data[: height * width].numpy().reshape(height, width) for frame in self.frames]

    def encoded(self, encoding: Encoding, length: int, looks_behind: bool) -> dict[str, Any]:
        """In parts of `length` frames: dB of each frame, bytes and core-seconds."""
        found: list[float] = []
        size, spent = 0, 0.0
        for first in range(0, len(self.frames), length):
            own = self.frames[first : first + length]
            behind = self.frames[first + length :] if looks_behind else []
            path = self.folder / "part"
            began = time.process_time()
            self._write(path, own, behind, encoding)
            spent += time.process_time() - began
            found += map(psnr, self.lumas[first : first + length], lumas(path))
            size += sum(packet_sizes(path))
        assert len(found) == len(self.frames)
        return {"db": found, "bytes": size, "core_seconds": spent}

    def _write(self, path: Path, own: Sequence[Frame], behind: Sequence[Frame], encoding: Encoding) -> None:
        following: Callable[[], Sequence[Frame]] = lambda: behind  # noqa: E731
        sink = PartSink(path, self.source.info, layout_of(self.source.info), encoding, KIND, lambda: self.step, 0,
                        following)  # fmt: skip
        for frame in own:
            sink.write(frame)
        sink.commit()


def lumas(path: Path) -> Iterator[Luma]:
    """The luma of each frame of a file."""
    with av.open(path) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            yield np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def packet_sizes(path: Path) -> list[int]:
    """Bytes of each packet of a file."""
    with av.open(path) as container:
        return [packet.size for packet in container.demux(video=0)]


def psnr(here: Luma, there: Luma) -> float:
    """In dB."""
    error = np.mean((here.astype(np.float32) - there) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def compared(parts: dict[str, Any], one: dict[str, Any], length: int) -> dict[str, float]:
    """How far parts are from one run."""
    above = np.subtract(parts["db"], one["db"])
    joins = range(length, len(above), length)
    before = [above[max(0, join - NEAR) : join] for join in joins]
    return {
        "all": float(above.mean()),
        "before": float(np.mean([each.mean() for each in before])),
        "after": float(np.mean([above[join : join + NEAR].mean() for join in joins])),
        "last": float(np.mean([each[-1] for each in before])),
        "bytes": parts["bytes"] / one["bytes"],
        "core_seconds": parts["core_seconds"] / one["core_seconds"],
    }


def measured(shown: Shown, encoding: Encoding, lengths: Sequence[int]) -> dict[str, Any]:
    """One run, and parts of each length without and with a look at what is behind them."""
    one = shown.encoded(encoding, len(shown.frames), False)
    rows: dict[str, Any] = {"db": statistics.mean(one["db"]), "frames": len(shown.frames)}
    for length in lengths:
        # Of a long clip long parts tell enough.
        if len(shown.frames) // 10 <= length < len(shown.frames):
            ways = {"blind": False, "looking": True}
            rows[str(length)] = {
                way: compared(shown.encoded(encoding, length, looks), one, length) for way, looks in ways.items()
            }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--derained", type=Path, help="the sample, derained without loss before")
    parser.add_argument("--only", nargs="*", default=[], help="encodings to measure anew, all others being kept")
    parser.add_argument("--lengths", type=int, nargs="*", default=[25, 100, 250])
    arguments = parser.parse_args()
    os.environ.setdefault("SVT_LOG", "1")
    result: dict[str, Any] = load("joins", arguments.out)["clips"] if arguments.only else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip, path, encodings in clips(folder, arguments.derained):
            with open_source(path) as source:
                shown = Shown(source, folder)
            for what in encodings:
                if what in arguments.only or not arguments.only:
                    rows = measured(shown, ENCODINGS[what], arguments.lengths)
                    result.setdefault(clip, {})[what] = rows
                    print(clip, what, rows, flush=True)
    save("joins", {"size": "x".join(map(str, SIZE)), "clips": result}, arguments.out)


if __name__ == "__main__":
    main()
