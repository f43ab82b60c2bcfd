"""Decoded pictures -> Frame, as a generator; keeps exact times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from streamderain.errors import SourceError
from streamderain.frames import Frame
from streamderain.media.order import in_order, usual_step
from streamderain.media.pixels import holds_more, layout_of, to_planes
from streamderain.media.source import Source


def decode(source: Source) -> Iterator[Frame]:
    """Every frame of `source`, each with a time after the one before.

    A frame whose file gives it no time, or one that is out of order, gets a place between those around it. Raises
    SourceError when the picture changes size, TruncatedError when the file ends early.
    """
    info = source.info
    layout = layout_of(info)
    step = usual_step(info)

    def tell(pts: int) -> None:
        source.clock.tell("a picture has no time of its own", float(pts * info.time_base), "it is shown between others")

    for picture in in_order(source.frames(), step, info.time_base, tell):
        pts = picture.pts
        assert pts is not None
        if (picture.height, picture.width) != (info.height, info.width):
            raise SourceError(
                f"{source.name} changes from {info.width}x{info.height} to {picture.width}x{picture.height} "
                f"at {float(pts * info.time_base):.2f} s; a video of one size is needed: cut it there"
            )
        source.last_duration = picture.duration or step
        # A stream may change from 8 to 10 bits, or from 4:2:0, between two frames.
        now = info if picture.format.name == info.pixel_format else replace(info, pixel_format=picture.format.name)
        shape = layout if now is info else layout_of(now)
        original = picture if holds_more(picture, shape) else None
        yield Frame(to_planes(picture, now, shape), shape, pts, info.time_base, original=original)
