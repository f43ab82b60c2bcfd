"""Sound in another codec is the same sound at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from streamderain.media.reencoding import RATE, Reencoded, usual
from streamderain.media.wall import TIME_BASE

HERTZ = 440
SECOND = 90000


def tone(path: Path, codec: str, rate: int, layout: str, seconds: int = 3) -> Path:
    """A file with a tone in that codec."""
    with av.open(path, "w") as file:
        sound = file.add_stream(codec, rate=rate)
        sound.codec_context.layout = layout
        step = rate // 25
        for number in range(25 * seconds):
            wave = 8000 * np.sin(2 * np.pi * HERTZ * (number * step + np.arange(step)) / rate)
            both = np.repeat(wave.astype(np.int16), sound.codec_context.layout.nb_channels)
            frame = av.AudioFrame.from_ndarray(both[None], "s16", layout)
            frame.sample_rate, frame.pts = rate, number * step
            file.mux(sound.codec_context.encode(frame))
        file.mux(sound.codec_context.encode(None))
    return path


def encoded(path: Path, lost: range = range(0)) -> Iterator[av.Packet[av.AudioStream]]:
    """What becomes of its packets, ten seconds into a run; those numbers that are `lost` are not there."""
    with av.open(path) as file, av.open(os.devnull, "w", format="mp4", options={}) as container:
        reencoded = Reencoded(file.streams.audio[0], usual(container, file.streams.audio[0]))
        for number, packet in enumerate(file.demux(audio=0)):
            if packet.pts is None or number in lost:
                continue
            packet.pts = 10 * SECOND + round(packet.pts * packet.time_base / TIME_BASE)
            packet.time_base = TIME_BASE
            before = bytes(packet)
            yield from reencoded.packets(packet)
            assert bytes(packet) == before


def heard(packets: list[av.Packet[av.AudioStream]], layout: str) -> np.ndarray:
    """The samples of the first channel."""
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    # What an AudioSpecificConfig says of AAC-LC at 48 kHz (ISO 14496-3, 1.6.2.1).
    decoder.extradata = bytes([0x11, 0x88 if layout == "mono" else 0x90])
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mov", "pcm_mulaw", 8000, "mono"), ("a.mov", "pcm_alaw", 8000, "mono"),
        ("a.mov", "pcm_s16le", 44100, "stereo"),
        ("a.mkv", "libopus", 48000, "stereo"), ("a.mp4", "aac", 16000, "mono"), ("a.mkv", "mp2", 32000, "stereo"),
    ],
)  # fmt: skip
def test_a_tone_stays_a_tone(name: str, codec: str, rate: int, layout: str, tmp_path: Path) -> None:
    packets = list(encoded(tone(tmp_path / name, codec, rate, layout)))
    times = [packet.pts or 0 for packet in packets]
    assert 9.9 * SECOND < times[0] < 10.05 * SECOND
    # Opus begins with what is to be skipped.
    assert {later - sooner for sooner, later in pairwise(times[4:])} <= set(range(1910, 1931))
    assert 12.7 * SECOND < times[-1] < 13 * SECOND
    samples = heard(packets, layout)[RATE // 2 : 2 * RATE]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * RATE / len(samples) == pytest.approx(HERTZ, abs=2)
    assert np.abs(samples).max() == pytest.approx(8000 / 32768, rel=0.2)


def test_after_a_gap_sound_is_where_it_was(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.mkv", "libopus", 48000, "mono")
    whole = [packet.pts for packet in encoded(path)]
    packets = [packet.pts or 0 for packet in encoded(path, lost=range(50, 75))]
    assert packets[-1] == pytest.approx(whole[-1], abs=2 * 1920)
    assert all(later > sooner for sooner, later in pairwise(packets))


def test_what_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.mp4", "aac", 48000, "mono")
    with av.open(path) as file, av.open(os.devnull, "w", format="mp4") as container:
        reencoded = Reencoded(file.streams.audio[0], usual(container, file.streams.audio[0]))
        broken: av.Packet[av.AudioStream] = av.Packet(b"\xff\x00" * 50)
        broken.pts, broken.time_base = 0, TIME_BASE
        assert reencoded.packets(broken) == []
        assert sum(len(reencoded.packets(packet)) for packet in file.demux(audio=0) if packet.size) > 100
