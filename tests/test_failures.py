"""Whatever fails, and whenever: what is whole is kept and can be played, nothing hangs and nothing stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.errors import StreamderainError
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.partial import Partial
from streamderain.media.sink import Muxed
from streamderain.media.source import Source
from streamderain.run import derain
from tests.test_run import Brighter, frames_of

FRAMES = 12
"""In the clip."""

AT_ONCE = {"avi": {}, "webm": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}}
"""Options of the encoder of an output that has it hold no frame back; of x264's where none are named."""


class Failing:
    """Counts, and raises from the n-th on, or at the n-th alone."""

    def __init__(self, at: int, error: BaseException, for_good: bool = False) -> None:
        self._at, self._error, self._for_good, self.count = at, error, for_good, 0

    def __call__(self) -> None:
        self.count += 1
        if self.count == self._at or (self._for_good and self.count > self._at):
            raise self._error


class FailingContainer:
    """A container that does not take every packet of the picture."""

    def __init__(self, container: Any, fail: Failing) -> None:
        self._container, self._fail = container, fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def mux(self, packet: av.Packet[Any]) -> None:
        if packet.stream.type == "video":
            self._fail()
        self._container.mux(packet)


def break_decoder(patch: pytest.MonkeyPatch, fail: Failing) -> None:
    def breaks(source: Source) -> Iterator[Frame]:
        for frame in decode(source):
            fail()
            yield frame

    patch.setattr("streamderain.carry.decode", breaks)


def break_encoder(patch: pytest.MonkeyPatch, fail: Failing) -> None:
    begin = Muxed.__init__

    def breaks(muxed: Muxed, *rest: Any) -> None:
        begin(muxed, *rest)
        encode = muxed.encoder._encode

        def refuses(picture: av.VideoFrame | None) -> Any:
            fail()
            return encode(picture)

        patch.setattr(muxed.encoder, "_encode", refuses)

    patch.setattr(Muxed, "__init__", breaks)


def break_muxer(patch: pytest.MonkeyPatch, fail: Failing) -> None:
    begin = Muxed.__init__

    def breaks(muxed: Muxed, container: Any, *rest: Any) -> None:
        begin(muxed, container, *rest)
        muxed._container = FailingContainer(container, fail)  # type: ignore[assignment]

    patch.setattr(Muxed, "__init__", breaks)


def with_opus(clip: Path, path: Path) -> Path:
    """The picture of a clip, with sound that WebM holds."""
    with av.open(clip) as before, av.open(path, "w") as after:
        picture = after.add_stream_from_template(before.streams.video[0])
        sound = after.add_stream("libopus", rate=48000)
        for packet in before.demux(video=0):
            if packet.size:
                packet.stream = picture
                after.mux(packet)
        for number in range(24):
            noise = av.AudioFrame.from_ndarray(np.full((1, 1920), 900 * number, np.int16), "s16", "stereo")
            noise.sample_rate, noise.pts = 48000, 960 * number
            after.mux(sound.encode(noise))
        after.mux(sound.encode(None))
    return path


BREAKS = {"decoder": break_decoder, "network": None, "encoder": break_encoder, "muxer": break_muxer}


@pytest.mark.parametrize(
    "ending", ["mp4", "mkv", *(pytest.param(each, marks=pytest.mark.slow) for each in ("mov", "ts", "webm", "avi"))]
)
@pytest.mark.parametrize("at", [1, 6, FRAMES])
@pytest.mark.parametrize("part", BREAKS)
def test_what_is_whole_is_kept(
    clip: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, part: str,
    at: int, ending: str,
) -> None:  # fmt: skip
    error = av.error.ArgumentError(22, "made to fail") if part == "muxer" else RuntimeError("made to fail")
    fail = Failing(at, error, for_good=part == "muxer")
    network = Brighter(at={at: fail}) if part == "network" else Brighter()
    if part == "network":
        fail._at = 1
    elif make := BREAKS[part]:
        make(monkeypatch, fail)
    source = with_opus(clip, tmp_path_factory.mktemp("source") / "in.mkv") if ending == "webm" else clip
    options = AT_ONCE.get(ending, {"tune": "zerolatency", "qp": "0"})
    with pytest.raises(StreamderainError, match="made to fail") as caught:
        derain(source, tmp_path / f"out.{ending}", network=network, batch=1, crf=None, encoder_option=options)
    names = [path.name for path in tmp_path.iterdir()]
    assert "Traceback" not in str(caught.value)
    if at == 1:
        assert names == []
        assert "are kept" not in str(caught.value)
        return
    assert names == [f"out.partial.{ending}"]
    kept = frames_of(tmp_path / names[0])
    assert len(kept) == at - 1
    assert f"the first {at - 1} frames are kept in {tmp_path / names[0]}" in str(caught.value)
    # Matroska rounds to milliseconds.
    assert [frame.seconds - kept[0].seconds for frame in kept] == pytest.approx(
        [i / 25 for i in range(at - 1)], abs=2e-3
    )


@pytest.mark.parametrize("part", ["encoder", "muxer"])
def test_what_never_works_again_is_not_waited_for(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    make = BREAKS[part]
    assert make
    make(monkeypatch, Failing(6, RuntimeError("made to fail"), for_good=True))
    with pytest.raises(StreamderainError, match="made to fail") as caught:
        derain(clip, tmp_path / "out.mkv", network=Brighter(), encoder="ffv1", crf=None)
    left = [path.name for path in tmp_path.iterdir()]
    told = re.search(r"the first (\d+) frames are kept", str(caught.value))
    assert left == ["out.partial.mkv"]
    assert told
    assert len(frames_of(tmp_path / left[0])) == int(told[1]) > 0


def test_a_commit_that_fails_keeps_all(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Partial, "publish", refuse)
    with pytest.raises(StreamderainError, match="cannot be written: Input/output error; the first 12 frames are kept"):
        derain(clip, tmp_path / "out.mp4", network=Brighter())
    assert len(frames_of(tmp_path / "out.partial.mp4")) == 12
