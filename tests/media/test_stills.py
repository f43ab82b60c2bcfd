"""Pictures through a run: single ones, sequences, in and out of videos, and animations."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from streamderain.errors import SinkError, SourceError, StationError, StreamderainError
from streamderain.frames import Frame, PixelLayout
from streamderain.media.pictures import read_picture
from streamderain.media.stills import StillSource, _rgb, decode_stills
from streamderain.run import derain


class Brighter:
    """Adds to every sample, and may fail at its n-th picture."""

    device = torch.device("cpu")

    def __init__(self, by: float = 0.0, past: int = 0, fails: int = 0) -> None:
        self.by, self.past, self.future, self.fails, self.calls = by, past, 0, fails, 0

    def restore(self, windows: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fails:
            raise RuntimeError("bad luck")
        return windows.mean(dim=1) + self.by


def noise(path: Path, *shape: int, deep: bool = False, seed: int = 1) -> np.ndarray:
    kind = np.uint16 if deep else np.uint8
    planes = np.random.default_rng(seed).integers(0, 65536 if deep else 200, shape, kind)
    _, data = cv2.imencode(path.suffix, planes)
    data.tofile(path)
    return planes


def back(path: Path) -> np.ndarray:
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(("ending", "shape", "deep"), [
    ("png", (20, 31), False), ("png", (20, 31, 3), False), ("png", (20, 31, 4), True), ("tiff", (20, 31, 3), True),
    ("webp", (20, 31, 3), False), ("bmp", (20, 31, 3), False),
])  # fmt: skip
def test_a_picture_that_is_left_alone_is_the_same_to_the_bit(
    tmp_path: Path, ending: str, shape: tuple[int, ...], deep: bool
) -> None:
    planes = noise(tmp_path / f"a.{'png' if ending == 'webp' else ending}", *shape, deep=deep)
    source = tmp_path / f"a.{'png' if ending == 'webp' else ending}"
    done = derain(source, tmp_path / f"b.{ending}", network=Brighter(0.3), strength=0)
    assert done.frames == 1
    assert np.array_equal(back(tmp_path / f"b.{ending}"), planes)


def test_what_is_said_of_a_picture_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2):
        Image.new("CMYK", (9, 6), (0, 255, 255, 0)).save(tmp_path / f"a{number}.jpg")
    derain(tmp_path / "a%d.jpg", tmp_path / "b%d.jpg", network=Brighter())
    assert [message.partition(" is CMYK")[0] for message in caplog.messages] == [
        str(tmp_path / f"a{number}.jpg") for number in range(2)
    ]


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
def test_what_the_network_changes_is_changed(tmp_path: Path, shape: tuple[int, ...]) -> None:
    planes = noise(tmp_path / "a.png", *shape)
    derain(tmp_path / "a.png", tmp_path / "b.png", network=Brighter(0.1))
    gain = back(tmp_path / "b.png").astype(int) - planes
    assert gain.mean() == pytest.approx(25.5, abs=0.6)
    assert np.abs(gain - 25.5).max() <= 2


def test_a_turned_picture_is_shown_to_the_network_upright_and_stays_turned(tmp_path: Path) -> None:
    class Top(Brighter):
        def restore(self, windows: Tensor) -> Tensor:
            self.shape = windows.shape[-2:]
            made = windows[:, 0].clone()
            made[..., :4, :] = 1
            return made

    held = Image.Exif()
    held[274] = 6
    Image.new("RGB", (40, 24), "black").save(tmp_path / "a.jpg", exif=held, quality=95)
    network = Top()
    derain(tmp_path / "a.jpg", tmp_path / "b.jpg", network=network)
    assert network.shape == (40, 24)
    picture = read_picture(tmp_path / "b.jpg")
    assert picture.orientation == 6
    assert picture.samples[:, :3].mean() > 240 > 20 > picture.samples[:, 8:].mean()
    assert picture.upright().samples[:3].mean() > 240


def test_a_sequence_is_a_film_with_neighbours_and_keeps_numbers_bits_and_sizes(tmp_path: Path) -> None:
    for number in (7, 8, 9):
        Image.new("RGB", (32, 24), (number * 20,) * 3).save(tmp_path / f"in_{number:03d}.png")
    derain(tmp_path / "in_%03d.png", tmp_path / "out_%d.png", network=Brighter(past=1), blend=0.0)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out_7.png", "out_8.png", "out_9.png"]
    assert [int(back(tmp_path / f"out_{number}.png").mean()) for number in (7, 8, 9)] == [140, 150, 170]
    with pytest.raises(SinkError, match=r"out_7\.png exists; --overwrite"):
        derain(tmp_path / "in_%03d.png", tmp_path / "out_%d.png", network=Brighter())


def test_a_sequence_that_fails_keeps_what_is_whole(tmp_path: Path) -> None:
    for number in range(6):
        noise(tmp_path / f"in_{number}.png", 24, 32, 3, seed=number)
    with pytest.raises(StationError, match=r"the first 3 frames are kept in .*out_%d\.png"):
        derain(tmp_path / "in_%d.png", tmp_path / "out_%d.png", network=Brighter(fails=4), batch=1, blend=0.0)
    assert len(list(tmp_path.glob("out_*.png"))) == 3


def test_a_sequence_becomes_a_video_and_a_video_a_sequence(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "streamderain"):
        derain(clip, tmp_path / "f_%02d.png", network=Brighter())
        derain(tmp_path / "f_%02d.png", tmp_path / "out.mkv", network=Brighter(), encoder="ffv1", crf=None)
    assert "pictures hold neither sound nor subtitles" in caplog.text
    assert "taken for 25 pictures a second" in caplog.text
    assert [path.name for path in sorted(tmp_path.glob("*.png"))] == [f"f_{number:02d}.png" for number in range(1, 13)]
    with av.open(clip) as before, av.open(tmp_path / "out.mkv") as after:
        pairs = list(zip(before.decode(video=0), after.decode(video=0), strict=True))
        for old, new in pairs:
            difference = old.to_ndarray(format="rgb24").astype(int) - new.to_ndarray(format="rgb24")
            assert np.abs(difference).max() <= 6
        assert [round(new.time * 25) for _, new in pairs] == list(range(12))


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animation_becomes_a_video_with_its_times(tmp_path: Path, ending: str) -> None:
    images = [Image.fromarray(np.full((32, 48, 3), number * 40 + 20, np.uint8)) for number in range(4)]
    options = {"lossless": True} if ending == "webp" else {}
    source = tmp_path / f"a.{ending}"
    images[0].save(source, save_all=True, append_images=images[1:], duration=[40, 80, 120, 40], **options)
    derain(source, tmp_path / "out.mkv", network=Brighter(), encoder="ffv1", crf=None)
    with av.open(tmp_path / "out.mkv") as file:
        frames = list(file.decode(video=0))
        assert [round(frame.time * 1000) for frame in frames] == [0, 40, 120, 240]
        for number, frame in enumerate(frames):
            assert abs(int(frame.to_ndarray(format="rgb24").mean()) - (number * 40 + 20)) <= 2


@pytest.mark.parametrize(
    ("source", "output", "settings", "said"),
    [
        ("a.png", "a.png", {"overwrite": True}, "is the input itself"),
        ("a.png", "b.png", {}, "b.png exists; --overwrite replaces it"),
        ("t_%d.png", "t_%d.png", {"overwrite": True}, "is an input itself"),
        ("s_%d.png", "c_%d.png", {}, "s_2.png is missing in the sequence"),
        ("s_%d.png", "c.mp4", {}, "s_2.png is missing in the sequence"),
        ("none_%d.png", "c_%d.png", {}, "stands for no picture that is there; expected such as none_1.png"),
        ("a.png", "c_%d.png", {}, "are not both one picture or both a sequence"),
        ("a.png", "c.png", {"compare": Path("d.mp4")}, "pictures have no --compare"),
        ("a.png", "c.png", {"start": "1"}, "pictures have no --compare, --start"),
    ],
)
def test_what_cannot_be_is_one_line_and_loses_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    output: str,
    settings: dict[str, object],
    said: str,
) -> None:
    for name in ("a.png", "b.png", "s_1.png", "s_3.png", "t_1.png"):
        noise(tmp_path / name, 24, 32, 3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SinkError, SourceError)) as caught:
        derain(source, output, network=Brighter(), **settings)
    assert isinstance(caught.value, StreamderainError)
    assert said in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_told_to_who_looks_at_the_frame(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10).save(tmp_path / "a.png", exif=exif)
    frame = next(decode_stills(StillSource("a", [tmp_path / "a.png"])))
    (plane,) = frame.layout.split(frame.data)
    upright = torch.rot90(plane, frame.layout.rotation // 90)
    shown = (upright.flip(-1) if frame.layout.mirrored else upright).numpy() / (4095 / 255)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.allclose(shown, np.array(ImageOps.exif_transpose(picture)), atol=0.1)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_of_a_video_stand_upright(rotation: int, mirrored: bool) -> None:
    layout = PixelLayout(32, 48, "gray", full_range=True, rotation=rotation, mirrored=mirrored)
    plane = torch.arange(32 * 48).remainder(256).to(torch.uint8)
    picture = _rgb(Frame(plane, layout, 0, Fraction(1, 25)))[..., 0]
    upright = torch.rot90(plane.view(32, 48), rotation // 90)
    wanted = (upright.flip(-1) if mirrored else upright).numpy()
    assert np.abs(picture.astype(int) - wanted).max() <= 1
