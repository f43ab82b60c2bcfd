"""Frames of any layout -> one fixed layout, for an output that outlives a change of its source."""

from __future__ import annotations

from dataclasses import replace

import torch
from av.video.reformatter import Interpolation
from torch import Tensor

from streamderain.frames import Frame, PixelLayout
from streamderain.media.pixels import ONE_THREAD, colours_of, dtype_of, format_of, samples_of, to_video_frame


def fitted(frame: Frame, layout: PixelLayout) -> Frame:
    """`frame` in `layout`: turned, scaled with its shape kept, set on black where that leaves room, its colours
    converted. A frame that has the layout already is returned as it is.
    """
    if frame.layout == layout:
        return frame
    turned = _turned(_coloured(frame), layout)
    inner = _inside(turned.layout, layout)
    top, left = (layout.height - inner.height) // 4 * 2, (layout.width - inner.width) // 4 * 2
    data = _black(layout)
    # Of a grey layout there is luma alone.
    for target, plane in zip(layout.split(data), inner.split(_converted(turned, inner)), strict=False):
        # The bars are even, so that they are whole in planes of half the samples as well.
        down, right = top * target.shape[0] // layout.height, left * target.shape[1] // layout.width
        target[down : down + plane.shape[0], right : right + plane.shape[1]] = plane
    return replace(frame, data=data, layout=layout, original=None)


def _coloured(frame: Frame) -> Frame:
    """Grey as colour without any, as libav holds all grey to be full range."""
    if frame.layout.chroma != "gray":
        return frame
    layout = replace(frame.layout, chroma="444")
    mid = torch.full((2 * frame.layout.samples,), 1 << (layout.bits - 1), dtype=frame.data.dtype)
    return replace(frame, data=torch.cat([frame.data, mid]), layout=layout)


def _turned(frame: Frame, like: PixelLayout) -> Frame:
    """The frame with its samples turned and mirrored so that it takes what `like` says to be shown right."""
    own = frame.layout
    if (own.rotation, own.mirrored) == (like.rotation, like.mirrored):
        return frame
    # Chroma that is halved in one direction would, once turned, be halved in the other.
    whole = replace(own, chroma="444")
    planes = [torch.rot90(plane, own.rotation // 90) for plane in whole.split(_converted(frame, whole))]
    if own.mirrored != like.mirrored:
        planes = [plane.flip(-1) for plane in planes]
    planes = [torch.rot90(plane, -like.rotation // 90) for plane in planes]
    height, width = planes[0].shape
    layout = replace(whole, height=height, width=width, rotation=like.rotation, mirrored=like.mirrored)
    return replace(frame, data=torch.cat([plane.flatten() for plane in planes]), layout=layout)


def _inside(source: PixelLayout, layout: PixelLayout) -> PixelLayout:
    """The layout of the largest picture of the source's shape that `layout` has room for."""
    scale = min(layout.height / source.height, layout.width / source.width)
    height, width = (
        whole if whole <= side * scale else max(2, round(side * scale / 2) * 2)
        for side, whole in ((source.height, layout.height), (source.width, layout.width))
    )
    return replace(layout, height=height, width=width, chroma="420" if layout.chroma == "gray" else layout.chroma)


def _converted(frame: Frame, layout: PixelLayout) -> Tensor:
    """The samples of a coloured frame in a coloured layout of any size, (layout.samples,)."""
    (was, was_range), (becomes, becomes_range) = colours_of(frame.layout), colours_of(layout)
    picture = to_video_frame(frame.data, frame.layout).reformat(
        layout.width, layout.height, format_of(layout), was, becomes, Interpolation.BICUBIC, was_range, becomes_range,
        threads=ONE_THREAD,
    )  # fmt: skip
    return samples_of(picture, layout)


def _black(layout: PixelLayout) -> Tensor:
    data = torch.full((layout.samples,), 1 << (layout.bits - 1), dtype=dtype_of(layout))
    layout.split(data)[0].fill_(0 if layout.full_range else 16 << (layout.bits - 8))
    return data
