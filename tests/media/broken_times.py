"""Recordings whose containers give wrong times, made by writing other times over the right ones, byte by byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 25
CLOCK = 90000

Change = Callable[[str, int, int], int | None]
"""Kind ("video" or "audio"), number of the packet among those that have a time, and time -> the time to write, both in
units of the container, or None for none."""


def recording(path: Path, frames: int = 50, start: float = 0, sound: bool = True, b_frames: int = 0) -> Path:
    """A film at 25 fps of which each frame is a keyframe or not as the encoder likes, sound in MP3 beside it."""
    options = {"mpegts_copyts": "1"} if path.suffix == ".ts" else {}
    with av.open(path, "w", container_options=options) as file:
        quick = {"preset": "ultrafast", "qp": "20", "bf": str(b_frames)}
        video = file.add_stream("libx264", rate=RATE, options=quick)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, RATE)
        tone: Any = file.add_stream("mp3", rate=48000) if sound else None
        heard = 0
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((72, 64), number * 3 % 256, np.uint8), format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            _mux(file, video.encode(picture), start)
            while tone and heard * 1152 / 48000 <= number / RATE:
                _mux(file, tone.encode(_noise(heard)), start)
                heard += 1
        _mux(file, video.encode(None), start)
        if tone:
            _mux(file, tone.encode(None), start)
    return path


def _noise(number: int) -> av.AudioFrame:
    # Different every time, so that a packet that is lost or doubled shows.
    samples = np.random.default_rng(number).integers(-9000, 9000, (1, 1152 * 2), dtype=np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, number * 1152, Fraction(1, 48000)
    return frame


def _mux(file: Any, packets: list[Any], start: float) -> None:
    for packet in packets:
        shift = round(Fraction(start) / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        file.mux(packet)


def retimed_ts(path: Path, change: Change) -> Path:
    """The times in the PES headers of a transport stream written anew, in units of 1/90000 s."""
    data = bytearray(path.read_bytes())
    counts: Counter[str] = Counter()
    for at in range(0, len(data), 188):
        head = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if not data[at + 1] & 0x40 or data[head : head + 3] != b"\0\0\1" or not data[head + 7] & 0x80:
            continue
        kind = "video" if data[head + 3] & 0xF0 == 0xE0 else "audio"
        places = [head + 9, head + 14] if data[head + 7] & 0x40 else [head + 9]
        for place in places:
            time = change(kind, counts[kind], _read(data, place))
            if time is None:
                data[head + 7] &= 0x3F
                data[place : place + 5] = b"\xff" * 5
            else:
                _write(data, place, time)
        counts[kind] += 1
    path.write_bytes(data)
    return path


def _read(data: bytearray, at: int) -> int:
    first, second, third = (
        data[at],
        int.from_bytes(data[at + 1 : at + 3], "big"),
        int.from_bytes(data[at + 3 : at + 5], "big"),
    )
    return (first >> 1 & 7) << 30 | (second >> 1) << 15 | third >> 1


def _write(data: bytearray, at: int, time: int) -> None:
    time %= 1 << 33
    data[at] = data[at] & 0xF1 | (time >> 30) << 1
    data[at + 1 : at + 3] = ((time >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, "big")
    data[at + 3 : at + 5] = ((time & 0x7FFF) << 1 | 1).to_bytes(2, "big")


def retimed_flv(path: Path, change: Change) -> Path:
    """The times of the tags of an FLV written anew, in milliseconds."""
    data = bytearray(path.read_bytes())
    counts: Counter[str] = Counter()
    at = 13
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        kind = {8: "audio", 9: "video"}.get(data[at], "")
        # The codec's own header has a tag too.
        if kind and not (kind == "video" and data[at + 12] == 0):
            time = change(kind, counts[kind], data[at + 7] << 24 | int.from_bytes(data[at + 4 : at + 7], "big"))
            assert time is not None
            time %= 1 << 32
            data[at + 4 : at + 8] = (time & 0xFFFFFF).to_bytes(3, "big") + (time >> 24).to_bytes(1, "big")
            counts[kind] += 1
        at += 15 + size
    path.write_bytes(data)
    return path


def retimed_mkv(path: Path, change: Change) -> Path:
    """The times of the blocks of a Matroska file, within 32 s of its single cluster's, written anew in milliseconds;
    the first track is the picture.
    """
    data = bytearray(path.read_bytes())
    counts: Counter[str] = Counter()
    at = data.index(b"\x1f\x43\xb6\x75") + 4
    at += 8 if data[at] == 1 else 0
    end = len(data)
    while at < end:
        identity, size, body = data[at], *_sized(data, at + 1)
        if identity == 0xA3:
            kind = "video" if data[body] == 0x81 else "audio"
            time = change(kind, counts[kind], int.from_bytes(data[body + 1 : body + 3], "big", signed=True))
            assert time is not None
            data[body + 1 : body + 3] = time.to_bytes(2, "big", signed=True)
            counts[kind] += 1
        elif identity not in (0xE7, 0xA7, 0xAB, 0xA0):
            break
        at = body + size
    path.write_bytes(data)
    return path


def _sized(data: bytearray, at: int) -> tuple[int, int]:
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return value, at + length
