"""What goes to the outputs of a live run, and that all of them end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamderain.config import LiveConfig
from streamderain.errors import SinkError
from streamderain.frames import Frame, VideoInfo
from streamderain.media.broadcast import Broadcast
from streamderain.media.encoder import Encoder
from tests.clock import Clock
from tests.media.receivers import INFO, frame, recorded

from .publishing import StubSource, published, publisher


@pytest.mark.parametrize("latency", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("hangs", [1, 2, 6])
def test_frames_that_are_on_their_way_while_the_last_is_shown_again_keep_their_distances(
    hangs: int, latency: float, tmp_path: Path
) -> None:
    """A network that takes a while and then hangs: its frames come later than the picture that stood in for them."""
    clock, name = Clock(), str(tmp_path / "out.mkv")
    which = publisher(name, clock=clock)

    def script() -> Iterator[Frame | None]:
        clock.passes(latency)
        for number in range(450):
            if number == 50:
                yield from [None] * hangs
            else:
                clock.passes(0.04 if number < 50 or number > 60 else 0.0)
            yield frame(number)

    published(which, script(), clock.passes)
    assert which.filled == hangs
    times = recorded(name).times
    assert len(times) == 450 + hangs
    assert min(later - sooner for sooner, later in pairwise(times)) >= 0.03
    # In the end each is where it belongs.
    assert times[-1] == pytest.approx(449 / 25, abs=0.002)


def refuse(*arguments: object) -> None:
    raise SinkError("the encoder refuses")


@pytest.mark.parametrize("refuses", [(Encoder, "flush"), (Broadcast, "close")])
def test_an_encoder_that_fails_at_its_end_leaves_no_output_behind(
    refuses: tuple[type, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*refuses, refuse)
    names = [str(tmp_path / name) for name in ("a.mkv", "b.mp4")]
    with pytest.raises(SinkError, match="the encoder refuses"):
        published(publisher(*names), map(frame, range(10)))
    # They have their trailers, which tell how long they are; that no thread stays is looked at after each test.
    for name in names:
        with av.open(name) as file:
            assert file.duration
        assert recorded(name).holds(range(10))


@pytest.mark.parametrize("failing", range(3))
def test_an_output_that_fails_at_its_end_leaves_no_other_behind(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    which = publisher(*(str(tmp_path / f"{number}.mkv") for number in range(3)))

    def closing(number: int, close: Callable[[], None]) -> Callable[[], None]:
        def end() -> None:
            close()
            ended.append(number)
            if number == failing:
                raise RuntimeError("no thread can be had")

        return end

    def script():  # type: ignore[no-untyped-def]
        yield frame(0)
        for number, outlet in enumerate(which._to._outlets.values()):
            monkeypatch.setattr(outlet, "close", closing(number, outlet.close))
        yield frame(1)

    with pytest.raises(RuntimeError, match="no thread"):
        published(which, script())
    assert sorted(ended) == [0, 1, 2]


def sizes(playlist: Path) -> list[tuple[int, int]]:
    with av.open(playlist) as file:
        return [(picture.width, picture.height) for picture in file.decode(video=0)]


def comes(source: StubSource, slates: int, which: list[object]) -> Iterator[Frame | None]:
    """Nothing for a while, then frames; `which` gets how the outputs stand when the first one comes."""
    yield from [None] * slates
    which += [(each.name, each.state) for each in source.publisher.outputs]  # type: ignore[attr-defined]
    source.info, source.connected, source.is_away = INFO, True, False
    yield from map(frame, range(5))


@pytest.mark.parametrize(
    ("slate", "known", "before", "after"),
    [
        (None, None, (1280, 720), (128, 72)),
        (None, replace(INFO, width=96, height=64), (96, 64), (128, 72)),
        (None, INFO, (128, 72), (128, 72)),
        ("64x48", None, (64, 48), (64, 48)),
    ],
)
def test_a_slate_is_published_while_the_source_is_away_from_the_start(
    slate: str | None, known: VideoInfo | None, before: tuple[int, int], after: tuple[int, int], tmp_path: Path
) -> None:
    clock, source, stood = Clock(), StubSource(None, connected=False, is_away=True), []
    live, recording = f"{tmp_path / 'live'}/", str(tmp_path / "out.mkv")
    which = publisher(live, recording, source=source, config=LiveConfig(slate=slate), clock=clock, known=known)
    source.publisher = which  # type: ignore[attr-defined]
    published(which, comes(source, 6, stood), clock.passes)
    assert stood == [(live, "open"), (recording, "waiting")]
    assert which.filled == 0
    seen = sizes(next((tmp_path / "live").glob("*.m3u8")))
    assert set(seen) == {before, after}
    assert len(seen) == 11
    # What is recorded begins with the source.
    if not slate:
        assert recorded(recording).holds(range(5))


@pytest.mark.parametrize(("connected", "away"), [(False, False), (True, False), (False, True)])
def test_a_source_that_is_being_opened_gets_no_slate_and_a_network_that_is_prepared_one_of_its_size(
    connected: bool, away: bool, tmp_path: Path
) -> None:
    clock = Clock()
    source = StubSource(INFO if connected else None, connected=connected, is_away=away)
    which = publisher(f"{tmp_path / 'live'}/", source=source, clock=clock)
    published(which, [None] * 4, clock.passes)
    seen = [size for playlist in tmp_path.glob("live/*.m3u8") for size in sizes(playlist)]
    assert seen == ([(128, 72)] * 4 if connected else [(1280, 720)] * 4 if away else [])


def test_a_recording_alone_waits_for_the_source(tmp_path: Path) -> None:
    which = publisher(str(tmp_path / "out.mkv"), source=StubSource(None, connected=False, is_away=True))
    published(which, [None] * 4)
    assert list(tmp_path.iterdir()) == []
