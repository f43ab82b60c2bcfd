"""Pictures of every kind: what they hold comes back."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from streamderain.errors import SourceError
from streamderain.media.pictures import read_picture, write_picture

NOISE = np.random.default_rng(1)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def samples(*shape: int, deep: bool = False) -> Any:
    return NOISE.integers(0, 65536 if deep else 256, shape, np.uint16 if deep else np.uint8)


def exif(orientation: int) -> Image.Exif:
    held = Image.Exif()
    held[274], held[271] = orientation, "a camera"
    return held


@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_eight_bits_come_back_with_alpha_and_profile(tmp_path: Path, ending: str, mode: str) -> None:
    shape = (6, 9) if mode == "L" else (6, 9, len(mode))
    image = Image.fromarray(samples(*shape))
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    image.save(tmp_path / f"a.{ending}", icc_profile=ICC, **options)
    picture = read_picture(tmp_path / f"a.{ending}")
    assert write_picture(tmp_path / "b.png", picture) == []
    with Image.open(tmp_path / "b.png") as back:
        assert np.array_equal(np.array(back.convert(mode)), np.array(image))
        assert back.info["icc_profile"] == ICC
    assert not list(tmp_path.glob("*partial*"))


@pytest.mark.parametrize("profile", [None, ICC])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_stays_lossless_or_not(tmp_path: Path, mode: str, profile: bytes | None) -> None:
    image = Image.fromarray(samples(40, 60, len(mode)))
    image.save(tmp_path / "exact.webp", lossless=True, exact=True, icc_profile=profile)
    image.save(tmp_path / "small.webp", quality=80, icc_profile=profile)
    for name, is_exact in (("exact", True), ("small", False)):
        picture = read_picture(tmp_path / f"{name}.webp")
        assert write_picture(tmp_path / "b.webp", picture) == []
        again = read_picture(tmp_path / "b.webp")
        assert picture.was_rounded == again.was_rounded == (not is_exact)
        assert np.array_equal(again.samples, picture.samples) == is_exact


@pytest.mark.parametrize("ending", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_come_back(tmp_path: Path, ending: str, channels: int) -> None:
    planes = samples(6, 9, channels, deep=True).squeeze()
    _, data = cv2.imencode(f".{ending}", planes)
    data.tofile(tmp_path / f"a.{ending}")
    picture = read_picture(tmp_path / f"a.{ending}")
    assert picture.samples.dtype == np.uint16
    assert (picture.alpha is not None) == (channels == 4)
    assert write_picture(tmp_path / f"b.{ending}", picture) == []
    back = cv2.imdecode(np.fromfile(tmp_path / f"b.{ending}", np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(back, planes)


def test_sixteen_bits_keep_their_profile_and_orientation_in_png(tmp_path: Path) -> None:
    _, data = cv2.imencode(".png", samples(6, 9, 3, deep=True))
    data.tofile(tmp_path / "plain.png")
    from dataclasses import replace

    picture = replace(read_picture(tmp_path / "plain.png"), icc=ICC, exif=exif(6).tobytes(), orientation=6)
    assert write_picture(tmp_path / "a.png", picture) == []
    again = read_picture(tmp_path / "a.png")
    assert (again.icc, again.orientation) == (ICC, 6)
    assert np.array_equal(again.samples, picture.samples)
    assert write_picture(tmp_path / "a.tiff", picture) == [
        "TIFF of 16 bits is written without the ICC profile; .png holds it"
    ]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_keeps_orientation_profile_and_tables_and_is_upright_elsewhere(tmp_path: Path, orientation: int) -> None:
    y, x = np.mgrid[0:24, 0:40]
    image = Image.fromarray(np.stack([x * 6, y * 9, x + y], axis=-1).astype(np.uint8))
    image.save(tmp_path / "a.jpg", quality=83, subsampling=1, exif=exif(orientation), icc_profile=ICC)
    picture = read_picture(tmp_path / "a.jpg")
    assert write_picture(tmp_path / "b.jpg", picture) == []
    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.jpg") as after:
        assert after.getexif()[274] == orientation
        assert after.getexif()[271] == "a camera"
        assert after.info["icc_profile"] == ICC
        assert after.quantization == before.quantization
        assert np.abs(np.array(after).astype(int) - np.array(before)).mean() < 1
    write_picture(tmp_path / "b.png", picture)
    from PIL import ImageOps

    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.png") as after:
        assert after.getexif().get(274, 1) == 1
        assert np.array_equal(np.array(after), np.array(ImageOps.exif_transpose(before)))


def test_what_a_format_does_not_hold_is_said(tmp_path: Path) -> None:
    _, data = cv2.imencode(".png", samples(6, 9, 4, deep=True))
    data.tofile(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert write_picture(tmp_path / "a.jpg", picture) == [
        "JPEG holds 8 bits of 16; .png holds all",
        "JPEG holds no alpha; .png holds it",
    ]
    with Image.open(tmp_path / "a.jpg") as back:
        assert (back.mode, back.size) == ("RGB", (9, 6))


def test_cmyk_goes_on_as_rgb_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("CMYK", (9, 6), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    with caplog.at_level(logging.WARNING, "streamderain"):
        picture = read_picture(tmp_path / "a.jpg")
    assert "is CMYK, for print; it goes on as RGB" in caplog.text
    assert picture.samples.shape == (6, 9, 3)
    assert picture.samples[0, 0, 0] > 200 > 100 > picture.samples[0, 0, 1]


def test_a_palette_and_one_bit_are_read(tmp_path: Path) -> None:
    Image.new("1", (9, 6), 1).save(tmp_path / "one.png")
    assert read_picture(tmp_path / "one.png").samples.tolist() == [[255] * 9] * 6
    clear = Image.new("P", (9, 6), 0)
    clear.putpalette([10, 20, 30])
    clear.save(tmp_path / "p.png", transparency=0)
    picture = read_picture(tmp_path / "p.png")
    assert picture.samples[2, 3].tolist() == [10, 20, 30]
    assert picture.alpha is not None
    assert picture.alpha.max() == 0


def _animation() -> bytes:
    memory = io.BytesIO()
    images = [Image.new("RGB", (9, 6), colour) for colour in ("red", "blue")]
    images[0].save(memory, "WEBP", save_all=True, append_images=images[1:])
    return memory.getvalue()


def _float() -> bytes:
    memory = io.BytesIO()
    Image.new("F", (9, 6), 0.5).save(memory, "TIFF")
    return memory.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.png", b"rain", "is not a picture that can be read; allowed: .png"),
        ("a.png", b"", "is not a picture that can be read"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "is not a picture that can be read|cannot be read"),
        ("a.webp", _animation(), "is an animation; name a video to write to"),
        ("a.tiff", _float(), "holds samples of 32 bits"),
        ("a.png", None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_picture_is_one_line(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=said) as caught:
        read_picture(tmp_path / name)
    assert "\n" not in str(caught.value)
