"""Animations that libav cannot read, as a lossless video beside: WebP."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streamderain.errors import SourceError

_MS = Fraction(1, 1000)


@contextmanager
def readable(source: str | Path) -> Iterator[str | Path]:
    """A name under which libav reads `source`: its own, or while inside that of a lossless copy. Raises SourceError."""
    if Path(source).suffix.lower() != ".webp" or not Path(source).is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="streamderain-") as folder:
        copy = Path(folder) / "animation.mkv"
        _copy(Path(source), copy)
        yield copy


def _copy(source: Path, copy: Path) -> None:
    from PIL import Image, ImageSequence

    try:
        with Image.open(source) as image, av.open(copy, "w") as file:
            stream = file.add_stream("ffv1", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *image.size, "bgra"
            stream.codec_context.time_base = _MS
            at = 0
            for shown in ImageSequence.Iterator(image):
                frame = av.VideoFrame.from_ndarray(np.array(shown.convert("RGBA")), format="rgba").reformat(
                    format="bgra"
                )
                frame.pts, frame.time_base = at, _MS
                frame.duration = int(shown.info.get("duration") or 40)
                at += frame.duration
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"{source} cannot be read: {error}") from error
