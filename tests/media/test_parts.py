"""Parts of a film, put together, are the film: pictures, times, and all that is beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from streamderain.errors import SinkError, TruncatedError
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoder, Encoding
from streamderain.media.parts import Part, PartSink, join, times_in
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import Source, open_source
from tests.media.conftest import FFV1, LOSSLESS
from tests.media.test_sink import sound, words

UNEVEN = [0, 1, 2, 5, 6, 20, 21, 22, 23, 30, 37, 38, 39, 50, 51, 52, 53, 54, 60, 61]
REORDERED = Encoding(crf=None, options={"qp": "0", "bf": "3"})


def written(
    path: Path, source: Source, frames: Sequence[Frame], encoding: Encoding, kind: str, lasts: int, first: int = 0,
    following: Sequence[Frame] = (),
) -> Part:  # fmt: skip
    layout = layout_of(source.info)
    sink = PartSink(path, source.info, layout, encoding, kind, lambda: lasts, first, lambda: following)
    for frame in frames:
        sink.write(frame)
    sink.commit()
    assert sink.part is not None
    return sink.part


def parts_of(folder: Path, source: Path, sink: FileSink, encoding: Encoding, lengths: Sequence[int]) -> list[Part]:
    """The film as parts of so many frames, as they came."""
    made = []
    with open_source(source) as opened:
        frames = list(decode(opened))
        ends = [frame.pts for frame in frames[1:]] + [frames[-1].pts + opened.last_duration]
        first = 0
        for number, length in enumerate(lengths):
            lasts = ends[first + length - 1] - frames[first + length - 1].pts
            path = folder / f"part-{number}"
            own, following = frames[first : first + length], frames[first + length :]
            made.append(written(path, opened, own, encoding, sink.kind, lasts, first, following))
            first += length
    return made


def joined(studio: Any, source: Path, name: str, encoding: Encoding, lengths: Sequence[int] = (7, 1, 12),
           verify: bool = True) -> Path:  # fmt: skip
    output: Path = studio.folder / name
    with open_source(source) as opened:
        sink = FileSink(output, opened, layout_of(opened.info), encoding, verify=verify)
        join(parts_of(studio.folder, source, sink, encoding, lengths), opened, sink)
        sink.commit()
    assert sink.frames == sum(lengths)
    assert sink.differences == []
    return output


def streams(path: Path) -> list[tuple[str, list[tuple[Fraction, int, bytes]]]]:
    """Of each stream but the picture its packets: time, duration and what they hold."""
    with av.open(path) as container:
        others = [stream for stream in container.streams if stream.type != "video"]
        held: dict[int, list[tuple[Fraction, int, bytes]]] = {stream.index: [] for stream in others}
        for packet in container.demux(others) if others else ():
            if packet.size and packet.pts is not None:
                held[packet.stream_index].append((packet.pts * packet.time_base, packet.duration or 0, bytes(packet)))
        return [(stream.type, held[stream.index]) for stream in others]


def ends(path: Path) -> tuple[list[Fraction], Fraction]:
    """How long each picture is shown, in order of decoding, and the length of the stream."""
    with av.open(path) as container:
        video = container.streams.video[0]
        lasts = [(packet.duration or 0) * packet.time_base for packet in container.demux(video) if packet.size]
        return lasts, (video.duration or 0) * (video.time_base or Fraction(0))


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("out.mp4", LOSSLESS),
        ("out.mp4", REORDERED),
        ("out.mov", REORDERED),
        ("out.mkv", REORDERED),
        ("out.ts", REORDERED),
        ("out.mkv", FFV1),
        ("out.mov", Encoding("prores_ks", crf=None)),
        ("out.webm", Encoding("libvpx-vp9", crf=None, options={"lossless": "1"})),
        ("out.avi", Encoding("mpeg4")),
    ],
    ids=lambda each: each if isinstance(each, str) else each.encoder,
)
@pytest.mark.parametrize("pts", [range(20), UNEVEN], ids=["even", "uneven"])
def test_parts_become_what_one_run_makes(studio: Any, name: str, encoding: Encoding, pts: Any) -> None:
    codec = "libopus" if name.endswith("webm") else "aac"
    source = studio.clip("in.mkv", pts=pts, passengers=[sound(codec, seconds=0.8)])
    whole = studio.through(source, f"whole{Path(name).suffix}", encoding)
    output = joined(studio, source, name, encoding)
    ours, theirs = studio.look(output), studio.look(whole)
    assert ours.times == theirs.times
    assert len(ours.planes) == 20
    for first, second in zip(ours.planes, theirs.planes, strict=True):
        assert all((a.int() - b.int()).abs().float().mean() < 4 for a, b in zip(first, second, strict=True))
        assert encoding.encoder == "mpeg4" or encoding.encoder == "prores_ks" or all(map(torch.equal, first, second))
    assert streams(output) == streams(whole)
    if name != "out.ts":  # which tells no durations
        assert sorted(ends(output)[0]) == sorted(ends(whole)[0])
        assert ends(output)[1] == ends(whole)[1]


def errors(part: Part, frames: Sequence[Frame]) -> list[float]:
    """Of each frame of a part, how far its luma is from what it was made of, squared."""
    with av.open(part.path) as container:
        seen = [torch.from_numpy(frame.to_ndarray()[: frame.height]) for frame in container.decode(video=0)]
    own = [frame.layout.split(frame.data)[0] for frame in frames[part.first : part.first + part.frames]]
    return [float(((one.float() - other) ** 2).mean()) for one, other in zip(seen, own, strict=True)]


def drifting(count: int) -> list[av.VideoFrame]:
    """A picture that is panned over, slowly, with a little noise on it."""
    random = np.random.default_rng(0)
    wide = np.kron(random.integers(60, 200, (24, 60)), np.ones((8, 8), int))
    views = [wide[:96, i : i + 128] + random.integers(-4, 5, (96, 128)) for i in range(count)]
    grey = [np.pad(view.astype(np.uint8), ((0, 48), (0, 0)), constant_values=128) for view in views]
    return [av.VideoFrame.from_ndarray(each, format="yuv420p") for each in grey]


SEEING = [
    Encoding(),
    Encoding(preset="veryfast", crf=28),
    Encoding(options={"bf": "16", "b_strategy": "0"}),
    Encoding("libx265"),
    Encoding("libx265", options={"x265-params": "bframes=8:b-adapt=0"}),
    Encoding("libvpx-vp9", crf=30, options={"cpu-used": "5"}),
    Encoding("libsvtav1", crf=35, preset="10"),
    Encoding("mpeg4", options={"bf": "2"}),
]


@pytest.mark.parametrize("encoding", SEEING, ids=lambda each: f"{each.encoder} {each.preset} {each.options}")
def test_what_an_encoder_sees_behind_a_part_is_no_part_of_it(studio: Any, encoding: Encoding) -> None:
    source = studio.clip("in.mkv", "ffv1", size=(96, 128), pts=range(50), pictures=drifting(50))
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mkv", opened, layout_of(opened.info), encoding)
        frames = list(decode(opened))
        for part in parts_of(studio.folder, source, sink, encoding, (20, 1, 2, 27)):
            times = sorted(times_in(part.path))
            assert times == [Fraction(i, 25) for i in range(part.first, part.first + part.frames)]
            # None is another frame's, nor made of one that is not there.
            assert max(errors(part, frames)) < 60
        sink.abandon()


@pytest.mark.parametrize("encoding", [Encoding(), Encoding("libx265")], ids=["libx264", "libx265"])
def test_the_last_frames_of_a_part_get_their_bits(studio: Any, encoding: Encoding) -> None:
    source = studio.clip("in.mkv", "ffv1", size=(96, 128), pts=range(40), pictures=drifting(40))
    with open_source(source) as opened:
        frames = list(decode(opened))
        blind, seeing = (
            errors(written(studio.folder / name, opened, frames[:20], encoding, "matroska", 40, 0, following), frames)
            for name, following in (("blind", ()), ("seeing", frames[20:]))
        )
    assert sum(seeing[-8:]) < 0.95 * sum(blind[-8:])


def test_where_a_film_ends_the_encoder_sees_its_end(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    encode = Encoder.encode

    def spied(self: Encoder, frame: Frame, apart: bool = False) -> Any:
        seen.append((frame.pts // 512, apart))
        return encode(self, frame, apart)

    monkeypatch.setattr(Encoder, "encode", spied)
    source = studio.clip(pts=[*range(12), *range(12, 40, 4)])
    with open_source(source) as opened:
        frames = list(decode(opened))
        for name, first, encoding in (("far", 3, Encoding()), ("near", 13, Encoding()), ("no", 3, LOSSLESS)):
            written(studio.folder / name, opened, frames[first - 2 : first], encoding, "mp4", 512, 0, frames[first:])
    far = [(time, time == 3) for time in range(1, 11)] + [(time, False) for time in range(11, 17)]
    near = [(11, False), (12, False), (16, True), *((time, False) for time in (20, 24, 28, 32, 36))]
    assert seen == [*far, *near, (1, False), (2, False)]


def test_a_clock_that_is_too_rough_keeps_every_picture(studio: Any) -> None:
    source = studio.clip(pts=range(8), time_base=Fraction(1, 400), rate=400)
    rough = Encoding("mpeg2video", crf=None)  # of 60 frames a second at most
    whole = studio.through(source, "whole.avi", rough, verify=False)
    output = joined(studio, source, "out.avi", rough, (3, 1, 4), verify=False)
    assert len(studio.look(output).times) == 8
    assert studio.look(output).times == studio.look(whole).times


def test_an_animation_that_cannot_be_parted_is_refused(studio: Any) -> None:
    source = studio.clip()
    with pytest.raises(SinkError, match=r"gif is made in one go.*; try .mp4 or .mkv"):
        joined(studio, source, "out.gif", Encoding("gif", crf=None), (3, 3))


def test_chapters_words_and_tags_come_along(studio: Any) -> None:
    chapter = {"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000), "metadata": {"title": "rain"}}
    source = studio.clip("in.mkv", pts=range(20), passengers=[words(language="deu")], chapters=[chapter],
                         metadata={"title": "a film"}, rotation=90)  # fmt: skip
    output = joined(studio, source, "out.mkv", LOSSLESS)
    with av.open(output) as container:
        assert container.metadata["title"] == "a film"
        assert [each["metadata"]["title"] for each in container.chapters()] == ["rain"]
        assert container.streams.subtitles[0].metadata["language"] == "deu"
    assert studio.look(output).info.rotation == 90
    assert len(streams(output)[0][1]) > 0


def test_a_part_alone_can_be_played_and_begins_with_a_key_picture(studio: Any) -> None:
    source = studio.clip(pts=range(20))
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), REORDERED)
        made = parts_of(studio.folder, source, sink, REORDERED, (12, 8))
        sink.abandon()
    assert [(part.first, part.frames) for part in made] == [(0, 12), (12, 8)]
    assert made[0].end == made[1].begin
    whole = studio.look(source)
    for part in made:
        with av.open(part.path) as container:
            frames = list(container.decode(video=0))
        assert [round(frame.time * 25) for frame in frames] == list(range(part.first, part.first + part.frames))
        assert frames[0].key_frame
        planes = whole.planes[part.first][0]
        assert torch.equal(torch.from_numpy(frames[0].to_ndarray()[:32]), planes)
    assert studio.files() == {"in.mp4", "part-0", "part-1"}


def test_what_is_before_zero_is_no_loss(studio: Any) -> None:
    source = studio.clip(pts=range(20))
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mkv", opened, layout_of(opened.info), LOSSLESS)
        early = [replace(frame, pts=frame.pts - 1024) for frame in decode(opened)]
        part = written(studio.folder / "part", opened, early, LOSSLESS, sink.kind, 512)
        assert part.begin == -1024
        assert times_in(part.path)[0] == 0
        sink.abandon()


def made_and_spoilt(studio: Any, spoil: Any) -> None:
    source = studio.clip(pts=range(20))
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), LOSSLESS)
        try:
            join(spoil(parts_of(studio.folder, source, sink, LOSSLESS, (7, 6, 7))), opened, sink)
        finally:
            sink.abandon()


def shortened(parts: list[Part]) -> list[Part]:
    os.truncate(parts[1].path, parts[1].path.stat().st_size // 2)
    return parts


def of_another_encoder(parts: list[Part]) -> list[Part]:
    with open_source(parts[1].path.parent / "in.mp4") as opened:
        other = Encoding(crf=None, preset="slow", options={"crf": "30", "refs": "5"})
        written(parts[1].path, opened, list(decode(opened))[7:13], other, "mp4", 512, 7)
    return parts


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shortened, r"part-1 holds \d of 6 frames; remove it"),
        (lambda parts: [parts[0], parts[2]], r"part-2 does not follow .*part-0"),
        (lambda parts: [*reversed(parts)], r"part-1 does not follow .*part-2"),
        (lambda parts: [replace(parts[0], frames=8, first=-1), *parts[1:]], r"part-0 holds 7 of 8 frames"),
        (of_another_encoder, r"part-1 was encoded with other settings"),
    ],
)
def test_parts_that_make_no_film_are_refused(studio: Any, spoil: Any, said: str) -> None:
    with pytest.raises(SinkError, match=said):
        made_and_spoilt(studio, spoil)
    assert "out.mp4" not in studio.files()


def test_a_source_that_is_not_whole_is_told_of_behind_its_last_part(studio: Any) -> None:
    source = studio.clip("in.mkv", pts=range(100), passengers=[sound(seconds=4)])
    os.truncate(source, source.stat().st_size * 2 // 3)
    with open_source(source) as opened:
        frames: list[Frame] = []
        with pytest.raises(TruncatedError):
            frames.extend(decode(opened))
        lasts = opened.last_duration
    with open_source(source) as opened:
        sink = FileSink(studio.folder / "out.mkv", opened, layout_of(opened.info), LOSSLESS)
        part = written(studio.folder / "part", opened, frames, LOSSLESS, sink.kind, lasts)
        with pytest.raises(TruncatedError):
            join([part], opened, sink)
        kept = sink.abandon()
    assert kept is not None
    assert len(studio.look(kept).times) == len(frames)


def test_a_part_that_is_left_leaves_nothing(studio: Any) -> None:
    source = studio.clip(pts=range(20))
    with open_source(source) as opened:
        part = PartSink(studio.folder / "part", opened.info, layout_of(opened.info), LOSSLESS, "mp4", lambda: 1)
        for _, frame in zip(range(5), decode(opened), strict=False):
            part.write(frame)
        part.abandon()
    assert studio.files() == {"in.mp4"}


def test_the_border_between_two_parts_is_no_border_in_time(studio: Any) -> None:
    """Pictures are decoded before they are shown, and in order, also where the frames come slower behind a border."""
    source = studio.clip(pts=[*range(10), *range(20, 120, 10)])
    output = joined(studio, source, "out.mp4", REORDERED, (10, 10))
    with av.open(output) as container:
        packets = [(packet.dts, packet.pts) for packet in container.demux(video=0) if packet.size]
    assert all(earlier[0] < later[0] for earlier, later in pairwise(packets))
    assert all(dts <= pts for dts, pts in packets)
