"""One frame in, one packet out, on a clock that only goes forward."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from streamderain.errors import SinkError
from streamderain.frames import VideoInfo
from streamderain.media.broadcast import Broadcast, Chunk, quick
from streamderain.media.encoder import Encoding
from tests.media.receivers import CLOCK, INFO, brightness, chunks, frame


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1"])
def test_each_frame_comes_out_at_once(encoder: str) -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(encoder), None, sent.append)
    for number in range(8):
        broadcast.write(frame(number))
        assert [chunk.arrived for chunk in sent] == [float(each) for each in range(number + 1)]
    broadcast.close()
    assert [chunk.seconds for chunk in sent] == [number / 25 for number in range(8)]
    assert [chunk.packet.duration for chunk in sent] == [3600] * 8
    assert [chunk.is_key for chunk in sent] == [True] + [False] * 7


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_a_viewer_can_begin_at_every_keyframe(encoder: str) -> None:
    broadcast, sent = chunks(60, encoding=Encoding(encoder, options={"sc_threshold": "0"} if "264" in encoder else {}))
    keys = [index for index, chunk in enumerate(sent) if chunk.is_key]
    assert keys == [0, 50]
    # With no header but what is in the packets themselves.
    decoder = av.CodecContext.create("h264" if encoder == "libx264" else "hevc", "r")
    lumas = []
    for chunk in sent[50:]:
        packet = av.Packet(bytes(chunk.packet))
        lumas += [np.frombuffer(memoryview(each.planes[0]), np.uint8)[0] for each in decoder.decode(packet)]
    lumas += [np.frombuffer(memoryview(each.planes[0]), np.uint8)[0] for each in decoder.decode(None)]
    assert len(lumas) == 10
    assert abs(int(lumas[0]) - brightness(50)) < 5
    assert broadcast.streams.video.codec_context.extradata


def test_keyframes_come_by_the_clock_when_frames_are_few() -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(options={"sc_threshold": "0"}), None, sent.append)
    for number in range(12):
        broadcast.write(replace(frame(0), pts=number * 45000))
    broadcast.close()
    assert [chunk.seconds for chunk in sent if chunk.is_key] == [0, 2, 4]


def test_a_keyframe_can_be_asked_for() -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(options={"sc_threshold": "0"}), None, sent.append)
    for number in range(6):
        if number == 3:
            broadcast.ask_keyframe()
        broadcast.write(frame(number))
    broadcast.close()
    assert [chunk.is_key for chunk in sent] == [True, False, False, True, False, False]


def test_time_only_goes_forward_and_any_time_base_will_do() -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(), None, sent.append)
    for pts in (0, 40, 40, 20, 80):
        broadcast.write(replace(frame(0), pts=pts, time_base=Fraction(1, 1000)))
    broadcast.close()
    assert [chunk.packet.pts for chunk in sent] == [0, 3600, 6480, 9360, 13680]
    assert {chunk.packet.time_base for chunk in sent} == {CLOCK}


@pytest.mark.parametrize("step", [1, 2, 5, 25])
@pytest.mark.parametrize("behind", [0, 1, 10, 50])
def test_frames_that_come_after_their_times_keep_their_distances_until_they_have_caught_up(
    behind: int, step: int
) -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(), None, sent.append)
    # A picture stands in for those that are late, and is as far ahead of them.
    numbers = [0, step, step + behind, *range(2 * step, 400, step)]
    for number in numbers:
        broadcast.write(replace(frame(0), pts=number * 3600))
    broadcast.close()
    times = [chunk.packet.pts or 0 for chunk in sent]
    assert min(np.diff(times[2 if not behind else 0 :])) >= 0.8 * 3600
    late = [time - 3600 * number for time, number in zip(times[3:], numbers[3:], strict=True)]
    assert all(0 <= after <= before for before, after in pairwise(late))
    assert late[-1] == 0


def test_frames_of_another_layout_are_made_to_fit() -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(), None, sent.append)
    broadcast.write(frame(0))
    broadcast.write(frame(1, VideoInfo("h264", "yuv422p", 144, 256, CLOCK, Fraction(25))))
    broadcast.close()
    decoder = av.CodecContext.create("h264", "r")
    shown = [each for chunk in sent for each in decoder.decode(av.Packet(bytes(chunk.packet)))] + decoder.decode(None)
    assert [(each.width, each.height) for each in shown] == [(128, 72), (128, 72)]
    assert abs(int(np.frombuffer(memoryview(shown[1].planes[0]), np.uint8)[0]) - brightness(1)) < 4


def test_odd_sizes_become_even(caplog: pytest.LogCaptureFixture) -> None:
    broadcast, sent = chunks(2, info=replace(INFO, height=71, width=127))
    assert (broadcast.streams.video.width, broadcast.streams.video.height) == (128, 72)
    assert (broadcast.layout.width, broadcast.layout.height) == (127, 71)
    assert len(sent) == 2
    assert "even" in caplog.text


def test_sound_passes_as_it_is_and_never_goes_back(clip: Path) -> None:
    sent: list[Chunk] = []
    with av.open(clip) as container:
        broadcast = Broadcast(INFO, Encoding(), container.streams.audio[0], sent.append)
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
    for packet in [*packets, packets[3]]:
        broadcast.sound(packet)
    broadcast.close()
    assert [chunk.packet for chunk in sent] == packets
    assert {(chunk.kind, chunk.is_key, chunk.arrived) for chunk in sent} == {("audio", False, None)}
    assert sent[2].seconds == pytest.approx(packets[2].pts * packets[2].time_base)


def test_without_a_stream_for_it_sound_is_left_out(clip: Path) -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(INFO, Encoding(), None, sent.append)
    with av.open(clip) as container:
        broadcast.sound(next(container.demux(audio=0)))
    broadcast.close()
    assert sent == []


def test_the_users_options_come_first() -> None:
    live = quick(Encoding(preset="medium", options={"tune": "film", "g": "7"}), Fraction(30))
    assert live.options == {"bf": "0", "g": "7", "flags": "+global_header", "tune": "film", "forced-idr": "1"}
    assert live.preset == "medium"
    assert quick(Encoding(), Fraction(30000, 1001)).options["g"] == "120"


def test_the_encoders_refusal_is_a_sink_error() -> None:
    with pytest.raises(SinkError, match="no option nonsense"):
        Broadcast(INFO, Encoding(options={"nonsense": "1"}), None, lambda chunk: None)


def test_ten_bits_stay_ten_bits() -> None:
    sent: list[Chunk] = []
    broadcast = Broadcast(replace(INFO, pixel_format="yuv420p10le"), Encoding("libx265"), None, sent.append)
    tenfold = replace(broadcast.layout)
    data = torch.full((tenfold.samples,), 512, dtype=torch.int16)
    broadcast.write(replace(frame(0), data=data, layout=tenfold))
    broadcast.close()
    assert broadcast.layout.bits == 10
    assert broadcast.streams.video.codec_context.pix_fmt == "yuv420p10le"
    assert len(sent) == 1
