"""What publishers send, on its way to a live source."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from streamderain.errors import SourceError
from streamderain.frames import Frame
from streamderain.media.address import parse
from streamderain.media.connection import Away, Picture
from streamderain.media.live import LiveSource
from streamderain.media.published import AnyFrame, Published
from streamderain.stream.background import Background
from streamderain.stream.intake import Intake

CLOCK = 90000
TIME_BASE = Fraction(1, CLOCK)


def picture(pts: int | None, width: int = 32) -> av.VideoFrame:
    frame = av.VideoFrame(width, 16, "yuv420p")
    frame.pts, frame.time_base = pts, TIME_BASE
    return frame


def sound(pts: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 960), np.int16), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, pts, Fraction(1, 48000)
    return frame


def test_pictures_and_sound_are_on_one_clock_whatever_each_counts_from() -> None:
    publication = Intake[AnyFrame]().begin(has_sound=True)
    for number in range(10):
        publication.put(picture(5_000_000 + 3600 * number))
        publication.put(sound(77 + 1920 * number + (48000 if number > 7 else 0)))
    publication.end()
    items = list(Published(publication, 1.0).items())
    pictures = [item for item in items if isinstance(item, Picture)]
    packets = [item for item in items if not isinstance(item, Picture)]
    assert [each.time - pictures[0].time for each in pictures] == [3600 * number for number in range(10)]
    heard = [float(each.pts * each.time_base) for each in packets]
    # An encoder hears a little ahead; and a second is missing in the middle.
    assert abs(heard[0] - float(pictures[0].time * TIME_BASE)) < 0.1
    assert heard == sorted(heard)
    assert heard[-1] - heard[0] == pytest.approx(0.04 * 9 + 1, abs=0.04)


def test_a_picture_without_a_time_has_none() -> None:
    publication = Intake[AnyFrame]().begin(has_sound=False)
    publication.put(picture(None))
    publication.end()
    (item,) = Published(publication, 1.0).items()
    assert isinstance(item, Picture)
    assert item.time is None


def test_silence_is_a_freeze() -> None:
    with pytest.raises(Away, match=r"nothing for 0\.01 s") as silence:
        list(Published(Intake[AnyFrame]().begin(False), 0.01).items())
    assert silence.value.kind == "frozen"


def test_a_source_goes_on_with_whoever_publishes_next_and_ends_while_nobody_does() -> None:
    intake = Intake[AnyFrame]()
    source = LiveSource(parse("whip"), frozen_after=60, intake=intake)
    frames: list[Frame] = []
    thread = Background("reader", lambda: map(frames.append, source.frames()))
    items = iter(thread)
    for width in (32, 48):
        publication = intake.begin(False)
        publication.put(picture(0, width))
        next(items)
        assert frames[-1].layout.width == width
        publication.end()
    source.close()
    assert thread.join(10)
    assert frames[1].pts > frames[0].pts
    assert (source.counts["connected"], source.counts["changed"]) == (2, 1)


def test_nobody_is_said_as_one_refusal() -> None:
    source = LiveSource(parse("whip"), frozen_after=0.01, retries=0, intake=Intake[AnyFrame]())
    with pytest.raises(SourceError, match="nobody publishes to it; given up"):
        next(source.frames())
