"""Frames that nothing changed come back to the bit from every encoder that can lose nothing; or it is said."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.frames import PixelLayout, VideoInfo
from streamderain.media.choice import fitting_format
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.options import opens
from streamderain.media.pixels import changed, converted, layout_of, rounding, to_planes, working_format
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from tests.media.conftest import FFV1

FORMATS = [
    "yuv420p", "yuvj420p", "nv12", "yuyv422", "uyvy422", "yuv411p", "yuv410p", "yuv440p", "yuv444p", "yuv420p9le",
    "yuv420p10le", "yuv422p12le", "yuv420p16le", "yuv444p16le", "yuva420p", "yuva422p", "yuva444p10le", "gray",
    "gray10le", "gray12le", "gray16le", "ya8", "monow", "rgb24", "bgr24", "bgra", "gbrp", "gbrp10le", "gbrap12le",
    "rgb48le", "rgba64le", "pal8",
]  # fmt: skip

Gray = np.ndarray[Any, Any]


def noise(pixel_format: str, seed: int, size: tuple[int, int] = (48, 64)) -> av.VideoFrame:
    rng = np.random.default_rng(seed)
    if pixel_format == "pal8":
        palette = rng.integers(0, 256, (256, 4)).astype(np.uint8)
        palette[:, 0] = 255
        return av.VideoFrame.from_ndarray((rng.integers(0, 256, size).astype(np.uint8), palette), format="pal8")
    samples = rng.integers(0, 1 << 16, (*size, 4), np.uint16)
    return av.VideoFrame.from_ndarray(samples, format="rgba64le").reformat(format=pixel_format)


def clip_of(studio: Any, pixel_format: str) -> Path:
    pictures = [noise(pixel_format, seed) for seed in range(3)]
    return Path(
        studio.clip(
            "in.nut", codec="rawvideo", pixel_format=pixel_format, size=(48, 64), pts=range(3), pictures=pictures
        )
    )


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(path) as container:
        return list(container.decode(video=0))


def samples(frame: av.VideoFrame) -> bytes:
    """The samples without what pads the lines."""
    raw = av.CodecContext.create("rawvideo", "w")
    assert isinstance(raw, av.VideoCodecContext)
    raw.width, raw.height, raw.pix_fmt, raw.time_base = frame.width, frame.height, frame.format.name, Fraction(1, 25)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return b"".join(bytes(packet) for packet in raw.encode(frame))


def back(frame: av.VideoFrame, wanted: str, layout: PixelLayout) -> bytes:
    """The samples of `frame` in the format that its original had."""
    if wanted == "pal8":
        # As swscale would have it by a matrix of its own choice.
        shown = converted(frame, "gbrp", layout) if frame.format.name.startswith("yuv") else frame
        return samples(shown.reformat(format="bgra"))
    return samples(converted(frame, wanted, layout))


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize(
    ("encoder", "ending"),
    [
        ("rawvideo", "nut"),
        ("ffv1", "mkv"),
        ("png", "mov"),
        ("libx264", "mkv"),
        ("utvideo", "avi"),
        ("libx264rgb", "mkv"),
    ],
)
def test_frames_come_back_to_the_bit_or_it_is_said(
    studio: Any, pixel_format: str, encoder: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = clip_of(studio, pixel_format)
    with open_source(source) as opened:
        layout = layout_of(opened.info)
    encoding = Encoding(encoder, crf=None, options={"qp": "0"} if "264" in encoder else {})
    with caplog.at_level(logging.WARNING):
        output = studio.through(source, f"out.{ending}", encoding)
    before, after = frames_of(source), frames_of(output)
    assert len(after) == 3
    same = all(
        back(theirs, pixel_format, layout) == back(ours, pixel_format, layout)
        for ours, theirs in zip(before, after, strict=True)
    )
    assert same != (f"{encoder} has no {pixel_format.replace('yuvj', 'yuv')}; encoding as" in caplog.text)
    if encoder in ("rawvideo", "ffv1"):
        assert same


@pytest.mark.parametrize(("pixel_format", "encoder", "holder"), [
    ("yuv411p", "libx264", "ffv1"), ("gray16le", "libx264", "ffv1"), ("rgb24", "libx264", "ffv1"),
    ("gbrpf32le", "ffv1", "rawvideo"), ("yuv420p", "png", "ffv1"), ("yuv420p10le", "libvpx-vp9", "ffv1"),
])  # fmt: skip
def test_an_encoder_is_named_that_holds_all(
    studio: Any, pixel_format: str, encoder: str, holder: str, caplog: pytest.LogCaptureFixture
) -> None:
    studio.through(clip_of(studio, pixel_format), "out.mov" if encoder == "png" else "out.mkv", Encoding(encoder))
    assert f"; --encoder {holder} keeps it" in caplog.text
    assert "which rounds it by up to" in caplog.text


def test_how_much_is_rounded_is_what_comes_back(studio: Any) -> None:
    """The number in the message, against a picture that went there and back."""
    layout = PixelLayout(48, 64)
    for own, other in (("rgb24", "yuv444p"), ("yuv411p", "yuv422p"), ("gray16le", "gray12le")):
        there = converted(noise(own, 7), other, layout)
        ours, theirs = (np.frombuffer(samples(each), np.uint8 if own != "gray16le" else np.uint16).astype(int)
                        for each in (noise(own, 7), converted(there, own, layout)))  # fmt: skip
        top = 65535 if own == "gray16le" else 255
        assert 0 < np.abs(ours - theirs).max() / top <= rounding(other, own, layout) * 1.5


@pytest.mark.parametrize("pixel_format", [each for each in FORMATS if each not in ("monow", "pal8")])
def test_only_what_changed_changes(pixel_format: str) -> None:
    """The left half is made lighter; the right half, alpha and all else stay to the bit."""
    original = noise(pixel_format, 3)
    untouched = samples(noise(pixel_format, 3))
    layout = replace(PixelLayout(48, 64), bits=8)
    working = working_format(pixel_format)
    layout = replace(
        layout,
        chroma="gray" if working.startswith("gray") else working[3:6],  # type: ignore[arg-type]
        bits=12 if "12" in working else 10 if "10" in working else 8,
    )
    data = to_planes(original, VideoInfo("", pixel_format, 48, 64, Fraction(1, 25)), layout)
    assert changed(original, data, layout) is original
    lighter = data.clone()
    luma = layout.split(lighter)[0]
    luma[:, :24] = luma[:, :24] // 2
    after = changed(original, lighter, layout)
    assert after.format.name == pixel_format
    ours, theirs = (noise(pixel_format, 3), after)
    shown = [each.reformat(format="rgba").to_ndarray().astype(int) for each in (ours, theirs)]
    assert np.abs(shown[1] - shown[0])[:, :16, :3].mean() > 5
    assert np.array_equal(shown[1][:, 40:], shown[0][:, 40:])
    assert np.array_equal(shown[1][..., 3], shown[0][..., 3])
    assert samples(after) != untouched


def test_formats_that_players_expect_are_kept_for_what_is_lossy_anyway() -> None:
    info = VideoInfo("png", "rgb24", 48, 64, Fraction(1, 25))
    for is_lossless, expected in ((False, "yuv444p"), (True, "gbrp")):
        chosen, _ = fitting_format("libvpx-vp9", info, layout_of(info), is_lossless, lambda name: True)
        assert chosen == expected


def test_a_format_that_an_encoder_lists_but_refuses_is_not_taken(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not opens("ffv1", {}, "gbrpf32le")
    assert len(studio.look(studio.through(clip_of(studio, "gbrpf32le"), "out.mkv", FFV1)).times) == 3


def test_a_palette_of_few_colours_survives_a_gif(studio: Any) -> None:
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255
    palette[1:5, 1:] = [[255, 0, 0], [0, 200, 0], [0, 0, 250], [9, 9, 9]]
    places = (np.arange(32 * 48).reshape(32, 48) // 90 % 5).astype(np.uint8)
    pictures = [av.VideoFrame.from_ndarray((np.roll(places, n, 1), palette), format="pal8") for n in range(3)]
    source = studio.clip(
        "in.gif", codec="gif", pixel_format="pal8", pts=[0, 10, 20], time_base=Fraction(1, 100), pictures=pictures
    )
    output = studio.through(source, "out.gif", Encoding("auto"))
    for ours, theirs in zip(frames_of(source), frames_of(output), strict=True):
        assert samples(ours.reformat(format="bgra")) == samples(theirs.reformat(format="bgra"))
    assert studio.look(output).times == studio.look(source).times


def test_a_network_s_change_reaches_rgb(studio: Any) -> None:
    """Through the sink, with a frame made as the engine makes it."""
    source = clip_of(studio, "rgb24")
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mkv", opened, layout_of(opened.info), FFV1)
        for frame in decode(opened):
            assert frame.original is not None
            data = frame.data.clone()
            frame.layout.split(data)[0][:16] = 100
            sink.write(replace(frame, data=data))
        sink.commit()
    before, after = frames_of(source), frames_of(studio.folder / "out.mkv")
    for ours, theirs in zip(before, after, strict=True):
        first, second = ours.to_ndarray(format="rgb24").astype(int), theirs.to_ndarray(format="rgb24").astype(int)
        assert np.array_equal(first[16:], second[16:])
        assert np.abs(first[:16] - second[:16]).mean() > 5
