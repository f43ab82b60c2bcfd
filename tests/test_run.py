"""One video, source to sink, with real parts and, where the network does not matter, a stub for it."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from streamderain.carry import Progress
from streamderain.config import DerainConfig
from streamderain.errors import DifferenceError, SinkError, SourceError, StationError, Stopped, StreamderainError
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.images import read_image, write_image
from streamderain.media.partial import partial_of
from streamderain.media.sink import Muxed
from streamderain.media.source import Source, open_source
from streamderain.run import derain, with_model


class Brighter:
    """A network that adds to each frame, and may do something at its n-th call."""

    device = torch.device("cpu")

    def __init__(
        self, by: float = 0.0, past: int = 0, future: int = 0, at: dict[int, Callable[[], None]] | None = None
    ):
        self.by, self.past, self.future = by, past, future
        self._at, self._calls = at or {}, 0

    def restore(self, windows: Tensor) -> Tensor:
        self._calls += 1
        self._at.get(self._calls, lambda: None)()
        return windows[:, self.past] + self.by


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(decode(source))


LOSSLESS = {"crf": 0, "preset": "ultrafast"}


def test_a_network_that_changes_nothing_changes_no_bit_and_no_time(clip: Path, tmp_path: Path) -> None:
    derain(clip, tmp_path / "out.mp4", network=Brighter(past=2, future=1), **LOSSLESS)
    before, after = frames_of(clip), frames_of(tmp_path / "out.mp4")
    assert len(before) == len(after) == 12
    assert all(torch.equal(old.data, new.data) for old, new in zip(before, after, strict=True))
    assert [frame.seconds for frame in before] == [frame.seconds for frame in after]


def test_strength_scales_what_is_taken_away_and_zero_returns_the_input_to_the_bit(clip: Path, tmp_path: Path) -> None:
    gains = []
    for strength in (0, 0.5, 1):
        output = tmp_path / f"{strength}.mkv"
        network = Brighter(0.2, past=1)
        derain(clip, output, network=network, strength=strength, blend=0.3, encoder="ffv1", crf=None)
        pairs = list(zip(frames_of(clip), frames_of(output), strict=True))
        gains.append(sum(float((new.data[:1536].float() - old.data[:1536].float()).mean()) for old, new in pairs) / 12)
        assert strength > 0 or all(torch.equal(old.data, new.data) for old, new in pairs)
    assert gains == pytest.approx([0, 21.9, 43.8], abs=0.6)


@pytest.mark.parametrize("batch", [1, 5, 12, 30])
def test_the_size_of_batches_does_not_show(clip: Path, tmp_path: Path, batch: int) -> None:
    derain(clip, tmp_path / "out.mp4", network=Brighter(0.1, past=1, future=1), batch=batch, blend=0.0, **LOSSLESS)
    gain = [
        float((new.data[: 32 * 48].float() - old.data[: 32 * 48].float()).mean())
        for old, new in zip(frames_of(clip), frames_of(tmp_path / "out.mp4"), strict=True)
    ]
    assert gain == pytest.approx([21.9] * 12, abs=0.6)


def test_the_bundled_network_runs_and_reports_progress(clip: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    done = derain(clip, tmp_path / "out.mp4", report=seen.append, device="cpu", blend=0.5)
    assert [progress.frames for progress in seen] == list(range(1, 13))
    assert done.expected == done.frames == 12
    assert [station.name for station in done.stations] == ["decode", "upload", "restore", "blend", "download", "encode"]
    assert done.slowest.name == "restore"


def test_compare_shows_both_halves(clip: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen.mp4"
    derain(clip, tmp_path / "out.mp4", network=Brighter(0.2), compare=seen)
    picture = frames_of(seen)[5]
    luma = picture.layout.split(picture.data)[0].float()
    assert (picture.layout.height, picture.layout.width) == (32, 96)
    assert float((luma[:, 48:] - luma[:, :48]).mean()) == pytest.approx(43.8, abs=2)


@pytest.mark.parametrize("failing", ["out.mp4", "seen.mp4"])
@pytest.mark.parametrize("error", [SinkError("the disk is full"), KeyboardInterrupt()])
def test_what_ends_the_finish_names_what_there_is_and_nothing_else(
    failing: str, error: BaseException, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Muxed.finish
    failed: list[Muxed] = []

    def fail_once(muxed: Muxed) -> None:
        if failing.partition(".")[0] in muxed._container.name and muxed not in failed:
            failed.append(muxed)
            raise error
        finish(muxed)

    monkeypatch.setattr(Muxed, "finish", fail_once)
    with pytest.raises(StreamderainError) as caught:
        derain(clip, tmp_path / "out.mp4", network=Brighter(), compare=tmp_path / "seen.mp4")
    said = str(caught.value)
    named = re.findall(rf"{tmp_path}/[\w.]+", said)
    assert all(Path(name).exists() for name in named)
    if failing == "out.mp4":
        assert named == [str(tmp_path / "out.partial.mp4")]
        assert not (tmp_path / "out.mp4").exists()
    else:
        assert said.endswith("; the derained video is whole")
        assert len(frames_of(tmp_path / "out.mp4")) == 12
    assert not (tmp_path / "seen.mp4").exists()


def test_an_error_in_the_network_names_its_station_and_keeps_what_is_whole(clip: Path, tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("out of luck")

    with pytest.raises(StationError, match="restore: RuntimeError: out of luck") as caught:
        derain(clip, tmp_path / "out.mp4", network=Brighter(at={6: fail}))
    assert "the first 5 frames are kept in" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial.mp4"]
    assert len(frames_of(tmp_path / "out.partial.mp4")) == 5


def test_an_error_before_the_first_frame_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("at once")

    with pytest.raises(StationError):
        derain(clip, tmp_path / "out.mp4", network=Brighter(at={1: fail}), compare=tmp_path / "seen.mp4")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_what_is_whole(clip: Path, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.frames == 4:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"stopped; the first \d+ frames are kept in") as caught:
        derain(clip, tmp_path / "out.mp4", report=interrupt, network=Brighter())
    kept = len(frames_of(tmp_path / "out.partial.mp4"))
    assert 4 <= kept <= 12
    assert f"the first {kept} frames" in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()


def test_an_error_of_the_caller_passes_through_and_keeps_what_is_whole(clip: Path, tmp_path: Path) -> None:
    def fail(progress: Progress) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        derain(clip, tmp_path / "out.mp4", report=fail, network=Brighter())
    assert not (tmp_path / "out.mp4").exists()
    assert frames_of(tmp_path / "out.partial.mp4")


def test_a_truncated_clip_gives_what_could_be_read(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    from streamderain.media.synthetic import write_test_video

    write_test_video(tmp_path / "plain.mp4", 64, 96, 40)
    # A header in front, so that the cut takes frames and not the index.
    derain(tmp_path / "plain.mp4", whole, network=Brighter())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    with pytest.raises(SourceError, match=r"ends after \d+ of 40 frames.*; the first \d+ frames are kept in"):
        derain(cut, tmp_path / "out.mp4", network=Brighter())
    assert 5 < len(frames_of(tmp_path / "out.partial.mp4")) < 40
    assert not (tmp_path / "out.mp4").exists()


def test_nothing_is_overwritten_unasked(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    with pytest.raises(SinkError, match="exists; --overwrite replaces it"):
        derain(clip, output, network=Brighter())
    assert output.read_text() == "precious"
    derain(clip, output, network=Brighter(), overwrite=True)
    assert len(frames_of(output)) == 12


def test_a_failure_leaves_the_old_output_as_it_was(clip: Path, tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("late")

    output = tmp_path / "out.mp4"
    output.write_text("precious")
    with pytest.raises(StationError):
        derain(clip, output, network=Brighter(at={12: fail}), overwrite=True)
    assert output.read_text() == "precious"


@pytest.mark.parametrize(
    ("source", "output", "settings", "message"),
    [
        ("none.mp4", "out.mp4", {}, "none.mp4 does not exist"),
        (".", "out.mp4", {}, "is a folder; name a video file in it"),
        ("text.mp4", "out.mp4", {}, "cannot be opened as a video"),
        ("clip.mp4", "clip.mp4", {}, "is the input itself"),
        ("clip.mp4", "none/out.mp4", {}, "is no folder that exists"),
        ("clip.mp4", "out.xyz", {}, "has an ending that tells no video format"),
        ("clip.mp4", "out.mp4", {"encoder": "libx265x"}, "no encoder is called libx265x; did you mean libx265?"),
        ("clip.mp4", "out.mp4", {"encoder_option": {"turbo": "1"}}, "libx264 has no option turbo"),
        ("clip.mp4", "out.mp4", {"preset": "warp"}, "libx264 refuses"),
        ("clip.mp4", "out.mp4", {"device": "cuda:7"}, "cuda:7 is not here"),
        ("clip.mp4", "out.mp4", {"model": "fasst"}, "no weights called fasst"),
        ("clip.mp4", "out.mp4", {"blend": 2.0}, "blend is 2.0; allowed: 0 to 1"),
        ("clip.mp4", "out.mp4", {"strength": -0.1}, "strength is -0.1; allowed: 0 to 1"),
        ("clip.mp4", "out.mp4", {"blnd": 0.2}, "no setting is called blnd; did you mean blend?"),
        ("clip.mp4", "rtsp://user:secret@host/x", {}, "--via-ffmpeg"),
    ],
)
def test_bad_input_gets_one_clear_line_and_loses_nothing(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    output: str,
    settings: dict[str, object],
    message: str,
) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "text.mp4").write_text("rain, rain, go away\n" * 50)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StreamderainError) as caught:
        derain(source, output, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_asking_for_hardware_that_is_missing_falls_back_with_one_line_each(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the hardware")
    with caplog.at_level(logging.WARNING, "streamderain"):
        derain(clip, tmp_path / "out.mp4", network=Brighter(), hwaccel="cuda")
    assert len(frames_of(tmp_path / "out.mp4")) == 12
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "decoding on the CPU" in said[0]
    assert "encoding with libx264" in said[1]


def test_a_source_that_never_answers_is_not_closed_under_its_reader(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inside, goes_on, opened = threading.Event(), threading.Event(), list[Source]()

    def opens(*arguments: object) -> Source:
        source = open_source(clip)
        decoded = source._decoded

        def blocks() -> Iterator[av.VideoFrame]:
            yield from islice(decoded, 6)
            inside.set()
            goes_on.wait()

        source._decoded = blocks()
        opened.append(source)
        return source

    def stop(progress: Progress) -> None:
        assert inside.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr("streamderain.run.open_source", opens)
    try:
        with pytest.raises(Stopped):
            derain(clip, tmp_path / "out.mkv", report=stop, network=Brighter(), blend=0.0)
        # Whether it is open still shows in what can be asked of it.
        assert opened[0].container.flags is not None
    finally:
        goes_on.set()
        for thread in threading.enumerate():
            if thread.name == "streamderain-decode":
                thread.join()
    with pytest.raises(AssertionError, match="not open"):
        _ = opened[0].container.flags
    assert "left behind, as still busy after the end: decode" in caplog.text


def test_strength_0_returns_rgb_and_alpha_to_the_bit(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    noise = np.random.default_rng(1).integers(0, 256, (4, 32, 48, 4), np.uint8)
    with av.open(source, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "bgra"
        for number, each in enumerate(noise):
            frame = av.VideoFrame.from_ndarray(each, format="bgra")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    derain(source, tmp_path / "out.mkv", network=Brighter(0.3), encoder="ffv1", strength=0)
    with av.open(tmp_path / "out.mkv") as container:
        after = [frame.to_ndarray(format="bgra") for frame in container.decode(video=0)]
    assert all(np.array_equal(old, new) for old, new in zip(noise, after, strict=True))
    derain(source, tmp_path / "bright.mkv", network=Brighter(0.3), encoder="ffv1")
    with av.open(tmp_path / "bright.mkv") as container:
        bright = next(container.decode(video=0)).to_ndarray(format="bgra")
    assert bright[..., :3].mean() > noise[0, ..., :3].mean() + 30
    assert np.array_equal(bright[..., 3], noise[0, ..., 3])


@pytest.mark.parametrize("length", [240, 248, 255])
def test_names_as_long_as_the_system_takes(clip: Path, tmp_path: Path, length: int) -> None:
    source, output = (tmp_path / f"{'ü' * ((length - 6) // 2)}{'x' * (length % 2)}{mark}.mp4" for mark in "ab")
    assert len(os.fsencode(output.name)) in (length, length - 1)
    source.write_bytes(clip.read_bytes())
    derain(source, output, network=Brighter(), **LOSSLESS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, output.name])


def test_names_that_are_too_long_are_one_line(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="is longer than the 255 bytes of a file's name; shorten it"):
        derain(clip, tmp_path / f"{'n' * 260}.mp4", network=Brighter())
    with pytest.raises(SourceError, match="does not exist"):
        derain(tmp_path / f"{'n' * 260}.mp4", tmp_path / "out.mp4", network=Brighter())


def test_two_long_names_that_begin_alike_have_partial_files_of_their_own(tmp_path: Path) -> None:
    names = [tmp_path / f"{'n' * 248}{mark}.mp4" for mark in "ab"]
    partial = [partial_of(name) for name in names]
    assert len({each.name for each in partial}) == 2
    assert all(len(each.name) <= 255 and each.name.endswith(".partial.mp4") for each in partial)


def test_the_report_tells_what_was_checked_and_a_difference_is_an_error(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = tmp_path / "report.json"
    derain(clip, tmp_path / "out.mp4", DerainConfig(report=report), network=Brighter())
    assert json.loads(report.read_text()) == {
        "output": str(tmp_path / "out.mp4"), "frames": 12, "verified": True, "lost": [], "differences": [],
    }  # fmt: skip
    monkeypatch.setattr("streamderain.media.sink.differences", lambda *_: ["11 of 12 frames are there"])
    with pytest.raises(DifferenceError, match=r"out.mkv is written, .*: 11 of 12 frames are there"):
        derain(clip, tmp_path / "out.mkv", DerainConfig(report=report), network=Brighter())
    assert len(frames_of(tmp_path / "out.mkv")) == 12
    assert json.loads(report.read_text())["differences"] == ["11 of 12 frames are there"]
    assert f"{tmp_path / 'out.mkv'}: 11 of 12 frames are there" in caplog.messages
    derain(clip, tmp_path / "out.mov", verify=False, network=Brighter())


@pytest.mark.parametrize(
    ("source", "output", "model", "taken"),
    [
        ("rainy.jpg", "dry.png", "default", "picture"),
        ("RAINY.TIFF", "dry.webp", "default", "picture"),
        ("rainy.jpg", "dry.png", "best", "best"),
        ("frame_%04d.png", "dry_%04d.png", "default", "default"),
        ("rainy.mp4", "dry.mp4", "default", "default"),
        ("rainy.mp4", "dry_%04d.png", "default", "default"),
        ("rainy.gif", "dry.mp4", "default", "default"),
    ],
)
def test_a_single_picture_has_a_network_of_its_own(source: str, output: str, model: str, taken: str) -> None:
    config = DerainConfig(model=model, strength=0.5)
    assert with_model(config, source, output) == DerainConfig(model=taken, strength=0.5)


def test_a_single_picture_goes_through_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(config: DerainConfig) -> Brighter:
        asked.append(config.model)
        return Brighter(0.1)

    monkeypatch.setattr("streamderain.run.load_network", load)
    write_image(tmp_path / "rainy.png", torch.full((3, 16, 24), 100, dtype=torch.uint8))
    derain(tmp_path / "rainy.png", tmp_path / "dry.png")
    assert asked == ["picture"]
    assert int(read_image(tmp_path / "dry.png").float().mean().round()) == 126
