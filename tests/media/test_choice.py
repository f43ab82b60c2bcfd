"""An output's ending alone is enough: it takes an encoder, a rate and a quality that suit it."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.errors import SinkError
from streamderain.media.encoder import Encoding
from streamderain.media.options import joined, options_of
from streamderain.media.source import open_source
from tests.media.test_sink import sound

AUTO = Encoding("auto")

ENDINGS = {
    "mp4": "h264", "m4v": "h264", "mov": "h264", "mkv": "h264", "ts": "h264", "flv": "h264", "3gp": "h264",
    "webm": "vp9", "ogv": "vp8", "gif": "gif", "avi": "mpeg4", "wmv": "wmv2", "mpg": "mpeg2video", "vob": "mpeg2video",
    "mxf": "mpeg2video", "apng": "apng", "y4m": "rawvideo",
}  # fmt: skip


def held(path: Path) -> tuple[str, list[Fraction]]:
    """The codec of a file, and the times of its frames from the first on, in seconds."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        times = [frame.pts * frame.time_base for frame in container.decode(stream)]
        return stream.codec_context.codec.canonical_name, [time - times[0] for time in times]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_takes_an_encoder_and_keeps_its_frames(studio: Any, ending: str, rate: Fraction) -> None:
    clock = Fraction(1, 90_000)
    pts = [round(number / rate / clock) for number in range(8)]
    source = studio.clip(size=(64, 96), pts=pts, time_base=clock, rate=rate)
    codec, times = held(studio.through(source, f"out.{ending}", AUTO))
    assert codec == ENDINGS[ending]
    assert len(times) == 8
    leeway = {"gif": Fraction(1, 199), "ogv": 1 / rate}.get(ending, Fraction(1, 999))
    for found, number in zip(times, range(8), strict=True):
        assert abs(found - number / rate) <= leeway


def test_formats_without_sound_leave_it_out_with_a_word(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mp4", pts=range(8), passengers=[sound()])
    for ending in ("gif", "apng"):
        assert len(held(studio.through(source, f"out.{ending}", AUTO))[1]) == 8
        assert f"audio track 1 (aac) does not fit into {ending} and is left out; " in caplog.text
    with pytest.raises(SinkError, match=r"audio track 1 \(aac\) does not fit into webm"):
        studio.through(source, "out.webm", AUTO)


def test_what_the_user_names_is_not_replaced(studio: Any) -> None:
    with pytest.raises(
        SinkError, match=r"libx264 does not go into webm; try --encoder libvpx-vp9, or an output in \.mp4, \.mkv"
    ):
        studio.through(studio.clip(), "out.webm", Encoding("libx264"))
    assert held(studio.through(studio.clip(), "out.avi", Encoding("ffv1")))[0] == "ffv1"


@pytest.mark.parametrize(("ending", "encoder"), [("gif", "gif"), ("webm", "libvpx-vp9")])
def test_advice_names_an_encoder_that_fits(studio: Any, ending: str, encoder: str) -> None:
    with pytest.raises(SinkError, match=rf"try --encoder {encoder}, or an output in \.mp4, \.mkv"):
        studio.through(
            studio.clip(size=(64, 96)), f"out.{ending}", Encoding("libsvtav1" if ending != "webm" else "libx265")
        )
    studio.through(studio.clip(), f"out.{ending}", Encoding(encoder))


@pytest.mark.parametrize("ending", ["avi", "gif", "mpg"])
def test_uneven_times_that_have_no_place_are_told_and_no_frame_is_lost(
    studio: Any, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    pts = [0, 3600, 9000, 10800, 20000, 21000, 30000, 33000]
    source = studio.clip(pts=pts, time_base=Fraction(1, 90_000), options={"qp": "0", "bf": "0"})
    with caplog.at_level(logging.WARNING):
        _, times = held(studio.through(source, f"out.{ending}", AUTO))
    assert len(times) == 8
    assert times == sorted(set(times))
    assert abs(times[-1] - Fraction(33, 90)) < Fraction(1, 10)
    assert "has no place for the times of the input: they are rounded to" in caplog.text


def test_even_times_are_not_spoken_of(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip(pts=range(0, 3600 * 8, 3600), time_base=Fraction(1, 90_000))
    for ending in ("avi", "mpg", "mxf", "y4m"):
        studio.through(source, f"out.{ending}", AUTO)
    assert caplog.text == ""


@pytest.mark.parametrize("rate", [24, 25, 30])
@pytest.mark.parametrize("late", [Fraction(0), Fraction(1, 48), Fraction(1, 40), Fraction(1, 31)])
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_even_times_stay_so_wherever_between_two_frames_they_begin(
    studio: Any, codec: str, late: Fraction, rate: int
) -> None:
    """Beside sound that begins at 0, or before as what its encoder puts before it does."""
    pts = [round((late + Fraction(number, rate)) * 90_000) for number in range(12)]
    source = studio.clip("in.mov", pts=pts, time_base=Fraction(1, 90_000), rate=rate, passengers=[sound(codec)])
    times = held(studio.through(source, "out.avi", AUTO))[1]
    assert times == [Fraction(number, rate) for number in range(12)]


@pytest.mark.parametrize(
    ("encoder", "ending"), [("mpeg4", "avi"), ("mpeg2video", "mpg"), ("wmv2", "wmv"), ("mjpeg", "avi")]
)
def test_crf_moves_encoders_that_know_only_a_quantiser(studio: Any, encoder: str, ending: str) -> None:
    source = studio.clip("in.mkv", codec="ffv1", size=(64, 96), pts=range(6))
    sizes = [studio.through(source, f"{crf}.{ending}", Encoding(encoder, crf)).stat().st_size for crf in (16, 24, 40)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_what_a_user_asks_of_the_rate_prevails() -> None:
    assert options_of("mpeg4", {"b": "90000"}, None, 18) == {"b": "90000"}
    assert options_of("mpeg4", {"qmax": "9"}, None, 18) == {"qmax": "9"}
    assert options_of("mpeg4", {}, None, 18) == {"qmin": "2", "qmax": "2"}
    assert options_of("libx264", {"crf": "9"}, None, 18) == {"crf": "9"}
    assert options_of("ffv1", {}, None, 18) == {}


def test_lists_are_joined_with_the_user_s_word_last() -> None:
    assert joined({"x265-params": "a=1", "bf": "0"}, {"x265-params": "a=2", "bf": "3"}) == {
        "x265-params": "a=1:a=2",
        "bf": "3",
    }


def test_a_preset_that_the_fitting_encoder_lacks_is_left_out_with_a_word(
    studio: Any, caplog: pytest.LogCaptureFixture
) -> None:
    studio.through(studio.clip(), "out.avi", Encoding("auto", preset="slow"))
    assert "mpeg4 has no presets; slow is left out" in caplog.text
    with pytest.raises(SinkError, match="mpeg4 has no presets; leave --preset out"):
        studio.through(studio.clip(), "out.avi", Encoding("mpeg4", preset="slow"))


def sound_from(begin: Fraction) -> Any:
    """A passenger for studio.clip that begins then, in seconds."""

    def make(container: Any) -> list[Any]:
        stream = container.add_stream("mp2", rate=48000)
        packets = []
        for number in range(20):
            noise = av.AudioFrame.from_ndarray(np.ones((1, 1152), np.int16), format="s16", layout="mono")
            noise.sample_rate, noise.pts = 48000, int(begin * 48000) + number * 1152
            packets += [packet for each in _resampled(noise, stream) for packet in stream.encode(each)]
        return packets + list(stream.encode(None))

    return make


def _resampled(noise: av.AudioFrame, stream: Any) -> list[Any]:
    return list(av.AudioResampler(format=stream.format, layout=stream.layout).resample(noise))


@pytest.mark.parametrize(
    ("encoder", "ending"),
    [("mpeg2video", "mpg"), ("mpeg2video", "mkv"), ("mpeg4", "mkv"), ("mjpeg", "mov")],
)
def test_sound_stays_in_step_where_the_encoder_counts_frames(studio: Any, encoder: str, ending: str) -> None:
    for begin in (-10, 13):
        size = (96, 128)
        source = studio.clip(
            "in.mkv", size=size, pts=[90 + 40 * number for number in range(8)], time_base=Fraction(1, 1000),
            passengers=[sound_from(Fraction(90 + begin, 1000))],
        )  # fmt: skip
        apart = []
        for path in (source, studio.through(source, f"out.{ending}", Encoding(encoder, crf=None))):
            with av.open(path) as container:
                firsts: dict[str, Fraction] = {}
                for packet in container.demux():
                    if packet.pts is not None and packet.size:
                        at = packet.pts * packet.time_base
                        firsts[packet.stream.type] = min(at, firsts.get(packet.stream.type, at))
            apart.append(firsts["audio"] - firsts["video"])
        assert apart[1] == pytest.approx(apart[0], abs=1.1e-3)


@pytest.mark.parametrize(("ending", "encoder"), [("avi", "mjpeg"), ("mp4", "libx264"), ("wmv", "wmv2")])
def test_samples_of_full_range_get_an_encoder_that_holds_them_or_a_word(
    studio: Any, ending: str, encoder: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = studio.clip("in.mkv", pixel_format="yuv420p", colours=(2, 1, 1, 1), pts=range(4))
    output = studio.through(source, f"out.{ending}", Encoding("auto"))
    with open_source(output) as opened:
        assert av.Codec(encoder, "w").canonical_name == opened.info.codec
        assert (opened.info.color_range == 2) == (ending != "wmv")
    assert ("does not hold the range of its samples" in caplog.text) == (ending == "wmv")


@pytest.mark.parametrize("name", ["out.3g2", "out.m4v", "out.3gp"])
def test_films_of_phones_take_what_phones_show(studio: Any, name: str) -> None:
    with open_source(studio.through(studio.clip(), name, Encoding("auto"))) as opened:
        assert opened.info.codec == "h264"


@pytest.mark.parametrize(
    ("encoder", "ending"),
    [
        ("h263", "mkv"),
        ("wmv2", "mkv"),
        ("wmv2", "mov"),
        ("utvideo", "mkv"),
        ("tiff", "mov"),
        ("tiff", "mkv"),
        ("v210", "mkv"),
    ],
)
def test_an_encoder_goes_into_what_holds_it_whatever_pyav_says(studio: Any, encoder: str, ending: str) -> None:
    """As ffmpeg writes it."""
    source = studio.clip("in.mkv", size=(96, 128), pts=range(5), passengers=[sound_from(Fraction(0))])
    output = studio.through(source, f"out.{ending}", Encoding(encoder, crf=None))
    with av.open(output) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == av.Codec(encoder, "w").canonical_name
        assert (container.streams.video[0].width, container.streams.video[0].height) == (128, 96)
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(
            [0, 0.04, 0.08, 0.12, 0.16], abs=1e-3
        )
    with av.open(output) as container:
        assert len(container.streams.audio) == 1


def test_no_output_is_advised_that_does_not_hold_the_encoder(studio: Any) -> None:
    """A transport stream takes anything, and nobody knows it again."""
    with pytest.raises(SinkError, match=r"qtrle does not go into mp4; try --encoder libx264, or an output in \.mov$"):
        studio.through(studio.clip(), "out.mp4", Encoding("qtrle", crf=None))


def test_an_encoder_that_lists_a_format_and_refuses_it_gets_the_next(studio: Any) -> None:
    """libvpx names 4:4:4 with alpha, and takes 4:2:0 with alpha alone."""
    glass = [av.VideoFrame(96, 64, "yuva444p10le") for _ in range(2)]
    source = studio.clip(
        "in.mkv", codec="ffv1", pixel_format="yuva444p10le", size=(64, 96), pts=range(2), pictures=glass
    )
    with av.open(studio.through(source, "out.webm", Encoding("auto"))) as container:
        stream = container.streams.video[0]
        tags = {key.lower(): value for key, value in stream.metadata.items()}
        assert (stream.codec_context.codec.canonical_name, tags.get("alpha_mode")) == ("vp9", "1")
