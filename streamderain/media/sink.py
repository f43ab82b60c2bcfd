"""Where derained frames go: a file, written beside its name and renamed when whole."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections import deque
from pathlib import Path

import av
from av.container import OutputContainer
from av.format import Flags

from streamderain.errors import SinkError
from streamderain.frames import Frame, PixelLayout
from streamderain.media.copying import KEEPERS, add_copy, holds, keepers, listed, name_of, takes
from streamderain.media.encoder import Encoder, Encoding
from streamderain.media.source import Source

logger = logging.getLogger(__name__)


class Muxed:
    """An encoder and copies of the source's other streams in one open container."""

    def __init__(self, container: OutputContainer, source: Source, layout: PixelLayout, encoding: Encoding,
                 copy_streams: bool) -> None:  # fmt: skip
        self._container, self._source = container, source
        self._passengers: deque[av.Packet[av.stream.Stream]] = source.passengers if copy_streams else deque()
        self._encoder = Encoder(container, source.info, layout, encoding)
        self._encoder.stream.metadata.update(source.video.metadata)
        container.metadata.update(source.container.metadata)
        self._copies: dict[int, av.stream.Stream] = {}
        self._last: dict[int, int] = {}
        for stream in source.copied if copy_streams else ():
            self._copy(stream)
        container.set_chapters(source.chapters)
        # The header now, so that what does not fit together shows before the first frame is derained.
        container.start_encoding()

    def _copy(self, stream: av.stream.Stream) -> None:
        samples = self._source.samples(stream)
        if not holds(self._container.format.name, stream, samples):
            self._refuse(stream, samples)
            return
        copy = add_copy(self._container, stream)
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy

    def _refuse(self, stream: av.stream.Stream, samples: list[av.Packet[av.stream.Stream]]) -> None:
        """Say what holds a stream that the output does not."""
        kind = self._container.format.name
        holding = [name for name in keepers(stream, samples, kind) if takes(name, self._encoder.encoder)]
        what = f"{stream.type} track {stream.index} ({name_of(stream) or 'an unknown codec'}) does not fit into {kind}"
        endings = listed([KEEPERS[name] for name in holding])
        if stream.type == "audio" and holding:
            raise SinkError(f"{what}; try an output in {endings}")
        logger.warning("%s and is left out; %s", what, f"{endings} holds it" if holding else "no output here holds it")

    def write(self, frame: Frame) -> None:
        """Encode one frame and write what is ready, the packets of the copied streams among it."""
        self._mux_passengers()
        for packet in self._encoder.encode(frame):
            self._container.mux(packet)

    def finish(self) -> None:
        """Write what the encoder and the source still hold, and the container's end."""
        self._mux_passengers()
        for packet in self._encoder.flush(self._source.last_duration):
            self._container.mux(packet)
        self._container.close()

    def _mux_passengers(self) -> None:
        while self._passengers:
            packet = self._passengers.popleft()
            copy = self._copies.get(packet.stream.index)
            if copy is not None:
                packet.stream = copy
                self._line_up(packet, copy)
                self._container.mux(packet)

    def _line_up(self, packet: av.Packet[av.stream.Stream], copy: av.stream.Stream) -> None:
        """Let no two packets have one time where the container's clock is rougher than theirs, as it would refuse."""
        base = copy.time_base
        assert base is not None
        assert packet.dts is not None
        assert packet.pts is not None
        at = round(packet.dts * packet.time_base / base)
        last = self._last.get(copy.index)
        if last is not None and at <= last and not self._takes_equal(copy):
            at = last + 1
            packet.pts, packet.dts = max(at, round(packet.pts * packet.time_base / base)), at
            packet.duration = round((packet.duration or 0) * packet.time_base / base)
            packet.time_base = base
        self._last[copy.index] = at

    def _takes_equal(self, copy: av.stream.Stream) -> bool:
        return copy.type == "subtitle" or bool(Flags(self._container.format.flags) & Flags.ts_nonstrict)


class FileSink:
    """A video file that gets its name when it is whole; until then it is `out.partial.mp4` beside it.

    Raises SinkError when the output cannot be written or its format is unknown.
    """

    def __init__(self, path: Path, source: Source, layout: PixelLayout, encoding: Encoding,
                 copy_streams: bool = True) -> None:  # fmt: skip
        self.path = path
        self.partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        self.frames = 0
        try:
            container = av.open(self.partial.absolute(), "w", container_options=_muxing(path, source))
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(_open_failure(path, error)) from error
        if container.format.name == "image2":
            raise SinkError(f"{path} has the ending of a single picture; try .mp4, .mkv, .mov or .webm")
        self._container = container
        try:
            self._muxed = Muxed(container, source, layout, encoding, copy_streams)
        except av.FFmpegError as error:
            self._discard()
            raise SinkError(_write_failure(path, error)) from error
        except BaseException:
            self._discard()
            raise

    def write(self, frame: Frame) -> None:
        """Encode and write one frame. Raises SinkError when the disk is full or the encoder refuses."""
        try:
            self._muxed.write(frame)
        except av.FFmpegError as error:
            raise SinkError(_write_failure(self.path, error)) from error
        self.frames += 1

    def commit(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._muxed.finish()
        except av.FFmpegError as error:
            raise SinkError(_write_failure(self.path, error)) from error
        os.replace(self.partial, self.path)

    def abandon(self) -> Path | None:
        """Finish what is whole under the partial name and return that; None when nothing could be kept."""
        if self.frames:
            try:
                self._muxed.finish()
                return self.partial
            except (av.FFmpegError, SinkError):
                logger.debug("the partial output could not be finished", exc_info=True)
        self._discard()
        return None

    def _discard(self) -> None:
        try:
            self._container.close()
        except av.FFmpegError:
            logger.debug("the partial output could not be closed", exc_info=True)
        self.partial.unlink(missing_ok=True)


def check_output(path: Path, source: Path, overwrite: bool) -> None:
    """Raise SinkError where writing `path` would lose something or cannot work."""
    if path.is_dir():
        raise SinkError(f"{path} is a folder; name a file in it")
    if path.exists() and source.exists() and path.samefile(source):
        raise SinkError(f"{path} is the input itself; name another output")
    if path.exists() and not overwrite:
        raise SinkError(f"{path} exists; --overwrite replaces it, or name another output")
    folder = path.parent
    if not folder.is_dir():
        raise SinkError(f"{folder} is no folder that exists; create it first")
    if not os.access(folder, os.W_OK):
        raise SinkError(f"{folder} cannot be written to; name an output elsewhere")


def _muxing(path: Path, source: Source) -> dict[str, str]:
    if path.suffix.lower() not in (".mp4", ".mov", ".m4v"):
        return {}
    # Streams begin by the movie's clock, of milliseconds by default, to which their own times would be rounded.
    clocks = [stream.time_base.denominator for stream in (source.video, *source.copied) if stream.time_base]
    clock = math.lcm(*clocks)
    return {"movflags": "+faststart", "movie_timescale": str(clock if clock < 2**31 else clocks[0])}


def _open_failure(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{path} cannot be written: {error.strerror}"
    return f"{path} has an ending that tells no video format; try .mp4, .mkv, .mov or .webm"


def _write_failure(path: Path, error: av.FFmpegError) -> str:
    advice = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "; make room or name an output on another disk"
    elif error.errno == errno.EINVAL and path.suffix.lower() != ".mkv":
        advice = "; the format may not take what the input holds: try .mkv"
    return f"{path} cannot be written: {error.strerror}{advice}"
