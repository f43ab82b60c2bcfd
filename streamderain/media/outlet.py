"""Packets -> one server, playlist or recording; plain and synchronous, it may block and it may die."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import OutputContainer

from streamderain.errors import DeniedError, SinkError, nearest, reason
from streamderain.frames import VideoInfo
from streamderain.media.address import in_full
from streamderain.media.broadcast import KEYFRAME_SECONDS, Broadcast, Chunk, Streams
from streamderain.media.copying import FAULTS, add_copy, twin
from streamderain.media.encoder import Encoding
from streamderain.media.opening import DENIALS
from streamderain.media.reencoding import USUAL, Reencoded, usual
from streamderain.media.srt import Outgoing, program_for
from streamderain.media.track import exact
from streamderain.media.url import for_libav, public, redacted
from streamderain.media.wall import TIME_BASE

logger = logging.getLogger(__name__)

_SCHEMES = {
    "rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "tcp": "mpegts", "srt": "mpegts",
}  # fmt: skip
_ENDINGS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".ts": "mpegts"}

_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_OPTIONS: dict[str, dict[str, str]] = {
    # PyAV lets no other thread of the process run while a server is greeted or taken leave of.
    "rtsp": {"timeout": str(2_000_000)},
    "flv": {"flvflags": "no_duration_filesize"},
    "matroska": {"cluster_time_limit": "1000"},
    "mp4": _FRAGMENTS,
    "mov": _FRAGMENTS,
    "hls": {
        "hls_time": str(KEYFRAME_SECONDS),
        "hls_list_size": "6",
        "hls_flags": "delete_segments+append_list+temp_file+independent_segments",
    },
}
# libav's 10 s would hold the picture back for as long when the sound stops.
_ALL_FORMATS = {"max_interleave_delta": "1", "flush_packets": "1"}

_TS_SOUND = {"aac", "mp2", "mp3", "ac3", "eac3", "opus", "dts"}
_SOUND = {"flv": {"aac", "mp3"}, "mpegts": _TS_SOUND, "hls": _TS_SOUND}
"""What players find in these formats; the muxers would write more. Others refuse by themselves."""

_Sound = Literal["copied", "encoded anew", "left out"]
_LESS: dict[_Sound, _Sound] = {"copied": "encoded anew", "encoded anew": "left out"}

_USUAL = VideoInfo("h264", "yuv420p", 360, 640, TIME_BASE, Fraction(25))
"""A picture that every encoder takes, if it takes any."""

_DISK_SECONDS = 1.0
"""How much a power cut may take that the system has not yet written to the disk."""


@dataclass(frozen=True)
class _Way:
    """What a name means: `format` is libav's, `path` that of a recording or playlist."""

    name: str = field(repr=False)
    format: str
    path: Path | None = None
    is_srt: bool = False

    @property
    def is_recording(self) -> bool:
        return self.path is not None and self.format != "hls"


def is_recording(name: str) -> bool:
    """Whether this output is a file or files that grow for as long as the run lasts."""
    return "://" not in name and not _is_playlist(name)


def unused(path: Path) -> Path:
    """The path, or where there is something, one with a number: -2, -3 and so on."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


def check_outlet(name: str, may_exist: bool) -> None:
    """Raise SinkError for what can never be written to: no known kind, or a recording with no place. `may_exist` says
    whether the recording may be there already.
    """
    way = _way(name)
    if way.is_srt:
        program_for(name)
    if way.path is None or not way.is_recording:
        return
    if way.path.exists() and not may_exist:
        raise SinkError(f"{name} exists; --overwrite replaces it, or name another output")
    if not way.path.parent.is_dir():
        raise SinkError(f"{way.path.parent} is no folder that exists; create it first")


def try_outputs(outputs: Iterable[str], encoding: Encoding) -> None:
    """Raise SinkError, before a stream begins, for what could not be encoded, or not be written to any of `outputs`;
    servers are not asked.
    """
    Broadcast(_USUAL, encoding, None, lambda chunk: None).close()
    for output in outputs:
        check_outlet(output, may_exist=True)
        if path := _way(output).path:
            _try_folder(output, path.parent)


def _try_folder(output: str, folder: Path) -> None:
    while not folder.exists():
        # What a playlist's folder will be made in.
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SinkError(f"{public(output)} cannot be written: {error.strerror} in {folder}") from None


class Outlet:
    """One output of a broadcast, for one thread at a time: an rtsp://, rtmp://, udp://, tcp:// or srt:// URL, a folder
    with its slash or an .m3u8 (HLS), or a recording in .mkv, .mp4, .mov or .ts.

    It begins with a keyframe, at its time 0. A recording survives that the program is killed, but for the last two or
    three seconds. Its name is never that of a file that exists, but then has a number. With `segment_seconds` it is
    cut at the first keyframe after each such length, and each piece has the time when it began in its name. `label` is
    what the log calls it; `transport`, tcp or udp, is how RTSP travels.

    Raises SinkError, also when it is written to, for all that goes wrong. `path` is the file that is being written.
    """

    def __init__(self, name: str, streams: Streams, *, segment_seconds: float | None = None,
                 label: str = "", transport: str = "tcp") -> None:  # fmt: skip
        self._transport = transport
        self._shown, self._label = public(name), label or public(name)
        self._way = _way(name)
        self._streams, self._segment_seconds = streams, segment_seconds
        self._sound: _Sound = "copied" if streams.audio else "left out"
        if streams.audio and not self._takes_sound(streams.audio):
            self._sound = "encoded anew"
        self._told_sound: _Sound = "copied"
        self._reencoded: Reencoded | None = None
        self._relay: Outgoing | None = None
        self._container: OutputContainer | None = None
        self._begin: Fraction | None = None
        self._on_disk = 0.0
        self.path: Path | None = None
        self._open()

    def write(self, chunk: Chunk) -> None:
        """Write one packet; before the first keyframe there is nothing to write."""
        starts = chunk.kind == "video" and chunk.is_key
        if self._begin is not None and starts and self._is_long_enough(chunk):
            self.close()
            self._open()
        if self._begin is None:
            if not starts:
                return
            self._begin, self._on_disk = _seconds(chunk.packet), chunk.seconds
        packets = self._own(chunk)
        if self._container is None:
            raise SinkError(f"{self._shown} is closed")
        try:
            self._container.mux(packets)
            if self._way.is_recording and chunk.seconds - self._on_disk >= _DISK_SECONDS:
                self._on_disk = chunk.seconds
                _to_disk(self.path)
        except FAULTS as error:
            raise SinkError(f"{self._shown} cannot be written to: {self._reason(error)}") from error

    def close(self) -> None:
        """Write the end, as far as whoever reads it is still there."""
        container, self._container, self._begin = self._container, None, None
        try:
            if container:
                container.close()
            _to_disk(self.path)
        except FAULTS:
            logger.debug("%s could not be finished", self._shown, exc_info=True)
        self._leave_nothing_empty()
        self._end_relay()

    def _open(self) -> None:
        try:
            self._connect()
        except FAULTS as error:
            # Sound that the format has no place for shows in as many ways as there are formats.
            if self._sound not in _LESS or isinstance(error, ConnectionError | TimeoutError | SinkError):
                raise self._refusal(error) from error
            self._sound = _LESS[self._sound]
            self._open()
        self._tell_of_sound()

    def _connect(self) -> None:
        way, options = self._way, {**_ALL_FORMATS, **_OPTIONS.get(self._way.format, {})}
        target: Any = way.name
        if way.format == "rtsp":
            options["rtsp_transport"] = self._transport
        if way.is_srt:
            self._end_relay()
            self._relay = Outgoing(way.name)
            target = self._relay.pipe
        elif way.format == "hls":
            assert way.path
            way.path.parent.mkdir(parents=True, exist_ok=True)
            target = self.path = way.path
            options["hls_segment_filename"] = str(target.with_name(f"{target.stem}-%d.ts"))
        elif way.path:
            target = self.path = unused(way.path if self._segment_seconds is None else _in_time(way.path))
        if isinstance(target, Path):
            target = in_full(target)
        container = av.open(target, "w", format=way.format, container_options=options)
        try:
            self._add_streams(container)
            container.start_encoding()
        except BaseException:
            self._discard(container)
            raise
        self._container = container

    def _add_streams(self, container: OutputContainer) -> None:
        self._video = container.add_stream_from_template(self._streams.video)
        if self._streams.display_matrix:
            self._video.set_display_matrix(self._streams.display_matrix)
        self._reencoded, audio = None, self._streams.audio
        if audio and self._sound == "copied":
            self._audio: Any = add_copy(container, audio)
        elif audio and self._sound == "encoded anew":
            self._audio = usual(container, audio)
            self._reencoded = Reencoded(audio, self._audio)

    def _discard(self, container: OutputContainer) -> None:
        """Leave nothing of what could not be begun."""
        with suppress(*FAULTS):
            container.close()
        if self._way.is_recording and self.path:
            self.path.unlink(missing_ok=True)

    def _leave_nothing_empty(self) -> None:
        """On a full disk, each attempt would leave another file of nothing."""
        with suppress(OSError):
            if self._way.is_recording and self.path and not self.path.stat().st_size:
                self.path.unlink()

    def _own(self, chunk: Chunk) -> list[av.Packet[Any]]:
        """The chunk as this output's own packets, at its own time; none of what it has no place for."""
        if chunk.kind == "video":
            return [self._copy(chunk.packet, self._video)]
        if self._sound == "left out":
            return []
        packets = self._reencoded.packets(chunk.packet) if self._reencoded else [chunk.packet]
        return [self._copy(each, self._audio) for each in packets if _seconds(each) >= (self._begin or 0)]

    def _copy(self, theirs: av.Packet[Any], stream: Any) -> av.Packet[Any]:
        assert self._begin is not None
        assert theirs.pts is not None
        packet = twin(theirs, stream)
        shift = round(self._begin / exact(theirs.time_base))
        packet.pts = theirs.pts - shift
        packet.dts = packet.pts if theirs.dts is None else theirs.dts - shift
        return packet

    def _is_long_enough(self, chunk: Chunk) -> bool:
        assert self._begin is not None
        return self._segment_seconds is not None and chunk.seconds - self._begin >= self._segment_seconds

    def _takes_sound(self, audio: av.AudioStream) -> bool:
        taken = _SOUND.get(self._way.format)
        return taken is None or audio.codec_context.codec.canonical_name in taken

    def _tell_of_sound(self) -> None:
        """Say once what becomes of it, where it is not what it was."""
        if self._streams.audio is None or self._sound == self._told_sound:
            return
        self._told_sound, codec = self._sound, self._streams.audio.codec_context.codec.canonical_name
        level, then = logging.INFO, f"its sound is encoded to {USUAL.upper()}"
        if self._sound == "left out":
            level, then = logging.WARNING, "so it goes without sound"
        logger.log(level, "%s: %s takes no %s, %s", self._label, self._way.format, codec, then)

    def _refusal(self, error: Exception) -> SinkError:
        if isinstance(error, SinkError):
            return error
        kind = DeniedError if isinstance(error, DENIALS) else SinkError
        refusal = kind(f"{self._shown} cannot be opened: {self._reason(error)}")
        self._end_relay()
        return refusal

    def _end_relay(self) -> None:
        if self._relay:
            self._relay.end()

    def _reason(self, error: Exception) -> str:
        said = self._relay.said() if self._relay else ""
        return said or redacted(reason(error))


def _way(name: str) -> _Way:
    if "://" in name:
        scheme = name.split("://")[0].lower()
        if scheme not in _SCHEMES:
            raise SinkError(
                f"{public(name)} is of an unknown kind, {scheme}; allowed: {', '.join(_SCHEMES)}"
                f"{nearest(scheme, _SCHEMES)}"
            )
        if scheme == "udp" and "pkt_size=" not in name:
            # Seven packets of a transport stream, which fit into one of Ethernet.
            name += ("&" if "?" in name else "?") + "pkt_size=1316"
        return _Way(for_libav(name), _SCHEMES[scheme], is_srt=scheme == "srt")
    if _is_playlist(name):
        return _Way(name, "hls", Path(name) if name.lower().endswith(".m3u8") else Path(name) / "index.m3u8")
    path = Path(name)
    if path.is_dir():
        raise SinkError(f"{name} is a folder; {name}/ makes it one for HLS, or name a file in it")
    if path.suffix.lower() not in _ENDINGS:
        raise SinkError(f"{name} has an ending that tells no format for live video; try {', '.join(_ENDINGS)}")
    return _Way(name, _ENDINGS[path.suffix.lower()], path)


def _is_playlist(name: str) -> bool:
    return name.endswith(("/", os.sep)) or name.lower().endswith(".m3u8")


def _in_time(path: Path) -> Path:
    return path.with_stem(path.stem + time.strftime("-%Y%m%d-%H%M%S"))


def _to_disk(path: Path | None) -> None:
    """Have the system write what it holds of a file, which else may take it half a minute."""
    if path is not None and path.exists():
        file = os.open(path, os.O_RDWR)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _seconds(packet: av.Packet[Any]) -> Fraction:
    assert packet.pts is not None
    return packet.pts * exact(packet.time_base)
