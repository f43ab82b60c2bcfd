"""Before the first frame: what of a source an output will not hold; by writing a small one and reading it back."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from streamderain.frames import Frame, VideoInfo
from streamderain.media.copying import FAULTS
from streamderain.media.encoder import Encoder, Encoding
from streamderain.media.extras import KEEPERS, TOLERANT, label, titled
from streamderain.media.pixels import (
    ONE_THREAD,
    RGB_SPACE,
    holds_alpha,
    holds_rgb,
    layout_of,
    to_planes,
    working_format,
)
from streamderain.media.sidedata import CARRIED, carried_kinds
from streamderain.media.source import Source, video_info

logger = logging.getLogger(__name__)

_SIDE = 192
"""Pixels of the longer side of what is written; its tags are those of a large one."""

_ENCODERS = ("libx264", "libx265", "ffv1", "prores_ks")
"""To name where another does not hold something, in this order."""

_NOISE = re.compile(
    r"encoder|major_brand|minor_version|compatible_brands|handler_name|vendor_id|encoded_by|_statistics_.*|duration"
    r"|name|bps|number_of_(frames|bytes)|source_id|rotate|alpha_mode|creation_time|filename|mimetype"
)
"""Tags that writers make anew, or that are told otherwise."""

_QUICKTIME = {"movflags": "use_metadata_tags"}
"""Has libav write tags under any name, which QuickTime reads, in the place of those that iTunes reads."""

_OF_LUMA = ("the range of its samples", "the colour matrix")

_UNSAID = (0, 2, 3)
"""The numbers of libav's matrices, primaries and transfers that tell nothing."""

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Outlook:
    """What will come of an output: `options` that its container needs, `losses` in words, and the facts that are
    `kept`.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[str, ...] = ()
    kept: Facts = field(default_factory=dict)


def tag(container: OutputContainer, encoder: Encoder, source: Source) -> None:
    """Hand on what the source says of itself in words."""
    label(encoder.track, source.video)
    # libvpx keeps alpha in a stream beside, which players look for by this tag.
    for name in [key for key in encoder.track.metadata if key.lower() == "alpha_mode"]:
        del encoder.track.metadata[name]
    if encoder.has_alpha_beside:
        encoder.track.metadata["alpha_mode"] = "1"
    container.metadata.update(source.container.metadata)
    container.set_chapters(source.chapters)


def rehearse(kind: str, source: Source, encoding: Encoding) -> Outlook:
    """How an output of this format, by libav's name, will come out. Where that cannot be tried, nothing is foretold."""
    if source.first is None:
        return Outlook()
    had = facts_of(source.info, source.container, source.video, source.first, source.chapters)
    try:
        tries = [(options, _lost(source, had, kind, encoding, options)) for options in _options(kind)]
    except FAULTS:
        logger.debug("the output could not be tried", exc_info=True)
        return Outlook()
    options, lost = min(tries, key=lambda each: len(each[1]))
    kept = {name: value for name, value in had.items() if name not in lost}
    return Outlook(options, tuple(_told(had, lost, kind, encoding, source)), kept)


def _options(kind: str) -> list[dict[str, str]]:
    return [{}, _QUICKTIME] if kind in ("mp4", "mov", "ipod") else [{}]


def _lost(source: Source, had: Facts, kind: str, encoding: Encoding, options: Mapping[str, str]) -> list[str]:
    """The names of those facts that do not come back."""
    memory = io.BytesIO()
    with av.open(memory, "w", format=kind, container_options=dict(options), metadata_errors=TOLERANT) as container:
        _write(container, source, encoding)
    memory.seek(0)
    with av.open(memory, "r", format=kind, metadata_errors=TOLERANT) as again:
        video = next(iter(again.streams.video), None)
        picture = next(again.decode(video), None) if video else None
        if video is None or picture is None:
            raise ValueError("nothing came back")
        has = facts_beside(had, again, video, picture)
    return [name for name, value in had.items() if has.get(name) != value]


def _write(container: OutputContainer, source: Source, encoding: Encoding) -> None:
    """The first picture, made small, with what the source says of itself, and nothing beside."""
    first = source.first
    assert first is not None
    own = first.pts, first.time_base, first.pict_type
    try:
        info, frame = _small(source.info, first)
        encoder = Encoder(container, info, frame.layout, encoding)
        tag(container, encoder, source)
        container.start_encoding()
        container.mux(encoder.encode(frame))
        container.mux(encoder.flush(1))
    finally:
        # A picture that is small itself was written as it is, at another time.
        first.pts, first.time_base, first.pict_type = own


def _small(info: VideoInfo, first: av.VideoFrame) -> tuple[VideoInfo, Frame]:
    scale = min(1.0, _SIDE / max(first.width, first.height))
    # Even, and large enough for every encoder, as far as the picture is.
    width, height = (min(side, max(64, round(side * scale) // 8 * 8)) for side in (first.width, first.height))
    picture = first.reformat(width, height, threads=ONE_THREAD)
    info = replace(info, width=width, height=height)
    layout = layout_of(info)
    return info, Frame(to_planes(picture, info, layout), layout, 0, info.time_base, original=picture)


def _told(had: Facts, lost: list[str], kind: str, encoding: Encoding, source: Source) -> Iterable[str]:
    """A sentence for all that the same output would keep."""
    others = [(each, encoding, f"an output in {ending}") for each, ending in KEEPERS.items() if each != kind]
    others += [(kind, _plain(encoding, name), f"--encoder {name}") for name in _ENCODERS if name != encoding.encoder]
    others += [("matroska", _plain(encoding, name), f"--encoder {name} with an output in .mkv") for name in _ENCODERS]
    left, what = list(lost), kind if kind == encoding.encoder else f"{kind} with {encoding.encoder}"
    for other, encoder, advice in others:
        if not left:
            return
        try:
            lost_there = _lost(source, had, other, encoder, _options(other)[-1])
        except FAULTS:
            continue
        kept = [name for name in left if name not in lost_there]
        if kept:
            yield f"{what} does not hold {_listed(kept)}; {advice} does"
            left = [name for name in left if name not in kept]
    if left:
        yield f"{what} does not hold {_listed(left)}, nor does any other output here"


def _plain(encoding: Encoding, name: str) -> Encoding:
    return replace(encoding, encoder=name, preset=None, options={})


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def facts_of(
    info: VideoInfo, container: InputContainer, video: av.VideoStream, picture: av.VideoFrame, chapters: list[Any]
) -> Facts:
    """What a file says of its picture and of itself, by what it is called, as values that can be compared."""
    # What no decoder here shows; what it does is told with the pixel format.
    alpha = "1" in [value for key, value in video.metadata.items() if key.lower() == "alpha_mode"]
    # Left is where it lies unless something else is said; and without halved chroma there is nothing to say.
    chroma = None if info.chroma_location in ("unspecified", "left") else info.chroma_location
    facts: dict[str, Any] = {
        "the display matrix": info.display_matrix and tuple(round(each / 256) for each in info.display_matrix),
        "the interlacing": info.is_interlaced and ("top" if info.shows_top_first else "bottom"),
        **_colours(info),
        "where chroma lies": chroma if layout_of(info).chroma == "420" else None,
        "the mastering display": info.mastering_display and tuple(_rounded(each) for each in info.mastering_display),
        "the content light level": info.content_light,
        "alpha": alpha and not holds_alpha(info.pixel_format),
        "the chapters": [chapter["metadata"].get("title") for chapter in chapters],
        **{CARRIED[kind]: True for kind in carried_kinds(picture)},
        **{f"the tag {key}": value for key, value in _tags(container.metadata).items()},
        **{f"the picture's tag {key}": value for key, value in _tags(titled(video.metadata)).items()},
    }
    return {name: value for name, value in facts.items() if value}


def facts_beside(had: Facts, container: InputContainer, video: av.VideoStream, picture: av.VideoFrame) -> Facts:
    """What an output says, for comparison with what its source `had`: matrix and range are no loss for RGB."""
    has = facts_of(video_info(container, video, picture), container, video, picture, container.chapters())
    return {**{name: had[name] for name in _OF_LUMA if name in had}, **has} if holds_rgb(picture.format.name) else has


def _colours(info: VideoInfo) -> Facts:
    """What its samples mean, as far as that is not what players take them for anyway."""
    if holds_rgb(info.pixel_format):
        return {}
    full, is_grey = layout_of(info).full_range, working_format(info.pixel_format).startswith("gray")
    usual = info.color_space in (RGB_SPACE, *_UNSAID)
    return {
        _OF_LUMA[0]: ("limited" if is_grey else None) if not full else None if is_grey else "full",
        _OF_LUMA[1]: None if is_grey or usual else info.color_space,
        "the colour primaries": None if info.color_primaries in _UNSAID else info.color_primaries,
        "the transfer of light": None if info.color_trc in _UNSAID else info.color_trc,
    }


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 4)


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """By lower case, as Matroska writes them all in upper case."""
    found = {key.lower(): value.strip() for key, value in metadata.items()}
    return {
        key: value for key, value in found.items() if not _NOISE.fullmatch(key) and (key, value) != ("language", "und")
    }
