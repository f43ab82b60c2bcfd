"""The system's ffmpeg as a sink, for encoders and outputs that PyAV's libav lacks: vaapi, SRT, a newer build.

Frames travel through a pipe as raw video in NUT, which keeps exact times; the other streams are read by
ffmpeg from the source itself.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg

from streamderain.errors import SinkError
from streamderain.frames import Frame, PixelLayout, VideoInfo
from streamderain.media.choice import AUTO, USUAL, fitting_encoder
from streamderain.media.encoder import Encoding
from streamderain.media.extras import is_cover
from streamderain.media.ffmpeg_process import FfmpegProcess
from streamderain.media.partial import Partial
from streamderain.media.sidedata import CARRIED, carried_kinds
from streamderain.media.sink import Muxed
from streamderain.media.source import Source
from streamderain.media.url import public

logger = logging.getLogger(__name__)

_TURNS: dict[int, list[tuple[str, dict[str, str]]]] = {
    0: [],
    90: [("transpose", {"dir": "cclock"})],
    180: [("hflip", {}), ("vflip", {})],
    270: [("transpose", {"dir": "clock"})],
}
"""Filters that turn a picture upright, by the degrees counter-clockwise that it takes."""

_COPIED = ("audio", "subtitle")

_NEEDS_EVEN = re.compile("264|265|hevc|_(vaapi|qsv|nvenc|amf|videotoolbox)$")


class FfmpegSink:
    """Writes through the `ffmpeg` on PATH to a file, renamed when whole, or to a URL.

    Raises SinkError when there is no ffmpeg, or with its own words when it gives up.
    """

    def __init__(self, output: str, source: Source, layout: PixelLayout, encoding: Encoding,
                 overwrite: bool = False) -> None:  # fmt: skip
        self.path, self.frames, self._output = Path(output), 0, output
        self.notes: list[str] = []
        self.differences: list[str] = []
        self._partial = None if "://" in output else Partial(self.path, overwrite)
        # ffmpeg reads the other streams itself.
        source.drop_passengers()
        _warn_of_losses(source)
        if encoding.encoder == AUTO:
            encoding = replace(encoding, encoder=_fitting(self.path) if self._partial else USUAL)
        raw = Encoding("rawvideo", crf=None, even=bool(_NEEDS_EVEN.search(encoding.encoder)))
        with ExitStack() as undo:
            if self._partial:
                undo.callback(self._partial.discard)
                output = str(self._partial.begin())
            self._process = FfmpegProcess(command_line(source, layout, encoding, output))
            undo.callback(self._process.end)
            with self._feeding():
                container = av.open(self._process.pipe, "w", format="nut")
                self._muxed = Muxed(container, source, layout, raw, copy_streams=False)
            undo.pop_all()

    def write(self, frame: Frame) -> None:
        """Hand one frame to ffmpeg. Raises SinkError when it is gone."""
        with self._feeding():
            self._muxed.write(frame)
        self.frames += 1

    def commit(self) -> None:
        """Let ffmpeg finish, and give the file its name."""
        with self._feeding():
            self._muxed.finish()
        self._process.end()
        if self._process.returncode:
            raise self._failure()
        if self._partial:
            self._partial.publish()

    @contextmanager
    def _feeding(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise self._failure() from error

    def abandon(self) -> Path | None:
        """Let ffmpeg finish what it was given under the partial name; None when nothing could be kept."""
        try:
            self._muxed.finish()
        except (av.FFmpegError, OSError, SinkError):
            logger.debug("ffmpeg took no more frames", exc_info=True)
        self._process.end()
        if self._partial is None:
            return None
        if not self.frames:
            self._partial.discard()
        elif self._process.returncode:
            self.frames = self._partial.keep()
        self._partial.release()
        return self._partial.path if self.frames else None

    def _failure(self) -> SinkError:
        self._process.end()
        ended = self._process.returncode
        silent = f"it was killed by signal {-ended}" if ended < 0 else "it gave no reason"
        return SinkError(f"ffmpeg could not write {public(self._output)}: {self._process.said() or silent}")


def ffmpeg_version() -> tuple[int, int] | None:
    """Major and minor version of the ffmpeg on PATH; None when there is none. Builds from source without
    a number count as the newest.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    shown = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version n?(\d+)\.(\d+)", shown)
    return (int(match[1]), int(match[2])) if match else (99, 0)


def _fitting(path: Path) -> str:
    try:
        with av.open(f"out{path.suffix}", "w") as container:  # which makes no file before it is written to
            return fitting_encoder(container)
    except (av.FFmpegError, ValueError):
        return USUAL


def command_line(source: Source, layout: PixelLayout, encoding: Encoding, target: str) -> list[str]:
    """The ffmpeg command that encodes raw NUT from its standard input to `target`, with the source's
    colours, shape, times, sound and subtitles. Raises SinkError when there is no ffmpeg.
    """
    version = ffmpeg_version()
    if version is None:
        raise SinkError("--via-ffmpeg needs a program called ffmpeg on PATH; install it, or leave --via-ffmpeg out")
    info = source.info
    turned: dict[str, object] = {"display_rotation": info.rotation} if info.rotation else {}
    turned |= {"display_hflip": None} if info.mirrored else {}
    # Older ones cannot mark what they encode as rotated.
    can_mark = version >= (6, 0)
    marks = {**turned, "noautorotate": None} if turned and can_mark else {}
    video = ffmpeg.input("pipe:0", format="nut", **marks).video
    video = video.filter("setparams", **_colours(source, layout)).filter("setsar", _aspect(info.sample_aspect_ratio))
    for name, options in () if can_mark else (*_TURNS[info.rotation], *([("hflip", {})] if info.mirrored else [])):
        video = video.filter(name, **options)
    global_options = ["-hide_banner", "-loglevel", "error", "-copyts", "-nostdin"]
    if encoding.encoder.endswith("_vaapi"):
        video = video.filter("format", "nv12").filter("hwupload")
        global_options += ["-vaapi_device", "/dev/dri/renderD128"]
    begins = source.clock.begins
    others = ffmpeg.input(source.container.name, **({"itsoffset": f"{float(-begins):.6f}"} if begins else {}))
    streams = [video, *(others[str(stream.index)] for stream in source.copied if stream.type in _COPIED)]
    output = ffmpeg.output(*streams, target, **_output_options(info, encoding, target, version))
    command: list[str] = output.global_args(*global_options).overwrite_output().compile()
    return command


def _output_options(info: VideoInfo, encoding: Encoding, target: str, version: tuple[int, int]) -> dict[str, object]:
    options: dict[str, object] = {
        "c": "copy",
        "c:v": encoding.encoder,
        # From the NUT, as an input that no stream is taken from is not opened.
        "map_metadata": "0",
        "map_chapters": "0",
        # Frames come out with the times that they went in with, on the same clock.
        "enc_time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        **({"fps_mode": "passthrough"} if version >= (5, 1) else {"vsync": "passthrough"}),
        **encoding.options,
    }
    if encoding.crf is not None and not encoding.encoder.endswith(("_vaapi", "_qsv", "_nvenc")):
        options.setdefault("crf", encoding.crf)
    if encoding.preset is not None:
        options["preset"] = encoding.preset
    if info.is_interlaced:
        options.setdefault("flags:v", "+ildct+ilme")
    if "://" in target:
        options["format"] = "mpegts"
    return options


def _colours(source: Source, layout: PixelLayout) -> dict[str, object]:
    info = source.info
    return {
        "range": 2 if layout.full_range else info.color_range,
        "color_primaries": info.color_primaries,
        "color_trc": info.color_trc,
        "colorspace": info.color_space or 1,
        **({"field_mode": "tff" if info.shows_top_first else "bff"} if info.is_interlaced else {}),
    }


def _warn_of_losses(source: Source) -> None:
    """Tell what does not reach ffmpeg, which is handed pictures, and reads sound and subtitles itself."""
    lost = [CARRIED[kind] for kind in sorted(carried_kinds(source.first))] if source.first else []
    lost += ["the light of the display"] if source.info.mastering_display or source.info.content_light else []
    lost += [f"{each.type} track {each.index}" for each in source.copied if each.type not in _COPIED]
    lost += ["cover art" for each in source.container.streams if is_cover(each)][:1]
    lost += ["attachments" for each in source.container.streams if each.type == "attachment"][:1]
    if lost:
        logger.warning("--via-ffmpeg leaves out %s; without it they are kept where they fit", ", ".join(lost))


def _aspect(ratio: Fraction | None) -> str:
    return f"{ratio.numerator}/{ratio.denominator}" if ratio else "0"
