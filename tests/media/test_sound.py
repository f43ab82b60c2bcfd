"""Sound beside pictures, whatever their clock does."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamderain.media.sound import Sound
from streamderain.media.wall import TIME_BASE, RunClock

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
