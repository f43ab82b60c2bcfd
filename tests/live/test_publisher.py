"""What goes to the outputs of a live run, and that all of them end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamderain.errors import SinkError
from streamderain.frames import Frame
from streamderain.media.broadcast import Broadcast
from streamderain.media.encoder import Encoder
from tests.media.receivers import frame, recorded

from .publishing import published, publisher


class Clock:
    """Time that passes while somebody waits for frames, and when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


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
        for number, outlet in enumerate(which._outlets):
            monkeypatch.setattr(outlet, "close", closing(number, outlet.close))
        yield frame(1)

    with pytest.raises(RuntimeError, match="no thread"):
        published(which, script())
    assert sorted(ended) == [0, 1, 2]
