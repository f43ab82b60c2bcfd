"""What a picture says of itself comes out as it went in; what an output has no place for is said before."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.light import _header
from streamderain.media.pixels import layout_of
from streamderain.media.sidedata import ONE, orientation
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from tests.media.conftest import FFV1, LOSSLESS, picture

TURNS = {
    "upright": (1, 0, 0, 1),
    "left": (0, -1, 1, 0),
    "over": (-1, 0, 0, -1),
    "right": (0, 1, -1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "swapped": (0, 1, 1, 0),
    "swapped and over": (0, -1, -1, 0),
}
"""The eight ways to lay a picture, as a, b, c and d of x' = ax + cy, y' = bx + dy."""


def matrix_of(turn: tuple[int, int, int, int]) -> tuple[int, ...]:
    a, b, c, d = (each * ONE for each in turn)
    return (a, b, 0, c, d, 0, 0, 0, 1 << 30)


def turned_clip(folder: Path, matrix: tuple[int, ...], name: str = "in.mp4") -> Path:
    with av.open(folder / name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        stream.codec_context.height, stream.codec_context.width = 32, 64
        stream.set_display_matrix(matrix)
        for number in range(2):
            frame = picture(number, 32, 64, "yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder / name


def first_of(path: Path) -> av.VideoFrame:
    with av.open(path) as container:
        return next(container.decode(video=0))


def side_data(path: Path, kind: str) -> list[bytes]:
    """What each frame of a file has of a kind."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
        return [bytes(each) for frame in frames for each in frame.side_data if each.type.name == kind]


def shown(path: Path) -> np.ndarray[Any, Any]:
    """The first picture as a player shows it: every pixel where the matrix puts it."""
    frame = first_of(path)
    pixels = frame.to_ndarray(format="gray")
    found = side_data(path, "DISPLAYMATRIX")
    a, b, _, c, d, *_ = struct.unpack("9i", found[0]) if found else matrix_of(TURNS["upright"])
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    across, down = (a * x + c * y) // ONE, (b * x + d * y) // ONE
    across, down = across - across.min(), down - down.min()
    canvas = np.zeros((down.max() + 1, across.max() + 1), np.uint8)
    canvas[down, across] = pixels
    return canvas


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("turn", TURNS)
def test_a_picture_is_shown_as_it_was(studio: Any, turn: str, ending: str) -> None:
    source = turned_clip(studio.folder, matrix_of(TURNS[turn]))
    output = studio.through(source, f"out.{ending}")
    assert np.array_equal(shown(output), shown(source))
    assert set(side_data(output, "DISPLAYMATRIX")) == set(side_data(source, "DISPLAYMATRIX"))


@pytest.mark.parametrize("turn", TURNS)
def test_the_gist_of_a_matrix(turn: str) -> None:
    pixels = np.arange(6).reshape(2, 3)
    rotation, mirrored = orientation(matrix_of(TURNS[turn]))
    a, b, c, d = TURNS[turn]
    y, x = np.mgrid[0:2, 0:3]
    across, down = a * x + c * y, b * x + d * y
    expected = np.zeros((np.ptp(down) + 1, np.ptp(across) + 1), int)
    expected[down - down.min(), across - across.min()] = pixels
    upright = np.rot90(pixels, rotation // 90)
    assert np.array_equal(np.fliplr(upright) if mirrored else upright, expected)


def test_a_matrix_that_is_no_quarter_turn_is_kept_too(studio: Any) -> None:
    odd = (46341, 46341, 0, -46341, 46341, 0, 7 * ONE, 0, 1 << 30)
    source = turned_clip(studio.folder, odd)
    assert side_data(studio.through(source), "DISPLAYMATRIX") == side_data(source, "DISPLAYMATRIX") != []


@pytest.mark.parametrize("ending", ["avi", "ts"])
def test_what_has_no_place_for_a_matrix_says_so(studio: Any, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    source = turned_clip(studio.folder, matrix_of(TURNS["mirrored"]))
    with caplog.at_level(logging.WARNING):
        # A transport stream of one frame is too short for libav to know it.
        studio.through(source, f"out.{ending}", Encoding("mpeg4"), verify=False)
    assert "does not hold the display matrix; an output in .mkv does" in caplog.text


@pytest.mark.parametrize(
    ("encoder", "ending"), [("libx264", "mp4"), ("libx264", "mkv"), ("ffv1", "mkv"), ("libx265", "mp4")]
)
@pytest.mark.parametrize("place", ["left", "center", "topleft"])
def test_where_chroma_lies(studio: Any, place: str, encoder: str, ending: str) -> None:
    source = studio.clip(size=(64, 96), pts=range(2), options={"qp": "0", "chroma_sample_location": place})
    output = studio.through(source, f"out.{ending}", Encoding(encoder, crf=None))
    with open_source(source) as before, open_source(output) as after:
        assert before.info.chroma_location == after.info.chroma_location == place


def interlaced(studio: Any, top_first: bool, name: str = "in.mp4") -> Path:
    graph = av.filter.Graph()
    entry = graph.add_buffer(width=96, height=64, format="yuv420p", time_base=Fraction(1, 25))
    marked = graph.add("setparams", f"field_mode={'tff' if top_first else 'bff'}")
    graph.link_nodes(entry, marked, graph.add("buffersink")).configure()
    pictures = []
    for number in range(6):
        graph.vpush(picture(number, 64, 96, "yuv420p"))
        pictures.append(graph.vpull())
    options = {"qp": "0", "flags": "+ildct+ilme"}
    return Path(studio.clip(name, size=(64, 96), pts=range(6), options=options, pictures=pictures))


@pytest.mark.parametrize("top_first", [True, False])
@pytest.mark.parametrize(
    ("encoder", "ending"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("ffv1", "mkv"), ("mpeg2video", "mpg")],
)
def test_fields_stay_fields(studio: Any, top_first: bool, encoder: str, ending: str) -> None:
    source = interlaced(studio, top_first)
    output = studio.through(
        source, f"out.{ending}", Encoding(encoder, crf=None, options={"qp": "0"} if encoder == "libx264" else {})
    )
    for path in (source, output):
        with open_source(path) as opened:
            assert opened.info.is_interlaced
            assert opened.info.shows_top_first == top_first
        with av.open(path) as container:
            assert all(frame.interlaced_frame for frame in container.decode(video=0))
    if encoder != "mpeg2video":
        studio.unchanged(source, output)


def test_that_a_video_is_interlaced_is_told(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    with open_source(interlaced(studio, True)):
        assert "in.mp4 is interlaced, and stays so; --deinterlace makes whole frames" in caplog.text


DISPLAY = tuple(map(Fraction, ("0.68", "0.32", "0.265", "0.69", "0.15", "0.06", "0.3127", "0.329", "0.0001", "1000")))


def bright_clip(studio: Any, encoder: str = "ffv1") -> Path:
    """HDR10 without a word of it in the stream, by the container alone."""
    colours = (1, 9, 9, 16)
    made = studio.clip(
        "plain.mkv", codec=encoder, pixel_format="yuv420p10le", size=(64, 96), colours=colours, pts=range(3)
    )
    with open_source(made) as opened:
        info = replace(opened.info, mastering_display=DISPLAY, content_light=(1000, 400))
        extradata = opened.video.codec_context.extradata or b""
    template = studio.folder / "template.mkv"
    template.write_bytes(_header("V_FFV1", info, extradata))
    path = studio.folder / "in.mkv"
    with av.open(template) as like, av.open(made) as frames, av.open(path, "w") as container:
        copy = container.add_stream_from_template(like.streams.video[0], opaque=True)
        context = copy.codec_context
        context.pix_fmt, context.extradata = "yuv420p10le", extradata
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = colours
        for packet in frames.demux(video=0):
            if packet.size:
                packet.stream = copy
                container.mux(packet)
    return Path(path)


@pytest.mark.parametrize(
    ("encoder", "ending"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libx265", "mp4"), ("libx265", "mov"), ("ffv1", "mkv"), ("ffv1", "mp4"),
     ("libsvtav1", "mkv"), ("prores_ks", "mov")],
)  # fmt: skip
def test_the_light_of_the_display_is_kept(studio: Any, encoder: str, ending: str) -> None:
    source = bright_clip(studio)
    output = studio.through(source, f"out.{ending}", Encoding(encoder, crf=None))
    for path in (source, output):
        with open_source(path) as opened:
            assert opened.info.content_light == (1000, 400)
            found = opened.info.mastering_display
            assert found is not None
            for ours, theirs in zip(found, DISPLAY, strict=True):
                assert ours is not None
                assert abs(ours - theirs) <= Fraction(1, 25_000)
    assert len(studio.look(output).times) == 3
    if encoder == "ffv1":
        studio.unchanged(source, output)


def test_light_is_written_into_the_stream_too(studio: Any) -> None:
    """As a raw stream shows, which has no container to tell it."""
    for encoder, ending in (("libx264", "h264"), ("libx265", "hevc")):
        output = studio.through(bright_clip(studio), f"out.{ending}", Encoding(encoder))
        assert side_data(output, "MASTERING_DISPLAY_METADATA")
        assert struct.unpack("2I", side_data(output, "CONTENT_LIGHT_LEVEL")[0]) == (1000, 400)


def test_light_that_has_no_place_is_told(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    studio.through(bright_clip(studio), "out.mov", Encoding("mjpeg", crf=None))
    assert "does not hold the colour matrix, the mastering display and the content light level" in caplog.text


def captions(number: int) -> bytes:
    """ATSC A/53 part 4: one pair of letters of line 21."""
    return b"\xb5\x00\x31GA94\x03" + bytes([0xC2, 0xFF, 0xFC, 0x41 + number, 0x42, 0xF8, 0, 0, 0xFF])


def hdr10_plus(number: int) -> bytes:
    """SMPTE ST 2094-40 with one window, as bits: value and width."""
    parts = [(1, 2), (400, 27), (0, 1), *[(12_000 + number, 17)] * 4, (0, 4), (5, 10), (0, 1), (0, 1), (0, 1)]
    bits = "".join(f"{value:0{width}b}" for value, width in parts)
    bits += "0" * (-len(bits) % 8)
    return b"\xb5\x00\x3c\x00\x01\x04\x01" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def user_data(number: int) -> bytes:
    return b"of another maker" + b"drone %d" % number


def with_message(folder: Path, encoder: str, kind: int, message: Callable[[int], bytes]) -> Path:
    """A clip with a supplemental message of H.264 or HEVC before each picture."""
    path, unit = folder / "in.mp4", b"\x06" if encoder == "libx264" else b"\x4e\x01"
    options = {"bf": "0", "tune": "zerolatency"} | ({"x265-params": "log-level=none"} if encoder == "libx265" else {})
    with av.open(path, "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le" if encoder == "libx265" else "yuv420p"
        packets = []
        for number in range(4):
            frame = picture(number, 64, 96, stream.pix_fmt)
            frame.pts = number
            packets += stream.encode(frame)
        for number, packet in enumerate(packets + stream.encode(None)):
            text = message(number)
            body = (
                (bytes([kind, len(text)]) + text + b"\x80")
                .replace(b"\0\0\0", b"\0\0\3\0")
                .replace(b"\0\0\1", b"\0\0\3\1")
            )
            copy: av.Packet[Any] = av.Packet(b"\0\0\0\1" + unit + body + bytes(packet))
            copy.stream, copy.pts, copy.dts, copy.time_base = stream, packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.duration = packet.is_keyframe, packet.duration
            container.mux(copy)
    return path


@pytest.mark.parametrize(
    ("encoder", "ending"), [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("mpeg2video", "mpg")]
)
def test_captions_stay_with_their_frames(studio: Any, encoder: str, ending: str) -> None:
    source = with_message(studio.folder, "libx264", 4, captions)
    before = side_data(source, "A53_CC")
    assert len(set(before)) == 4
    assert side_data(studio.through(source, f"out.{ending}", Encoding(encoder)), "A53_CC") == before


def test_user_data_stays(studio: Any) -> None:
    source = with_message(studio.folder, "libx264", 5, user_data)
    kept = side_data(studio.through(source), "SEI_UNREGISTERED")
    assert [each for each in kept if each.startswith(b"of another")] == [user_data(number) for number in range(4)]


@pytest.mark.parametrize(
    ("maker", "message", "encoder", "said"),
    [
        ("libx264", captions, "ffv1", "matroska with ffv1 does not hold captions (A53); --encoder libx264 does"),
        ("libx264", captions, "libx265", "matroska with libx265 does not hold captions (A53); --encoder libx264 does"),
        (
            "libx265",
            hdr10_plus,
            "libx264",
            "matroska with libx264 does not hold HDR10+ data, nor does any other output here",
        ),
    ],
)
def test_messages_that_an_encoder_cannot_carry_are_told_before_the_first_frame(
    studio: Any, maker: str, message: Callable[[int], bytes], encoder: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = with_message(studio.folder, maker, 4, message)
    studio.through(source, "out.mkv", Encoding(encoder, crf=None))
    assert said in caplog.text


@pytest.mark.parametrize(("pixel_format", "encoder", "ending"), [
    ("yuva420p", "ffv1", "mkv"), ("yuva444p10le", "prores_ks", "mov"), ("bgra", "png", "mov"),
    ("yuva420p", "libvpx-vp9", "webm"),
])  # fmt: skip
def test_alpha_is_kept_where_the_encoder_takes_it(studio: Any, pixel_format: str, encoder: str, ending: str) -> None:
    glass = np.full((64, 96, 4), 200, np.uint8)
    glass[:, :, 3] = np.arange(96) * 2
    pictures = [av.VideoFrame.from_ndarray(glass, format="rgba").reformat(format=pixel_format) for _ in range(2)]
    source = studio.clip(
        "in.nut", codec="rawvideo", pixel_format=pixel_format, size=(64, 96), pts=range(2), pictures=pictures
    )
    output = studio.through(source, f"out.{ending}", Encoding(encoder, crf=None))
    with av.open(output) as container:
        stream = container.streams.video[0]
        tag = stream.metadata.get("alpha_mode") or stream.metadata.get("ALPHA_MODE")
        if encoder == "libvpx-vp9":
            assert tag == "1"
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frame = next(frame for packet in container.demux(stream) for frame in decoder.decode(packet))
        else:
            assert tag is None
            frame = next(container.decode(stream))
        alpha = frame.reformat(format="rgba").to_ndarray()[..., 3].astype(int)
    assert np.abs(alpha - glass[..., 3]).max() <= (6 if encoder == "libvpx-vp9" else 1)


def test_no_tag_promises_alpha_that_is_gone(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.nut", codec="rawvideo", pixel_format="yuva420p", pts=range(2))
    through = studio.through(source, "glass.webm", Encoding("libvpx-vp9"))
    output = studio.through(through, "out.mkv")
    with av.open(output) as container:
        assert not {"alpha_mode", "ALPHA_MODE"} & container.streams.video[0].metadata.keys()
    assert "does not hold alpha" in caplog.text
    caplog.clear()
    studio.through(source, "other.mkv", LOSSLESS)
    assert "libx264 has no yuva420p; encoding as yuv420p, alpha is lost; --encoder ffv1 keeps it" in caplog.text


def test_changed_pictures_keep_what_they_say(studio: Any) -> None:
    """Not only those that the network left alone."""
    from dataclasses import replace

    source = with_message(studio.folder, "libx264", 4, captions)
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mkv", opened, layout_of(opened.info), LOSSLESS)
        frames = [replace(frame, data=frame.data ^ 1) for frame in decode(opened)]
        for frame in frames:
            sink.write(frame)
        sink.commit()
    assert side_data(studio.folder / "out.mkv", "A53_CC") == side_data(source, "A53_CC")
    after = studio.look(studio.folder / "out.mkv")
    for frame, planes in zip(frames, after.planes, strict=True):
        assert torch.equal(torch.cat([plane.flatten() for plane in planes]), frame.data)


def test_nothing_is_said_of_what_is_kept(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = turned_clip(studio.folder, matrix_of(TURNS["left"]))
    for ending in ("mp4", "mov", "mkv"):
        studio.through(source, f"out.{ending}")
    studio.through(bright_clip(studio), "light.mkv", FFV1)
    assert caplog.text == ""


@pytest.mark.parametrize(("colours", "what"), [
    ((1, 9, 2, 2), "the colour matrix"), ((1, 2, 9, 2), "the colour primaries"),
    ((1, 2, 2, 16), "the transfer of light"), ((2, 2, 2, 2), "the range of its samples"),
])  # fmt: skip
def test_colours_that_have_no_place_are_told(
    studio: Any, colours: tuple[int, ...], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = studio.clip("in.mkv", colours=colours, pts=range(2))
    studio.through(source, "out.avi", Encoding("mpeg4", crf=None))
    assert f"avi with mpeg4 does not hold {what}; an output in .mkv does" in caplog.text
    caplog.clear()
    studio.through(source, "out.mkv", Encoding("mpeg4", crf=None))
    studio.through(source, "out.mp4")
    assert caplog.text == ""


def test_rgb_needs_neither_range_nor_matrix(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip("in.mkv", colours=(2, 1, 2, 2), pts=range(2))
    studio.through(source, "out.mov", Encoding("png", crf=None))
    assert "the range of its samples" not in caplog.text
    assert "the colour matrix" not in caplog.text
