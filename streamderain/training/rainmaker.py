"""Rain on any clean video, picture or folder of pictures, so that everyone can make pairs to test with.

What reaches the sensor passes the far rain, then the near, then the wet lens; then come noise and encoder. All
of it is a function of the settings and the frame's time.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from streamderain.carry import Progress, carry
from streamderain.config import RainConfig
from streamderain.engine.colour import add_rgb, to_rgb
from streamderain.errors import ConfigError, SinkError, SourceError, Stopped
from streamderain.frames import Frame, Restored, VideoInfo
from streamderain.media.encoder import Encoding
from streamderain.media.images import PICTURE_ENDINGS, list_images, read_image, write_image
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import open_source
from streamderain.rain.camera import Camera
from streamderain.rain.droplets import LensDroplets
from streamderain.rain.falling import STEADY, Rain, Rainfall, View
from streamderain.rain.pan import Pan
from streamderain.rain.veil import Veil
from streamderain.stream.pipeline import Station
from streamderain.stream.stats import StationStats

CAMERA_BITS_PER_PIXEL = 0.16
"""What phones record with: 10 Mbit/s for 1080p30, 4 for 720p30 (Android 9 compatibility definition, section 5.2.2)."""

LEAST_BITRATE = 200_000
LEAST_FRAME_RATE = 25.0
"""Cameras that take fewer frames spend more on each."""

READ_NOISE = 0.3
"""The share of the noise at white that is there in the dark too."""

PICTURE_MOMENTS = 10_000
"""Seconds over which the pictures of a folder are spread, so that each has other drops."""


class Weather:
    """The rain of `config`, and the camera in it, for pictures of `height` by `width` pixels."""

    def __init__(self, config: RainConfig, height: int, width: int) -> None:
        self._config = config
        self._rain = Rain(
            rate_mm_per_hour=config.rate,
            wind_m_per_s=config.wind,
            exposure_seconds=config.exposure,
            strength=config.strength,
            seed=config.seed,
        )
        rains = config.rate > 0
        focal = self._rain.focal_heights
        self._falling = Rainfall(self._rain, height, width) if rains else None
        self._veil = (
            Veil(config.rate, height, width, focal, config.backdrop, config.horizon, config.veil)
            if rains and config.veil
            else None
        )
        self._droplets = (
            LensDroplets(config.droplets, height, width, focal, config.seed) if rains and config.droplets else None
        )
        self._camera = Camera(shot_noise=config.noise, read_noise=READ_NOISE * config.noise)

    def on(self, clean: Tensor, seconds: float, number: int, view: View = STEADY) -> Tensor:
        """`clean`, (3, H, W) float RGB in 0..1, as the sensor gives it in an exposure that begins at `seconds`.

        `number` tells this frame from others: it seeds the noise.
        """
        seen = clean
        if self._veil:
            seen = self._veil.on(seen, self._rain.whiteness)
        if self._falling:
            seen = self._falling.on(seen, seconds, view)
        if self._droplets:
            seen = self._droplets.on(seen)
        camera = replace(self._camera, seed=(self._config.seed * 2**40 + number) % 2**63)
        return camera.film(seen[None])[0]


def make_rainy(
    clean: str | Path,
    rainy: str | Path,
    config: RainConfig,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Let it rain on `clean`, a video, a picture or a folder of pictures, into `rainy`, of the same kind.

    A video keeps its times, sound and colours. Pictures, which have no time, get a moment from their names;
    their ending says how they are compressed, without the encoder's settings.
    `report` is called in this thread after each frame. Returns the final progress. Raises StreamderainError;
    a video `rainy` then does not exist or is what it was. Ctrl-C raises Stopped.
    """
    clean, rainy = Path(clean), Path(rainy)
    if clean.is_dir():
        pictures = list_images(clean)
        if not pictures:
            raise SourceError(f"{clean} holds no pictures; allowed: {', '.join(PICTURE_ENDINGS)}")
        _make_folder(rainy)
        return _rain_on_pictures([(picture, rainy / picture.name) for picture in pictures], config, report)
    if clean.suffix.lower() in PICTURE_ENDINGS:
        return _rain_on_pictures([(clean, rainy)], config, report)
    return _rain_on_video(clean, rainy, config, report)


def _rain_on_video(clean: Path, rainy: Path, config: RainConfig, report: Callable[[Progress], None]) -> Progress:
    check_output(rainy, clean, config.overwrite)
    try:
        with open_source(clean) as source:
            rate = source.info.frame_rate
            if rate and config.exposure * rate > 1:
                raise ConfigError(
                    f"exposure is {config.exposure} s, longer than a frame of {source.name}; "
                    f"allowed: up to {float(1 / rate):.4f}"
                )
            stations = (Station("rain", lambda frames: _rain_on_frames(frames, config), ahead=2),)
            encoding = recording(config, source.info)
            sink = FileSink(rainy, source, layout_of(source.info), encoding, overwrite=config.overwrite)
            return carry(source, stations, [(sink, lambda pair: pair.rainy)], report)
    except KeyboardInterrupt:
        raise Stopped("stopped before the first frame") from None


def _rain_on_frames(frames: Iterable[Frame], config: RainConfig) -> Iterator[Restored]:
    weather: Weather | None = None
    pan = Pan()
    with torch.inference_mode():
        for frame in frames:
            clean = to_rgb(frame.data[None], frame.layout)[0].clamp(0, 1)
            weather = weather or Weather(config, *clean.shape[-2:])
            view = STEADY if config.steady else pan.follow(clean, frame.seconds)
            change = weather.on(clean, frame.seconds, frame.pts, view) - clean
            data = add_rgb(frame.data[None], change[None], frame.layout)[0]
            yield Restored(Frame(data, frame.layout, frame.pts, frame.time_base), frame)


def recording(config: RainConfig, info: VideoInfo) -> Encoding:
    """How the camera compresses a video like `info`: at a bitrate as cameras do, unless `config` asks for a quality."""
    if config.crf == 0 and config.encoder == "libx264":
        # Lossless at 10 bits too, where crf 0 is not.
        return Encoding(config.encoder, crf=None, options={"qp": "0"})
    if config.crf is not None:
        return Encoding(config.encoder, config.crf)
    rate = float(info.frame_rate or 25)
    usual = max(LEAST_BITRATE, round(CAMERA_BITS_PER_PIXEL * info.height * info.width * max(rate, LEAST_FRAME_RATE)))
    bitrate = config.bitrate * 1000 if config.bitrate else usual
    options = {"b": str(bitrate), "maxrate": str(bitrate * 3 // 2), "bufsize": str(bitrate)}
    if config.encoder != "libx264":
        return Encoding(config.encoder, crf=None, options=options)
    # Cameras encode on the fly: a whole picture each second, no frames out of order, little searching.
    options |= {"g": str(max(1, round(rate))), "bf": "0"}
    return Encoding(config.encoder, crf=None, preset="veryfast", options=options)


def _rain_on_pictures(
    pairs: list[tuple[Path, Path]], config: RainConfig, report: Callable[[Progress], None]
) -> Progress:
    for clean, rainy in pairs:
        check_output(rainy, clean, config.overwrite)
    began, stats, done = time.monotonic(), StationStats("rain"), 0
    progress = Progress(done, len(pairs), 0.0, [stats])
    try:
        for clean, rainy in pairs:
            picture = read_image(clean).float() / 255
            number = zlib.crc32(clean.name.encode())
            weather = Weather(config, *picture.shape[-2:])
            seen = weather.on(picture, float(number % PICTURE_MOMENTS), number)
            write_image(rainy, (seen * 255).round().to(torch.uint8))
            done += 1
            stats.items, stats.working = done, time.monotonic() - began
            progress = Progress(done, len(pairs), stats.working, [stats])
            report(progress)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; the first {done} of {len(pairs)} pictures are written") from None
    return progress


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise SinkError(f"{folder} is a file; name a folder for the pictures") from None
    except OSError as error:
        raise SinkError(f"{folder} cannot be made: {error.strerror}") from error
