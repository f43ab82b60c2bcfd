"""What a file holds beside its picture and sound: cover art, attachments, further pictures, data; and where it fits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import AttachmentStream, Discard, Disposition, Stream

from streamderain.media import copying
from streamderain.media.copying import FAULTS, name_of
from streamderain.media.track import Packet

TOLERANT = "surrogateescape"
"""How tags that are not UTF-8 are read, and written again as they were."""

KEEPERS = {kind: copying.KEEPERS[kind] for kind in ("matroska", "mov", "mp4", "mpegts")}
"""Of the formats worth naming those that hold more than pictures and sound, in this order."""

_PICTURES = {"png": "png", "mjpeg": "jpeg", "bmp": "bmp", "gif": "gif", "webp": "webp", "tiff": "tiff"}
"""Codecs of cover art, and their names in MIME types."""


def is_cover(stream: Stream) -> bool:
    """Whether a stream of pictures holds one that is shown for the file, and not played."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def is_copied(stream: Stream) -> bool:
    """Whether a stream's packets are to go into the output as they are, where it is not the one that is derained."""
    return stream.type in ("audio", "subtitle", "video", "data") and not is_cover(stream) and not _is_made_anew(stream)


def _is_made_anew(stream: Stream) -> bool:
    """Whether it is a track that libav makes of chapters and time codes, which are handed on by themselves."""
    if stream.type == "data":
        return stream.discard == Discard.all or "timecode" in stream.metadata
    # A track that nothing marks as that of the chapters, in a file that has time codes too.
    is_text = stream.type == "subtitle" and stream.codec_context and stream.codec_context.codec_tag == "text"
    return bool(is_text) and stream.frames == len(stream.container.chapters()) > 0


def titled(metadata: Mapping[str, str]) -> dict[str, str]:
    """The tags of a track, its title by the word under which libav writes it; from QuickTime it comes as a name."""
    return {"title": metadata["name"], **metadata} if "name" in metadata else dict(metadata)


def label(copy: Stream, stream: Stream) -> None:
    """Hand on to `copy` what `stream` says of itself in words."""
    copy.metadata.update(titled(stream.metadata))
    copy.disposition = stream.disposition


def add_extras(container: OutputContainer, source: Any) -> tuple[list[str], list[Packet]]:
    """Give `container` the cover art and attachments of a Source.

    Returns what does not fit, in words, and packets to be written once the header is.
    """
    notes, packets = [], []
    for stream in source.container.streams:
        if not (is_cover(stream) or isinstance(stream, AttachmentStream)):
            continue
        data = _picture(source.container.name, stream.index) if is_cover(stream) else None
        if not _fits(container.format.name, stream, data):
            notes.append(_misfit(stream, container.format.name, data))
        elif packet := _add(container, stream, data):
            packets.append(packet)
    return notes, packets


def _picture(name: str, index: int) -> bytes:
    """The cover art in a stream; read apart, as it comes before all else."""
    with av.open(name, metadata_errors=TOLERANT) as container:
        packet = next(container.demux(container.streams[index]), None)
        return bytes(packet) if packet else b""


def _fits(kind: str, stream: Stream, data: bytes | None) -> bool:
    """Whether a format, by libav's name, holds an attachment, or the cover that is `data`; by trying."""
    if data is not None and kind == "matroska":
        return True
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format=kind) as container:
            packet = _add(container, stream, data)
            container.start_encoding()
            if packet is None:
                return True
            container.mux(packet)
        memory.seek(0)
        with av.open(memory, "r", format=kind, metadata_errors=TOLERANT) as held:
            return any(is_cover(each) and name_of(each) == name_of(stream) for each in held.streams)
    except FAULTS:
        return False


def _misfit(stream: Stream, kind: str, data: bytes | None) -> str:
    keeper = next((ending for each, ending in KEEPERS.items() if each != kind and _fits(each, stream, data)), None)
    advice = f"{keeper} holds it" if keeper else "no output here holds it"
    what = f"{'attachment' if data is None else 'cover art in track'} {stream.index}"
    return f"{what} ({name_of(stream) or 'an unknown codec'}) does not fit into {kind} and is left out; {advice}"


def _utf8(text: str | None) -> str:
    return (text or "").encode(errors="replace").decode()


def _add(container: OutputContainer, stream: Stream, data: bytes | None) -> Packet | None:
    """Add a stream like `stream`; of a cover, whose picture is `data`, its packet where it has one."""
    if data is not None and container.format.name == "matroska":
        # Which shows attached pictures as cover art, and tracks of one picture as films.
        kind = _PICTURES.get(name_of(stream), name_of(stream))
        name = _utf8(stream.metadata.get("filename")) or f"cover.{kind.replace('jpeg', 'jpg')}"
        container.add_attachment(name, f"image/{kind}", data)
        return None
    copy = container.add_stream_from_template(stream, **({} if stream.codec_context is None else {"opaque": True}))
    label(copy, stream)
    return None if data is None else _packet(copy, data)


def _packet(stream: Stream, data: bytes) -> Packet:
    packet: Packet = av.Packet(data)
    packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
    packet.time_base = stream.time_base or Fraction(1, 1000)
    return packet
