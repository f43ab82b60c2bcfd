"""Sound beside pictures, whatever their clock does."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from streamderain.media.reencoding import RATE
from streamderain.media.sound import Sound
from streamderain.media.wall import TIME_BASE, RunClock
from tests.media.test_reencoding import HERTZ, tone

SECOND = 90000
BLOCK = Fraction(1024, 48000)


def heard(clip: Path, jump: float, sound_first: bool, taken: bool) -> list[float]:
    """A minute of a camera whose clock jumps by so many seconds after twenty; when each packet of sound is heard.
    `taken` says that somebody takes the sound up to each picture, as a writer does.
    """
    now = 0.0
    clock, sound, times = RunClock(lambda: now), Sound("camera"), list[float]()
    clock.begin()
    with av.open(clip) as file:
        template = file.streams.audio[0]
        payload = next(bytes(packet) for packet in file.demux(template) if packet.size)
        sound.begin(template)
        sound.settle()
        number = 0
        for picture in range(60 * 25):
            now = picture / 25
            moved = jump if now >= 20 else 0.0
            if not sound_first or now > 20:
                clock.place(round((now + moved) * SECOND) + 7200, now)
            while number * BLOCK <= now:
                packet: av.Packet[av.AudioStream] = av.Packet(payload)
                packet.stream, packet.time_base = template, TIME_BASE
                packet.pts = round((float(number * BLOCK) + moved) * SECOND) + 7200
                sound.take(packet, clock)
                number += 1
            if sound_first and now <= 20:
                clock.place(round((now + moved) * SECOND) + 7200, now)
            while taken and sound.packets and (sound.packets[0].pts or 0) <= now * SECOND:
                times.append((sound.packets.popleft().pts or 0) / SECOND)
    return times + [(packet.pts or 0) / SECOND for packet in sound.packets]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("sound_first", [True, False])
@pytest.mark.parametrize("jump", [0, 1, -1, 3, -3, 9, -9, 30, -30, 3600, -3600, 90000, -90000])
def test_a_clock_that_jumps_costs_a_moment_of_sound(clip: Path, jump: float, sound_first: bool, taken: bool) -> None:
    times = heard(clip, jump, sound_first, taken)[-1900:]
    assert all(later > sooner for sooner, later in pairwise(times))
    assert times[-1] == pytest.approx(60, abs=0.3)
    steps = [later - sooner for sooner, later in pairwise(times)]
    # It stands still for the moment of the jump, and never runs away.
    assert max(steps) < 0.5
    assert sum(step > 0.05 for step in steps) <= 2


@pytest.mark.parametrize(
    ("before", "after"),
    [("a.mp4 aac 48000 stereo", "b.mov pcm_mulaw 8000 mono"), ("a.mov pcm_alaw 8000 mono", "b.mp4 aac 44100 stereo"),
     ("a.mkv libopus 48000 mono", "b.mov pcm_alaw 8000 mono"), ("a.mp4 aac 44100 mono", "b.mp4 aac 16000 stereo")],
)  # fmt: skip
def test_sound_that_is_another_after_a_reconnect_goes_on_as_it_was(before: str, after: str, tmp_path: Path) -> None:
    now = 0.0
    clock, sound = RunClock(lambda: now), Sound("camera")
    clock.begin()
    for begin, made in ((0.0, before), (5.0, after)):
        name, codec, rate, layout = made.split()
        clock.anew()
        with av.open(tone(tmp_path / name, codec, int(rate), layout)) as file:
            stream = file.streams.audio[0]
            sound.begin(stream)
            sound.settle()
            for packet in file.demux(stream):
                if packet.pts is not None:
                    seconds = float(packet.pts * packet.time_base)
                    now = begin + seconds
                    clock.place(round(seconds * SECOND), now)
                    sound.take(packet, clock)
    assert sound.template is not None
    decoder = av.CodecContext.create(sound.template.codec_context.codec.canonical_name, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    theirs = sound.template.codec_context
    decoder.extradata, decoder.sample_rate = theirs.extradata, theirs.sample_rate
    decoder.layout = "mono" if theirs.layout.nb_channels == 1 else "stereo"
    times = [(packet.pts or 0) / SECOND for packet in sound.packets]
    assert all(later > sooner for sooner, later in pairwise(times))
    later = [packet for packet in sound.packets if (packet.pts or 0) > 5.3 * SECOND]
    assert times[-1] == pytest.approx(8, abs=0.2)
    assert sum((packet.duration or 0) for packet in later) == pytest.approx(2.6 * SECOND, abs=0.2 * SECOND)
    resampler = av.AudioResampler("fltp", "mono", RATE)
    frames = [frame for packet in later for frame in decoder.decode(av.Packet(bytes(packet)))]
    samples = np.concatenate([each.to_ndarray()[0] for frame in frames for each in resampler.resample(frame)])
    part = samples[RATE // 4 : 2 * RATE]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    assert np.argmax(spectrum) * RATE / len(part) == pytest.approx(HERTZ, abs=2)


def test_sound_where_there_was_none_is_left_out(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = Sound("camera")
    sound.begin(None)
    sound.settle()
    with av.open(clip) as file:
        sound.begin(file.streams.audio[0])
    assert "another than at first, and is left out" in caplog.text
