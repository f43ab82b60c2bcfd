"""Where derained frames go: a file, written beside its name and renamed when whole."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import av
from av.container import OutputContainer

from streamderain.errors import SinkError, StreamderainError
from streamderain.frames import Frame, PixelLayout
from streamderain.media import fragments
from streamderain.media.copying import KEEPERS, Copy, holds, keepers, listed, name_of, takes
from streamderain.media.encoder import Encoder, Encoding, settled
from streamderain.media.extras import TOLERANT, add_extras, label
from streamderain.media.options import joined
from streamderain.media.partial import LONGEST_NAME, Partial, partial_of
from streamderain.media.rehearsal import Outlook, rehearse, tag
from streamderain.media.source import Source
from streamderain.media.track import Packet
from streamderain.media.verify import Ledger, differences

logger = logging.getLogger(__name__)

_PLAYABLE = {"flush_packets": "1"}
"""What has libav hand each packet to the system at once, so that it outlives the process."""

_CLUSTERS = {"matroska": {"cluster_time_limit": "1000"}, "webm": {"cluster_time_limit": "1000"}}
"""Milliseconds that these muxers hold back at most."""

_UNSHIFTED = {"avi": {"avoid_negative_ts": "disabled"}}
"""Formats without times: where sound begins a little earlier, libav would make room for it of a whole frame."""

_INTERLEAVED = {"max_interleave_delta": "1000000"}
"""Microseconds that libav waits for what is sparse."""


class Muxed:
    """An encoder and copies of the source's other streams in one open container. `notes` are what it does not hold of
    the source, in words. `is_torn` says that something failed on the way, so that frames are missing at the end.
    """

    def __init__(self, container: OutputContainer, source: Source, layout: PixelLayout, encoding: Encoding,
                 copy_streams: bool) -> None:  # fmt: skip
        self._container, self._source = container, source
        self._passengers: deque[Packet] = source.passengers if copy_streams else deque()
        self.encoder = Encoder(container, source.info, layout, encoding)
        self.ledger = Ledger()
        self.ledger.open(self.encoder.track)
        self.notes = [*self.encoder.notes]
        tag(container, self.encoder, source)
        self._copies: dict[int, Copy] = {}
        self._spaced = fragments.Spaced() if container.format.name in fragments.KINDS else None
        self.is_torn = self._has_gap = False
        for stream in source.copied if copy_streams else ():
            self._copy(stream)
        more, extras = add_extras(container, source) if copy_streams else ([], [])
        self.notes += more
        # The header now, so that what does not fit together shows before the first frame is derained.
        container.start_encoding()
        container.mux(extras)

    def _copy(self, stream: av.stream.Stream) -> None:
        samples = self._source.samples(stream)
        if not holds(self._container.format.name, stream, samples):
            self._refuse(stream, samples)
            return
        copy = self._copies[stream.index] = Copy(self._container, stream, self._source.name)
        label(copy.track, stream)
        self.ledger.open(copy.track)

    def _refuse(self, stream: av.stream.Stream, samples: list[Packet]) -> None:
        """Say what holds a stream that the output does not."""
        kind = self._container.format.name
        holding = keepers(stream, samples, kind)
        # Rather one for which all else can stay.
        holding = [name for name in holding if takes(name, self.encoder.encoder)] or holding
        what = f"{stream.type} track {stream.index} ({name_of(stream) or 'an unknown codec'}) does not fit into {kind}"
        endings = listed([KEEPERS[name] for name in holding])
        # A picture that moves is asked for without sound by its ending.
        if stream.type == "audio" and holding and self._container.default_audio_codec != "none":
            raise SinkError(f"{what}; try an output in {endings}")
        self.notes.append(f"{what} and is left out; {f'{endings} holds it' if holding else 'no output here holds it'}")

    def write(self, frame: Frame) -> None:
        """Encode one frame and write what is ready, the packets of the copied streams among it."""
        with self._watch():
            self._mux_passengers()
            for packet in self.encoder.encode(frame):
                self._mux(packet)

    def take(self, packet: Packet) -> None:
        """Write a packet that another encoder of the same kind made, in units of `encoder.clock`, and what is ready of
        the copied streams.
        """
        with self._watch():
            self._mux_passengers()
            packet.stream, packet.time_base = self.encoder.track, self.encoder.clock
            self._mux(packet)

    def finish(self) -> None:
        """Write what the encoder and the source still hold, and the container's end, this whatever else fails."""
        with self._watch():
            try:
                if not self._has_gap:
                    self._mux_rest()
            finally:
                self._container.close()

    def _mux_rest(self) -> None:
        try:
            self._mux_passengers()
            for packet in self.encoder.flush(self._source.last_duration):
                self._mux(packet)
        finally:
            for packet in self._spaced.rest() if self._spaced and not self._has_gap else ():
                self._container.mux(packet)

    @contextmanager
    def _watch(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.is_torn = True
            raise

    def _mux(self, packet: Packet) -> None:
        # What came behind a packet that is missing could not be decoded.
        was, self._has_gap = self._has_gap, True
        self.ledger.take(packet)
        for each in self._spaced.take(packet) if self._spaced else [packet]:
            self._container.mux(each)
        self._has_gap = was

    def _mux_passengers(self) -> None:
        while self._passengers:
            packet = self._passengers.popleft()
            if copy := self._copies.get(packet.stream.index):
                for each in copy.packets(packet):
                    self._mux(each)


class FileSink:
    """A video file that gets its name when it is whole; until then it is `out.partial.mp4` beside it, which can be
    played as far as it is written.

    Raises SinkError when the output cannot be written, or not without losing something and `overwrite` does not give
    leave, when another run writes it, and when its format is unknown. `frames` counts those that were taken, and of an
    abandoned output those that are kept. `notes` tell what of the source the output does not hold. With `verify` a
    whole output is read back, and `differences` tell where it does not hold what was written.
    """

    def __init__(self, path: Path, source: Source, layout: PixelLayout, encoding: Encoding, copy_streams: bool = True,
                 overwrite: bool = False, verify: bool = False, again: bool = False) -> None:  # fmt: skip
        self.path, self.frames, self._verify = path, 0, verify
        self.notes: list[str] = []
        self.differences: list[str] = []
        self._partial = Partial(path, overwrite, again)
        self._is_whole = False
        with ExitStack() as undo, muxing_into(path):
            undo.callback(self._partial.discard)
            self._container = self._open(source)
            undo.callback(self._close)
            self._begin(source, layout, settled(encoding, self._container, layout), copy_streams)
            undo.pop_all()

    def _open(self, source: Source) -> OutputContainer:
        name = self._partial.begin()
        try:
            container = av.open(name, "w", container_options=dict(_PLAYABLE), metadata_errors=TOLERANT)
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(_open_failure(self.path, error)) from error
        if container.format.name == "image2":
            raise SinkError(f"{self.path} has the ending of a single picture; try .mp4, .mkv, .mov or .webm")
        container.container_options.update(_muxing(container.format.name, source))
        return container

    def _begin(self, source: Source, layout: PixelLayout, encoding: Encoding, copy_streams: bool) -> None:
        kind = self._container.format.name
        outlook = rehearse(kind, source, encoding) if copy_streams else Outlook()
        source.first = None
        self._container.container_options.update(joined(self._container.container_options, outlook.options))
        self._muxed = Muxed(self._container, source, layout, encoding, copy_streams)
        self._muxed.ledger.kept = outlook.kept
        self.notes = [*self._muxed.notes, *outlook.losses] if copy_streams else []
        for note in self.notes:
            logger.warning("%s: %s", self.path.name, note)

    def write(self, frame: Frame) -> None:
        """Encode and write one frame. Raises SinkError when the disk is full or the encoder refuses."""
        with self._one_more():
            self._muxed.write(frame)

    def take(self, packet: Packet) -> None:
        """Write a packet that another encoder of the same kind made of a frame. Raises SinkError as `write` does."""
        with self._one_more():
            self._muxed.take(packet)

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        with muxing_into(self.path):
            yield
        self.frames += 1
        self._partial.sync()

    @property
    def encoder(self) -> Encoder:
        """Whose packets are written."""
        return self._muxed.encoder

    @property
    def kind(self) -> str:
        """The format, by libav's name."""
        return self._container.format.name

    @property
    def _is_film(self) -> bool:
        return self.kind in fragments.KINDS

    def _finish(self) -> None:
        self._muxed.finish()
        if self._is_film:
            tracks = self._muxed.ledger.tracks.items()
            ends = {index: each.end for index, each in tracks if each.kind == "video"}
            fragments.settle_ends(self._partial.path, ends)

    def commit(self) -> None:
        """Finish the file and give it its name."""
        with muxing_into(self.path):
            self._finish()
            self._is_whole = True
            self._partial.publish(fragments.straighten if self._is_film else None)
        if self._verify:
            self.differences = differences(self.path, self._muxed.ledger, self.frames)

    def abandon(self) -> Path | None:
        """Finish what is whole under the partial name and return that; None when nothing could be kept."""
        if not self.frames:
            self.discard()
            return None
        if not self._is_whole:
            try:
                self._finish()
            except Exception:  # whatever it was, something may be whole
                logger.debug("the partial output could not be finished", exc_info=True)
        if self._muxed.is_torn:
            self.frames = self._partial.keep()
        self._partial.release()
        return self._partial.path if self.frames else None

    def discard(self) -> None:
        """Leave nothing behind."""
        self._close()
        self._partial.discard()

    def _close(self) -> None:
        try:
            self._container.close()
        except av.FFmpegError:
            logger.debug("the partial output could not be closed", exc_info=True)


def check_output(path: Path, source: Path, overwrite: bool, again: bool = False) -> None:
    """Raise SinkError where writing `path` would lose something or cannot work; for `again` see Partial."""
    # Not Path's, which raise for names that are too long.
    if os.path.isdir(path):
        raise SinkError(f"{path} is a folder; name a file in it")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise SinkError(f"{path.name[:40]}... is longer than the {LONGEST_NAME} bytes of a file's name; shorten it")
    if _is_same(path, source):
        raise SinkError(f"{path} is the input itself; name another output")
    folder = path.parent
    if not folder.is_dir():
        raise SinkError(f"{folder} is no folder that exists; create it first")
    if not os.access(folder, os.W_OK):
        raise SinkError(f"{folder} cannot be written to; name an output elsewhere")
    if _is_same(partial := partial_of(path), source):
        raise SinkError(f"{partial} is the input, and {path.name} would be written there; name another output")
    # Claimed for a moment, which shows whether it can be.
    Partial(path, overwrite, again).release()


def _is_same(path: Path, source: Path) -> bool:
    return path.exists() and os.path.exists(source) and path.samefile(source)


def _muxing(kind: str, source: Source) -> dict[str, str]:
    options = {**_CLUSTERS.get(kind, {}), **_UNSHIFTED.get(kind, {})}
    if any(stream.type not in ("video", "audio") for stream in source.copied):
        options |= _INTERLEAVED
    if kind in fragments.KINDS:
        # Streams begin by the movie's clock, of milliseconds by default, to which their own times would be rounded.
        clocks = [stream.time_base.denominator for stream in (source.video, *source.copied) if stream.time_base]
        clock = math.lcm(*clocks)
        options |= {**fragments.OPTIONS, "movie_timescale": str(clock if clock < 2**31 else clocks[0])}
    return options


def _open_failure(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{path} cannot be written: {error.strerror}"
    return f"{path} has an ending that tells no video format; try .mp4, .mkv, .mov or .webm"


@contextmanager
def muxing_into(path: Path) -> Iterator[None]:
    """Inside, what libav or the system refuses becomes the SinkError that says why `path` cannot be written, and what
    to do.
    """
    try:
        yield
    except StreamderainError:
        raise
    except (av.FFmpegError, OSError) as error:
        advice = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "; make room or name an output on another disk"
        elif error.errno == errno.EINVAL and path.suffix.lower() != ".mkv":
            advice = "; the format may not take what the input holds: try .mkv"
        raise SinkError(f"{path} cannot be written: {error.strerror}{advice}") from error
