"""Colours: formats, ranges, matrices and tags, into the room and out of it."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch

from streamderain.frames import PixelLayout, VideoInfo
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.pixels import converted, layout_of, to_planes, to_video_frame, working_format
from streamderain.media.source import open_source
from tests.media.conftest import FFV1, LOSSLESS, picture


@pytest.mark.parametrize(
    ("pixel_format", "working"),
    [
        ("yuv420p", "yuv420p"),
        ("yuvj422p", "yuv422p"),
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("yuyv422", "yuv422p"),
        ("yuva444p10le", "yuv444p10le"),
        ("yuv420p9le", "yuv420p10le"),
        ("yuv422p14le", "yuv422p12le"),
        ("yuv411p", "yuv422p"),
        ("gray10le", "gray10le"),
        ("ya8", "gray"),
        ("monow", "gray"),
        ("rgb24", "yuv444p"),
        ("gbrap16le", "yuv444p12le"),
        ("pal8", "yuv444p"),
    ],
)
def test_the_format_that_frames_are_worked_on_in(pixel_format: str, working: str) -> None:
    assert working_format(pixel_format) == working


@pytest.mark.parametrize("pair", [("yuv420p", "yuv422p10le"), ("gbrp", "yuv422p10le"), ("yuv422p10le", "yuv444p10le")])
def test_a_frame_is_converted_the_same_each_time(pair: tuple[str, str]) -> None:
    own, wanted = pair
    # Large enough for many threads, and of rows that have hardly any padding.
    frame, layout = picture(1, 240, 424, own), PixelLayout(240, 424)

    def samples() -> list[bytes]:
        planes = converted(frame, wanted, layout).planes
        rows = [np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1) for plane in planes]
        return [row[:, : plane.width].tobytes() for row, plane in zip(rows, planes, strict=True)]

    first = samples()
    assert all(samples() == first for _ in range(150))


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(
    "colours",
    [(1, 1, 1, 1), (2, 1, 1, 1), (1, 6, 6, 6), (1, 5, 5, 6), (1, 9, 9, 16), (1, 9, 9, 18), (0, 2, 2, 2), (2, 2, 2, 2)],
)
def test_tags_are_carried_and_what_is_open_stays_open(studio: Any, colours: tuple[int, ...], ending: str) -> None:
    source = studio.clip(colours=colours, pts=range(2))
    output = studio.through(source, f"out.{ending}")
    for path in (source, output):
        info = studio.look(path).info
        assert (info.color_range, info.color_space, info.color_primaries, info.color_trc) == colours
    studio.unchanged(source, output)


@pytest.mark.parametrize("encoder", ["libx265", "libsvtav1", "libvpx-vp9", "ffv1"])
def test_other_encoders_tag_too(studio: Any, encoder: str) -> None:
    source = studio.clip(colours=(2, 9, 9, 16), size=(64, 96), pts=range(3))
    info = studio.look(studio.through(source, "out.mkv", Encoding(encoder, crf=None))).info
    assert (info.color_range, info.color_space, info.color_primaries, info.color_trc) == (2, 9, 9, 16)


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "nv12", "yuv420p10le", "yuv444p10le"]
)
def test_x264_takes_the_input_s_format(studio: Any, pixel_format: str) -> None:
    source = studio.clip(pixel_format=pixel_format, pts=range(2))
    output = studio.through(source)
    studio.unchanged(source, output)
    assert studio.look(output).info.pixel_format == studio.look(source).info.pixel_format


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p10le", "yuv422p10le", "yuv422p12le", "yuv444p12le", "gray", "gray10le", "gray12le"]
)
def test_deep_and_grey_formats_stay(studio: Any, pixel_format: str) -> None:
    source = studio.clip("in.mkv", codec="ffv1", pixel_format=pixel_format, pts=range(2))
    output = studio.through(source, "out.mkv", FFV1)
    studio.unchanged(source, output)
    assert studio.look(output).info.pixel_format == pixel_format


def test_hevc_of_ten_bits(studio: Any) -> None:
    options = {"x265-params": "lossless=1:log-level=none"}
    source = studio.clip(
        codec="libx265", pixel_format="yuv420p10le", size=(64, 96), options=options, colours=(1, 9, 9, 16)
    )
    studio.unchanged(source, studio.through(source))


def test_alpha_is_dropped(studio: Any) -> None:
    source = studio.clip("in.mkv", codec="ffv1", pixel_format="yuva420p", pts=range(2))
    output = studio.through(source, "out.mkv")
    studio.unchanged(source, output)
    assert studio.look(output).info.pixel_format == "yuv420p"


def test_packed_samples_are_the_same_samples(studio: Any) -> None:
    planar = studio.look(studio.clip("a.mkv", codec="ffv1", pixel_format="yuv422p", pts=range(2)))
    packed = studio.look(studio.clip("b.nut", codec="rawvideo", pixel_format="uyvy422", pts=range(2)))
    for ours, theirs in zip(planar.planes, packed.planes, strict=True):
        assert all(torch.equal(first, second) for first, second in zip(ours, theirs, strict=True))


def test_twelve_bits_into_x264_is_ten_and_the_log_says_so(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", codec="ffv1", pixel_format="yuv422p12le", pts=range(2))
    with caplog.at_level(logging.WARNING):
        output = studio.look(studio.through(source, "out.mkv"))
    assert "libx264 has no yuv422p12le; encoding as yuv422p10le" in caplog.text
    for before, after in zip(studio.look(source).planes[0], output.planes[0], strict=True):
        assert (before.float() / 4 - after.float()).abs().max() <= 1


@pytest.mark.parametrize("full", [False, True])
def test_grey_keeps_its_samples_where_the_encoder_has_none(studio: Any, full: bool) -> None:
    colours = (2, 2, 2, 2) if full else (1, 2, 2, 2)
    source = studio.clip("in.mkv", codec="ffv1", pixel_format="gray", colours=colours, pts=range(2))
    lossless = Encoding("libvpx-vp9", crf=None, options={"lossless": "1"})
    after = studio.look(studio.through(source, "out.mkv", lossless))
    assert after.info.pixel_format in ("yuv420p", "yuvj420p")
    assert after.info.color_range == (2 if full else 1)
    assert torch.equal(after.planes[0][0], studio.look(source).planes[0][0])
    assert set(after.planes[0][1].tolist()[0]) == {128}


def test_grey_without_a_tag_is_full_range_and_tagged_so(studio: Any) -> None:
    source = studio.clip("in.mkv", codec="ffv1", pixel_format="gray", pts=range(2))
    with open_source(source) as opened:
        assert opened.info.color_range == 0
        assert layout_of(opened.info).full_range
    after = studio.look(studio.through(source, "out.mkv"))
    assert after.info.color_range == 2
    assert torch.equal(after.planes[0][0], studio.look(source).planes[0][0])


@pytest.mark.parametrize("pixel_format", ["gray", "ya8"])
@pytest.mark.parametrize(("encoder", "ending"), [("ffv1", "mkv"), ("png", "mov"), ("libx264", "mp4")])
def test_grey_that_a_decoder_calls_rgb_stays_grey_of_full_range(
    studio: Any, pixel_format: str, encoder: str, ending: str
) -> None:
    source = studio.clip("in.mov", codec="png", pixel_format=pixel_format, colours=(0, 2, 2, 2), pts=range(2))
    with open_source(source) as opened:
        assert (opened.info.color_space, layout_of(opened.info).full_range) == (0, True)
    options = {"qp": "0"} if encoder == "libx264" else {}
    after = studio.look(studio.through(source, f"out.{ending}", Encoding(encoder, crf=None, options=options)))
    assert after.info.color_range == 2
    assert torch.equal(after.planes[0][0], studio.look(source).planes[0][0])


def rgb_of(planes: tuple[torch.Tensor, ...], weights: tuple[float, float]) -> np.ndarray:
    """Limited 4:4:4 by the book, of eight bits or of ten."""
    unit = 1 if planes[0].dtype == torch.uint8 else 4
    y, cb, cr = (plane.numpy().astype(np.float64) / unit for plane in planes)
    y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    red = y + 2 * (1 - weights[0]) * cr
    blue = y + 2 * (1 - weights[1]) * cb
    green = (y - weights[0] * red - weights[1] * blue) / (1 - weights[0] - weights[1])
    return np.stack([red, green, blue], axis=-1) * 255


SHOWN = picture(0, 32, 48, "rgb24").to_ndarray()


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("in.mkv", "ffv1", "bgr0"),
        ("in.mkv", "ffv1", "bgra"),
        ("in.mov", "png", "rgb24"),
        ("in.mov", "png", "rgba"),
        ("in.mkv", "libx264rgb", "rgb24"),
        ("in.nut", "rawvideo", "bgr24"),
    ],
)
def test_rgb_becomes_bt709_and_is_tagged_so(studio: Any, name: str, codec: str, pixel_format: str) -> None:
    source = studio.clip(name, codec=codec, pixel_format=pixel_format, pts=range(2))
    usual = studio.look(studio.through(source, "usual.mkv", Encoding()))
    assert (usual.info.pixel_format, usual.info.color_space, usual.info.color_range) == ("yuv444p", 1, 1)
    # Eight bits would round.
    after = studio.look(studio.through(source, "out.mkv"))
    assert (after.info.pixel_format, after.info.color_space, after.info.color_range) == ("yuv444p10le", 1, 1)
    assert np.abs(rgb_of(after.planes[0], (0.2126, 0.0722)) - SHOWN).max() < 3


def test_a_palette_becomes_its_colours(studio: Any) -> None:
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255
    palette[1:4, 1:] = [[255, 0, 0], [0, 200, 0], [0, 0, 250]]
    places = (np.arange(32 * 48).reshape(32, 48) // 100 % 4).astype(np.uint8)
    pictures = [av.VideoFrame.from_ndarray((places, palette), format="pal8") for _ in range(2)]
    source = studio.clip("in.gif", codec="gif", pixel_format="pal8", pts=[0, 10], pictures=pictures)
    after = studio.look(studio.through(source))
    assert len(after.times) == 2
    assert np.abs(rgb_of(after.planes[0], (0.2126, 0.0722)) - palette[places][..., 1:]).max() < 3


def test_encoders_of_rgb_get_full_range_rgb(studio: Any) -> None:
    source = studio.clip("in.mov", codec="png", pixel_format="rgb24", pts=range(2))
    output = studio.through(source, "out.mov", Encoding("png", crf=None))
    with av.open(output) as container:
        frame = next(container.decode(video=0))
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - SHOWN).max() < 4


@pytest.mark.parametrize(
    ("space", "lines", "matrix"),
    [
        (1, 100, "bt709"),
        (4, 900, "fcc"),
        *((space, 900, "bt601") for space in (5, 6)),
        (7, 100, "smpte240m"),
        *((space, 100, "bt2020") for space in (9, 10)),
        *((2, lines, matrix) for lines, matrix in ((719, "bt601"), (720, "bt709"))),
    ],
)
def test_the_matrix(space: int, lines: int, matrix: str) -> None:
    info = VideoInfo("h264", "yuv420p", lines, 2000, Fraction(1), color_space=space)
    assert layout_of(info).matrix == matrix


@pytest.mark.parametrize("size", [(37, 51), (1, 1), (1, 64), (64, 1), (2, 3)])
@pytest.mark.parametrize("chroma", ["420", "422", "444", "gray"])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_planes_survive_libav_at_every_size(size: tuple[int, int], chroma: Any, bits: int) -> None:
    layout = PixelLayout(*size, chroma=chroma, bits=bits)
    kind = torch.uint8 if bits == 8 else torch.int16
    data = torch.arange(layout.samples).remainder(2**bits).to(kind)
    name = "gray" if chroma == "gray" else f"yuv{chroma}p"
    name = name if bits == 8 else f"{name}{bits}le"
    frame = to_video_frame(data, layout, name)
    info = VideoInfo("", name, *size, time_base=Fraction(1))
    assert torch.equal(to_planes(frame, info, layout), data)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le"])
@pytest.mark.parametrize("size", [(37, 51), (1, 2), (2, 33), (1, 1)])
def test_odd_sizes_stay_where_the_encoder_can(studio: Any, pixel_format: str, size: tuple[int, int]) -> None:
    source = studio.clip("in.nut", codec="rawvideo", pixel_format=pixel_format, size=size, pts=range(2))
    with open_source(source) as opened:
        assert (opened.info.height, opened.info.width) == size
        frames = list(decode(opened))
    assert len(frames) == 2
    if size[0] > 1 or size[1] > 1:
        output = studio.through(source, "out.nut", Encoding("rawvideo", crf=None))
        studio.unchanged(source, output)


@pytest.mark.parametrize(("pixel_format", "height", "width"), [("yuv420p", 38, 52), ("yuv422p", 37, 52)])
def test_odd_sizes_grow_by_an_edge_where_it_cannot(
    studio: Any, pixel_format: str, height: int, width: int, caplog: pytest.LogCaptureFixture
) -> None:
    source = studio.clip("in.mkv", codec="ffv1", pixel_format=pixel_format, size=(37, 51), pts=range(2))
    with caplog.at_level(logging.WARNING):
        after = studio.look(studio.through(source, "out.mp4", LOSSLESS))
    assert f"libx264 needs even sizes: 51x37 is encoded as {width}x{height}" in caplog.text
    assert (after.info.height, after.info.width) == (height, width)
    before = studio.look(source).planes[1]
    assert torch.equal(after.planes[1][0][:37, :51], before[0])
    assert torch.equal(after.planes[1][0][:, 51], after.planes[1][0][:, 50])
    assert torch.equal(after.planes[1][1], before[1])
