"""Rain on files: the same for the same settings, and nothing else of the file changes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.carry import Progress
from streamderain.config import RainConfig
from streamderain.errors import ConfigError, SinkError, SourceError, Stopped
from streamderain.frames import Frame, VideoInfo
from streamderain.media.decoder import decode
from streamderain.media.images import read_image, write_image
from streamderain.media.source import open_source
from streamderain.training.rainmaker import Weather, make_rainy, recording
from tests.training.conftest import photo

EXACT = RainConfig(rate=30.0, strength=60.0, noise=0.0, crf=0)
"""Heavy rain before a camera without faults."""


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(decode(source))


def rained_on(clip: Path, folder: Path, config: RainConfig, name: str = "rainy.mp4") -> list[Frame]:
    make_rainy(clip, folder / name, config)
    return frames_of(folder / name)


def difference(some: list[Frame], others: list[Frame]) -> float:
    """The mean one of luma and chroma, in steps of a byte."""
    pairs = zip(some, others, strict=True)
    return sum(float((one.data.float() - other.data.float()).abs().mean()) for one, other in pairs) / len(some)


def test_it_rains_and_times_and_sound_stay(clip: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    done = make_rainy(clip, tmp_path / "rainy.mp4", EXACT, seen.append)
    clean, rainy = frames_of(clip), frames_of(tmp_path / "rainy.mp4")
    assert [frame.seconds for frame in clean] == [frame.seconds for frame in rainy]
    assert difference(clean, rainy) > 2
    assert [progress.frames for progress in seen] == list(range(1, 13))
    assert done.frames == 12
    with open_source(clip) as before, open_source(tmp_path / "rainy.mp4") as after:
        assert len(after.copied) == len(before.copied) == 1
        assert replace(after.info, time_base=before.info.time_base) == before.info


def test_the_same_settings_are_the_same_rain_and_another_seed_is_other_rain(clip: Path, tmp_path: Path) -> None:
    config = replace(EXACT, noise=0.01, droplets=3)
    once = rained_on(clip, tmp_path, config, "once.mp4")
    again = rained_on(clip, tmp_path, config, "again.mp4")
    other = rained_on(clip, tmp_path, replace(config, seed=2), "other.mp4")
    assert difference(once, again) == 0
    assert difference(once, other) > 0.3


def test_without_rain_and_noise_a_lossless_copy_is_left(clip: Path, tmp_path: Path) -> None:
    config = replace(EXACT, rate=0.0, droplets=5)
    assert difference(frames_of(clip), rained_on(clip, tmp_path, config)) == 0
    assert (
        difference(frames_of(clip), rained_on(clip, tmp_path, replace(config, encoder="ffv1", crf=None), "r.mkv")) == 0
    )


def test_no_rain_still_has_the_cameras_noise(clip: Path, tmp_path: Path) -> None:
    noisy = rained_on(clip, tmp_path, replace(EXACT, rate=0.0, noise=0.02))
    assert 0.5 < difference(frames_of(clip), noisy) < 5


def test_drops_fall_by_the_frames_times_where_the_rate_varies(tmp_path: Path) -> None:
    import av
    import numpy as np

    path, times = tmp_path / "varying.mkv", [0, 40, 80, 280, 2000]
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60, np.uint8), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    weather = Weather(EXACT, 48, 64)
    for frame in rained_on(path, tmp_path, replace(EXACT, encoder="ffv1", crf=None), "rainy.mkv"):
        luma = frame.layout.split(frame.data)[0].float()
        expected = weather.on(torch.full((3, 48, 64), 60 / 255), frame.seconds, 0).mean(dim=0) * 219 + 16
        assert float((luma - expected).abs().mean()) < 0.6
    assert [round(frame.seconds * 1000) for frame in frames_of(tmp_path / "rainy.mkv")] == times


def test_a_picture_and_a_folder_of_pictures(tmp_path: Path) -> None:
    for name, number in (("a.png", 1), ("b.png", 1), ("c.jpg", 3)):
        write_image_in(tmp_path / "clean", name, photo(number))
    (tmp_path / "clean" / "notes.txt").write_text("no picture")
    seen: list[Progress] = []
    done = make_rainy(tmp_path / "clean", tmp_path / "rainy", EXACT, seen.append)
    assert sorted(path.name for path in (tmp_path / "rainy").iterdir()) == ["a.png", "b.png", "c.jpg"]
    assert (done.frames, done.expected, done.slowest.name) == (3, 3, "rain")
    assert [progress.frames for progress in seen] == [1, 2, 3]
    rainy = read_image(tmp_path / "rainy" / "a.png")
    assert rainy.shape == photo(1).shape
    assert not torch.equal(rainy, photo(1))
    # Other drops in each, and the same in a picture alone.
    assert not torch.equal(rainy, read_image(tmp_path / "rainy" / "b.png"))
    make_rainy(tmp_path / "clean" / "a.png", tmp_path / "alone.png", EXACT)
    assert torch.equal(rainy, read_image(tmp_path / "alone.png"))


def write_image_in(folder: Path, name: str, picture: Tensor) -> None:
    folder.mkdir(exist_ok=True)
    write_image(folder / name, picture)


def test_nothing_is_overwritten_unasked(clip: Path, tmp_path: Path) -> None:
    write_image_in(tmp_path / "clean", "a.png", photo(1))
    make_rainy(tmp_path / "clean", tmp_path / "rainy", EXACT)
    with pytest.raises(SinkError, match=r"a\.png exists; --overwrite replaces it"):
        make_rainy(tmp_path / "clean", tmp_path / "rainy", EXACT)
    make_rainy(tmp_path / "clean", tmp_path / "rainy", replace(EXACT, overwrite=True))
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(SinkError, match="exists; --overwrite replaces it"):
        make_rainy(clip, tmp_path / "out.mp4", EXACT)
    with pytest.raises(SinkError, match="is the input itself"):
        make_rainy(tmp_path / "clean", tmp_path / "clean", replace(EXACT, overwrite=True))


@pytest.mark.parametrize(
    ("clean", "rainy", "kind", "message"),
    [
        ("none.mp4", "out.mp4", SourceError, "none.mp4 does not exist"),
        ("none.png", "out.png", SourceError, "none.png cannot be read: No such file"),
        ("empty", "out", SourceError, "empty holds no pictures"),
        ("a.png", "out.mp4", SinkError, "out.mp4 has an ending that tells no picture format"),
        ("full", "a.png", SinkError, "a.png is a file; name a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: str, rainy: str, kind: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    write_image_in(Path("full"), "a.png", photo(1))
    write_image(Path("a.png"), photo(1))
    with pytest.raises(kind, match=message):
        make_rainy(clean, rainy, EXACT)


def test_an_exposure_is_no_longer_than_a_frame(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"longer than a frame of .*allowed: up to 0\.0400"):
        make_rainy(clip, tmp_path / "out.mp4", replace(EXACT, exposure=0.05))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["video", "pictures"])
def test_ctrl_c_stops_in_words(clip: Path, tmp_path: Path, kind: str) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    write_image_in(tmp_path / "clean", "a.png", photo(1))
    clean, rainy = (clip, tmp_path / "out.mp4") if kind == "video" else (tmp_path / "clean", tmp_path / "rainy")
    with pytest.raises(Stopped, match="stopped; the first"):
        make_rainy(clean, rainy, EXACT, interrupt)


INFO = VideoInfo("h264", "yuv420p", 1080, 1920, Fraction(1, 30), frame_rate=Fraction(30))


@pytest.mark.parametrize(
    ("config", "crf", "options"),
    [
        (RainConfig(), None, {"b": "9953280", "g": "30"}),
        (RainConfig(bitrate=2500), None, {"b": "2500000", "maxrate": "3750000"}),
        (RainConfig(crf=20), 20, {}),
        (RainConfig(crf=0), None, {"qp": "0"}),
        (RainConfig(encoder="libx265", crf=0), 0, {}),
    ],
)
def test_cameras_keep_to_a_bitrate_unless_told_otherwise(
    config: RainConfig, crf: int | None, options: dict[str, str]
) -> None:
    encoding = recording(config, INFO)
    assert encoding.crf == crf
    assert options.items() <= encoding.options.items()


def test_a_camera_with_few_frames_spends_more_on_each() -> None:
    assert recording(RainConfig(), replace(INFO, frame_rate=Fraction(10))).options["b"] == str(
        round(0.16 * 1920 * 1080 * 25)
    )


@pytest.mark.parametrize(
    "change", [{"veil": 0.0}, {"droplets": 4}, {"wind": 5.0}, {"exposure": 0.03}, {"horizon": -1.0}]
)
def test_each_setting_does_something(change: dict[str, Any]) -> None:
    clean = photo(1).float() / 255
    as_it_was, changed = (Weather(config, 72, 88).on(clean, 1.0, 0) for config in (EXACT, replace(EXACT, **change)))
    assert not torch.equal(as_it_was, changed)
