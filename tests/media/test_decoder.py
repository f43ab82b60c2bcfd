"""Exact times: whatever clock and rhythm a file has, it comes out as it went in."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest

from streamderain.errors import SourceError
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.source import open_source

UNEVEN = [0, 1, 2, 5, 6, 10, 11, 12]
CLOCKS = {
    "90k": (Fraction(1, 90000), [3600 * i for i in range(8)], 25),
    "12800": (Fraction(1, 12800), [512 * i for i in range(8)], 25),
    "milliseconds": (Fraction(1, 1000), [0, 33, 67, 100, 133, 167, 200, 233], 30),
    "ntsc": (Fraction(1, 30000), [1001 * i for i in range(8)], Fraction(30000, 1001)),
    "ntsc film": (Fraction(1001, 24000), list(range(8)), Fraction(24000, 1001)),
    "uneven": (Fraction(1, 90000), [3000 * i for i in UNEVEN], 30),
    "late": (Fraction(1, 90000), [900000 + 3000 * i for i in UNEVEN], 30),
}
B_FRAMES = Encoding(crf=None, preset="medium", options={"qp": "0"})


@pytest.mark.parametrize("ending", ["mp4", "mov", "ts"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_times_are_exact(studio: Any, clock: str, ending: str) -> None:
    time_base, pts, rate = CLOCKS[clock]
    source = studio.clip(
        f"in.{ending}", pts=pts, time_base=time_base, rate=rate, options={"qp": "0", "preset": "veryfast"}
    )
    output = studio.through(source, "out.mp4", B_FRAMES)
    studio.unchanged(source, output)


@pytest.mark.parametrize("clock", CLOCKS)
def test_matroska_rounds_to_its_milliseconds(studio: Any, clock: str) -> None:
    time_base, pts, rate = CLOCKS[clock]
    source = studio.clip(pts=pts, time_base=time_base, rate=rate)
    before = studio.look(source).times
    after = studio.look(studio.through(source, "out.mkv", B_FRAMES)).times
    assert after == [Fraction(int(time * 1000 + Fraction(1, 2)), 1000) for time in before]


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
@pytest.mark.parametrize("clock", ["ntsc", "uneven", "late"])
def test_the_last_frame_lasts_as_long_and_the_rate_stays(studio: Any, clock: str, encoder: str) -> None:
    time_base, pts, rate = CLOCKS[clock]
    source = studio.clip(size=(64, 96), pts=pts, time_base=time_base, rate=rate)
    before = studio.look(source)
    after = studio.look(studio.through(source, "out.mp4", Encoding(encoder, crf=None)))
    assert after.times == before.times
    assert after.info.frame_rate == before.info.frame_rate
    assert after.info.duration_seconds == pytest.approx(before.info.duration_seconds, abs=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_clips_shorter_than_the_encoder_reorders(studio: Any, encoder: str, frames: int) -> None:
    source = studio.clip(size=(64, 96), pts=range(frames))
    output = studio.through(source, "out.mp4", Encoding(encoder))
    assert studio.look(output).times == [Fraction(i, 25) for i in range(frames)]


def test_a_raw_stream_without_times_gets_the_rate(studio: Any) -> None:
    source = studio.clip("in.h264", options={"qp": "0", "bf": "2", "preset": "veryfast"}, pts=range(9))
    after = studio.look(studio.through(source, "out.mp4"))
    assert after.times == [Fraction(i, 25) for i in range(9)]


class Stub:
    """An open source whose pictures have the times given."""

    def __init__(self, source: Any, times: list[int | None]) -> None:
        self.name, self.info, self.clock = source.name, source.info, source.clock
        self._times, self._source = times, source

    def frames(self) -> Any:
        for picture, pts in zip(self._source.frames(), self._times, strict=True):
            picture.pts = pts
            yield picture


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([None, None, None, None], [0, 512, 1024, 1536]),
        ([None, None, 2048, 2560], [1024, 1536, 2048, 2560]),
        ([5, None, 9, 9], [5, 517, 1029, 1541]),
        ([0, None, 512, 512], [0, 256, 512, 1024]),
        ([100, 50, 612, 612], [100, 356, 612, 1124]),
        ([0, 512000, 1024, 1536], [0, 512, 1024, 1536]),
        ([0, 512000, 513000, 514000], [0, 512000, 513000, 514000]),
    ],
)
def test_times_that_are_missing_or_go_back(studio: Any, given: list[int | None], expected: list[int]) -> None:
    with open_source(studio.clip(pts=range(4))) as source:
        assert [frame.pts for frame in decode(Stub(source, given))] == expected  # type: ignore[arg-type]


def joined(studio: Any, *parts: Any) -> Any:
    """Raw H.264 streams one after the other."""
    path = studio.folder / "joined.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_a_change_of_size_is_an_error_that_says_where(studio: Any) -> None:
    source = joined(studio, studio.clip("a.h264"), studio.clip("b.h264", size=(48, 64)))
    with pytest.raises(SourceError, match=r"joined.h264 changes from 48x32 to 64x48 at 0\.2\d s; .*cut it there"):
        studio.through(source)
    assert "out.mp4" not in studio.files()


def test_a_change_of_pixel_format_goes_on(studio: Any) -> None:
    first = studio.clip("a.h264")
    source = joined(studio, first, studio.clip("b.h264", pixel_format="yuv444p"))
    with open_source(source) as opened:
        layouts = [frame.layout for frame in decode(opened)]
    assert [layout.chroma for layout in layouts] == ["420"] * 6 + ["444"] * 6
    after = studio.look(studio.through(source))
    assert len(after.times) == 12
    assert after.info.pixel_format == "yuv420p"


def test_frames_come_out_only_as_they_are_asked_for(studio: Any) -> None:
    with open_source(studio.clip(pts=range(50))) as source:
        frames = decode(source)
        assert [next(frames).pts, next(frames).pts] == [0, 512]
        assert isinstance(source.video, av.VideoStream)
