"""Small clips made on the spot, their way through the room, and what a file holds afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.frames import VideoInfo
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.ffmpeg import FfmpegSink
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import Source, open_source

LOSSLESS = Encoding(crf=None, preset="ultrafast", options={"qp": "0"})
FFV1 = Encoding("ffv1", crf=None)


def picture(index: int, height: int, width: int, pixel_format: str) -> av.VideoFrame:
    """A coloured pattern that differs from one index to the next."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 5 + index * 9, y * 7, x * 3 + y * 2 + index * 20], axis=-1) % 256
    frame = av.VideoFrame.from_ndarray(rgb.astype(np.uint8), format="rgb24")
    return frame if pixel_format == "rgb24" else frame.reformat(format=pixel_format)


def copy_frames(source: Source, sink: FileSink | FfmpegSink) -> None:
    """Write every frame of `source` unchanged, and finish the output."""
    try:
        for frame in decode(source):
            sink.write(frame)
        sink.commit()
    except BaseException:
        sink.abandon()
        raise


@dataclass
class Seen:
    """What a file holds: exact times in seconds, and the planes of each frame."""

    info: VideoInfo
    times: list[Fraction]
    planes: list[tuple[Tensor, ...]]


@dataclass
class Studio:
    """Makes clips in a folder of their own and sends them through source, decoder, encoder and sink."""

    folder: Path

    def clip(
        self,
        name: str = "in.mp4",
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        size: tuple[int, int] = (32, 48),
        pts: Iterable[int] = range(6),
        time_base: Fraction = Fraction(1, 25),
        rate: Fraction | int = 25,
        options: dict[str, str] | None = None,
        colours: Sequence[int] = (0, 2, 2, 2),
        rotation: int = 0,
        aspect: Fraction | None = None,
        pictures: Sequence[av.VideoFrame] | None = None,
        passengers: Sequence[Any] = (),
        metadata: dict[str, str] | None = None,
        chapters: Sequence[Any] = (),
        container_options: dict[str, str] | None = None,
    ) -> Path:
        """Write a clip; `colours` are range, matrix, primaries and transfer, `passengers` make other streams."""
        path = self.folder / name
        quick = {"preset": "ultrafast", "qp": "0"} if codec.startswith("libx264") else {}
        with av.open(path, "w", container_options=container_options or {}) as container:
            container.metadata.update(metadata or {})
            stream = container.add_stream(codec, rate=rate, options=quick if options is None else options)
            context = stream.codec_context
            context.height, context.width = size
            context.pix_fmt, context.time_base = pixel_format, time_base
            context.color_range, context.colorspace, context.color_primaries, context.color_trc = colours
            if aspect:
                context.sample_aspect_ratio = aspect
            if rotation:
                stream.set_display_rotation(rotation)
            others = [make(container) for make in passengers]
            if chapters:
                container.set_chapters(list(chapters))
            for number, when in enumerate(pts):
                frame = pictures[number] if pictures else picture(number, *size, pixel_format)
                frame.pts, frame.time_base = when, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            for packets in others:
                container.mux(packets)
        return path

    def through(self, source: Path, name: str = "out.mp4", encoding: Encoding = LOSSLESS, verify: bool = True,
                **options: Any) -> Path:  # fmt: skip
        """Decode `source` and write every frame unchanged to `name`, which is read back."""
        with open_source(source, **options) as opened:
            sink = FileSink(self.folder / name, opened, layout_of(opened.info), encoding, overwrite=True, verify=verify)
            copy_frames(opened, sink)
            assert sink.differences == []
        return self.folder / name

    def look(self, path: Path) -> Seen:
        """Read a file back."""
        with open_source(path) as opened:
            frames = list(decode(opened))
            return Seen(
                opened.info,
                [frame.pts * frame.time_base for frame in frames],
                [frame.layout.split(frame.data) for frame in frames],
            )

    def unchanged(self, source: Path, output: Path) -> None:
        """Assert that both hold the same frames, bit for bit, at the same times."""
        before, after = self.look(source), self.look(output)
        assert after.times == before.times
        for first, second in zip(before.planes, after.planes, strict=True):
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))

    def files(self) -> set[str]:
        """The names of all files made so far."""
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A place to make clips in."""
    return Studio(tmp_path)
