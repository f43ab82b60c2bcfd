"""Pictures as frames and back: single ones, and sequences such as frame_%04d.png; as a source and as sinks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamderain.errors import SinkError
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.images import PICTURE_ENDINGS
from streamderain.media.numbered import RATE, is_numbered, numbered, sequence
from streamderain.media.pictures import Picture, read_picture, write_picture
from streamderain.media.pixels import to_video_frame, upright
from streamderain.media.source import Source

logger = logging.getLogger(__name__)

_BITS = 12
_TOP, _GREY = 2**_BITS - 1, 2 ** (_BITS - 1)

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_OF_CR, _OF_CB = 2 * (1 - _RED), 2 * (1 - _BLUE)
"""Luma's weights, and what red and blue have beyond luma for each unit of their chroma (ITU-R BT.601-7, 2.5)."""


def are_stills(source: str | Path, output: str | Path) -> bool:
    """Whether pictures become pictures."""
    return all(Path(name).suffix.lower() in PICTURE_ENDINGS for name in (source, output))


def still_jobs(source: Path, output: Path, overwrite: bool) -> dict[Path, Path]:
    """Which picture becomes which, of a single one or a sequence. Raises SourceError, or SinkError where an output
    would be an input, or exists and `overwrite` is not set.
    """
    if is_numbered(source) != is_numbered(output):
        raise SinkError(f"{output} and {source} are not both one picture or both a sequence; name %04d in both")
    jobs = {source: output}
    if is_numbered(source):
        jobs = {path: output.with_name(output.name % number) for number, path in sequence(source).items()}
    inputs = {path.resolve() for path in jobs}
    for path in jobs.values():
        if path.resolve() in inputs:
            raise SinkError(f"{path} is an input itself; name another output")
        if path.exists() and not overwrite:
            raise SinkError(f"{path} exists; --overwrite replaces it, or name another output")
    return jobs


@dataclass(eq=False)
class StillSource:
    """Pictures one after the other; `taken` are those that were read and not written yet, with their planes."""

    name: str
    paths: Sequence[Path]
    info: VideoInfo = field(init=False)
    taken: deque[tuple[Picture, Tensor]] = field(default_factory=deque)
    damaged: int = 0
    _first: Picture | None = None

    def __post_init__(self) -> None:
        self._first = first = read_picture(self.paths[0])
        height, width = first.samples.shape[:2]
        rate, count = Fraction(RATE), len(self.paths)
        self.info = VideoInfo(first.format.lower(), "rgb", height, width, 1 / rate, rate, count / RATE, count)

    def pictures(self) -> Iterator[Picture]:
        """All, once."""
        first, self._first = self._first, None
        for number, path in enumerate(self.paths):
            yield first if first and not number else read_picture(path)


def decode_stills(source: StillSource) -> Iterator[Frame]:
    """A frame for each picture, of 12 bits in full range."""
    for number, picture in enumerate(source.pictures()):
        height, width = picture.samples.shape[:2]
        chroma: Any = "gray" if picture.samples.ndim == 2 else "444"
        layout = PixelLayout(height, width, chroma, _BITS, "bt601", True, picture.rotation, picture.mirrored)
        planes = _planes(picture)
        source.taken.append((picture, planes))
        yield Frame(planes, layout, number, source.info.time_base)


def _planes(picture: Picture) -> Tensor:
    samples = picture.samples.astype(np.float32) * (_TOP / picture.top)
    if samples.ndim == 2:
        codes = samples[None]
    else:
        red, green, blue = (samples[..., number] for number in range(3))
        luma = _RED * red + _GREEN * green + _BLUE * blue
        codes = np.stack([luma, (blue - luma) / _OF_CB + _GREY, (red - luma) / _OF_CR + _GREY])
    return torch.from_numpy(np.rint(codes).clip(0, _TOP).astype(np.int16).ravel())


def restored(picture: Picture, rainy: Tensor, clean: Tensor) -> Picture:
    """`picture` with what its planes have changed by added to its own samples, so that one that was left alone keeps
    its value to the bit.
    """
    height, width = picture.samples.shape[:2]
    change = (clean.int() - rainy.int()).numpy().reshape(-1, height, width) * np.float32(picture.top / _TOP)
    if len(change) == 3:
        luma, cb, cr = change
        red, blue = _OF_CR * cr, _OF_CB * cb
        change = np.stack([luma + red, luma - (_RED * red + _BLUE * blue) / _GREEN, luma + blue], axis=-1)
    else:
        change = change[0]
    made = np.rint(picture.samples + change).clip(0, picture.top).astype(picture.samples.dtype)
    return replace(picture, samples=made)


class _Pictures:
    """A sink of pictures that are each whole at once; `shown` names them all. What they do not hold is told once."""

    def __init__(self, shown: Path) -> None:
        self.frames = 0
        self.notes, self.differences = list[str](), list[str]()
        self._shown = shown

    def _put(self, path: Path, picture: Picture) -> None:
        self._tell(write_picture(path, picture))
        self.frames += 1

    def _tell(self, notes: Sequence[str]) -> None:
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                logger.warning("%s: %s", self._shown, note)

    def commit(self) -> None:
        """Every picture is whole already."""

    def abandon(self) -> Path | None:
        """What was written stays; its name, if there is any."""
        return self._shown if self.frames else None


class StillSink(_Pictures):
    """Writes each picture of a StillSource where it goes, with all that it came with."""

    def __init__(self, shown: Path, outputs: Sequence[Path], source: StillSource) -> None:
        super().__init__(shown)
        self._outputs, self._source = outputs, source

    def write(self, frame: Frame) -> None:
        """Write the picture that became `frame`. Raises SinkError."""
        picture, rainy = self._source.taken.popleft()
        self._put(self._outputs[self.frames], restored(picture, rainy, frame.data))


class SequenceSink(_Pictures):
    """Writes the frames of a video as pictures, numbered from 1, upright; of more than 8 bits as 16 where the format
    holds them.
    """

    def __init__(self, pattern: Path, source: Source, overwrite: bool) -> None:
        super().__init__(pattern)
        there = numbered(pattern)
        if there and not overwrite:
            raise SinkError(f"{next(iter(there.values()))} exists; --overwrite replaces it, or name another output")
        if source.copied:
            self._tell(["pictures hold neither sound nor subtitles"])
        source.drop_passengers()

    def write(self, frame: Frame) -> None:
        """Write one picture. Raises SinkError."""
        self._put(self._shown.with_name(self._shown.name % (self.frames + 1)), Picture(_rgb(frame)))


def _rgb(frame: Frame) -> NDArray[Any]:
    kind = "rgb48le" if frame.layout.bits > 8 else "rgb24"
    picture = to_video_frame(frame.data, frame.layout, kind).to_ndarray()
    return np.ascontiguousarray(upright(picture, frame.layout.rotation, frame.layout.mirrored))
