"""Picture files with all that they hold: 8 or 16 bits, gray, alpha, ICC profile, EXIF; read, and written again."""

from __future__ import annotations

import io
import logging
import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamderain.errors import SourceError, reason, writing
from streamderain.media.images import PICTURE_ENDINGS
from streamderain.media.partial import partial_of
from streamderain.media.pixels import upright

logger = logging.getLogger(__name__)

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Pillow's names by ending."""

_DEEP, _CLEAR, _TINTED = ("PNG", "TIFF"), ("PNG", "TIFF", "WEBP"), ("PNG", "TIFF", "WEBP", "JPEG")
"""Formats that hold 16 bits, alpha, and an ICC profile."""

_ORIENTATION = 274
_TURNS = {1: 0, 2: 0, 3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90}
"""Degrees counter-clockwise to stand upright, by EXIF's orientation; those in _MIRRORED are then changed over, left and
right.
"""
_MIRRORED = (2, 4, 5, 7)

_QUALITY = 95

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """`samples`, uint8 or uint16 (H, W) gray or (H, W, 3) RGB, and `alpha`, (H, W) of that kind, as they are coded.

    `orientation` is EXIF's, 1 to 8; `exif` holds it too. `quantising` is what a JPEG was made with. One that
    `was_rounded` came from a file that is not lossless.
    """

    samples: Array
    alpha: Array | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    orientation: int = 1
    quantising: dict[str, Any] | None = None
    was_rounded: bool = False

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise that it must be turned to stand upright, a multiple of 90."""
        return _TURNS.get(self.orientation, 0)

    @property
    def mirrored(self) -> bool:
        """Whether left and right are changed over once it is turned."""
        return self.orientation in _MIRRORED

    @property
    def top(self) -> int:
        """The code of white."""
        return int(np.iinfo(self.samples.dtype).max)

    def upright(self) -> Picture:
        """The picture turned as its orientation says, which is plain then."""
        if self.orientation == 1:
            return self

        def turned(plane: Array) -> Array:
            return np.ascontiguousarray(upright(plane, self.rotation, self.mirrored))

        alpha = None if self.alpha is None else turned(self.alpha)
        exif = self.exif and _plain(self.exif)
        return replace(self, samples=turned(self.samples), alpha=alpha, orientation=1, exif=exif)


def read_picture(path: Path) -> Picture:
    """The picture in a file; what is no gray or RGB is converted, with a word. Raises SourceError."""
    from PIL import Image, UnidentifiedImageError

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if (count := getattr(image, "n_frames", 1)) > 1:
                if image.format == "WEBP":
                    raise SourceError(f"{path} is an animation; name a video to write to, such as out.mp4")
                logger.warning("%s holds %d pictures; the first is taken", path, count)
            return _pictured(image, data, path)
    except UnidentifiedImageError:
        raise SourceError(f"{path} is not a picture that can be read; allowed: {', '.join(PICTURE_ENDINGS)}") from None
    except SourceError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"{path} cannot be read: {reason(error)}") from error


def _pictured(image: Any, data: bytes, path: Path) -> Picture:
    orientation = image.getexif().get(_ORIENTATION, 1)
    picture = Picture(
        samples=np.zeros((0, 0), np.uint8),
        format=image.format,
        icc=image.info.get("icc_profile") or None,
        exif=image.info.get("exif") if image.format != "TIFF" else None,
        orientation=orientation if orientation in _TURNS else 1,
        quantising=_quantising(image),
        was_rounded=image.format == "JPEG" or (image.format == "WEBP" and b"VP8 " in _chunks(data)),
    )
    if _is_deep(image, data):
        samples, alpha = _deep(data, path)
        return replace(picture, samples=samples, alpha=alpha)
    if image.mode in ("I", "F"):
        raise SourceError(f"{path} holds samples of 32 bits; allowed: 8 or 16, as a picture editor can save it")
    if image.mode == "CMYK":
        logger.warning("%s is CMYK, for print; it goes on as RGB (sRGB)", path)
        return replace(picture, samples=np.array(_from_cmyk(image, picture.icc)), icc=None)
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    is_gray = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")
    if image.mode.startswith("I;16"):
        return replace(picture, samples=np.array(image).astype(np.uint16))
    planes = np.array(image.convert(("LA" if has_alpha else "L") if is_gray else "RGBA" if has_alpha else "RGB"))
    if not has_alpha:
        return replace(picture, samples=planes)
    return replace(picture, samples=planes[..., 0] if is_gray else planes[..., :3], alpha=planes[..., -1])


def _quantising(image: Any) -> dict[str, Any] | None:
    """The tables of a JPEG and how it takes chroma, so that it is written as well as it came."""
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    from PIL.JpegImagePlugin import get_sampling

    sampling = get_sampling(image)
    return {"qtables": image.quantization, **({"subsampling": sampling} if sampling >= 0 else {})}


def _is_deep(image: Any, data: bytes) -> bool:
    """Whether samples have 16 bits, of which Pillow would keep 8."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        return data[24] == 16
    return image.format == "TIFF" and bool(max(image.tag_v2.get(258, (8,))) == 16)


def _deep(data: bytes, path: Path) -> tuple[Array, Array | None]:
    import cv2

    planes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if planes is None or planes.dtype != np.uint16:
        raise SourceError(f"{path} holds 16 bits in a way that cannot be read; save it as a plain PNG or TIFF")
    if planes.ndim == 2:
        return planes, None
    return np.ascontiguousarray(planes[..., 2::-1]), planes[..., 3] if planes.shape[-1] == 4 else None


def _chunks(data: bytes) -> set[bytes]:
    """The names of the chunks of a RIFF file."""
    at, names = 12, set()
    while at + 8 <= len(data):
        names.add(data[at : at + 4])
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def _from_cmyk(image: Any, icc: bytes | None) -> Any:
    from PIL import ImageCms

    if icc:
        try:
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            logger.debug("an ICC profile that is none", exc_info=True)
    return image.convert("RGB")


def _plain(exif: bytes) -> bytes:
    from PIL import Image

    held = Image.Exif()
    held.load(exif)
    held[_ORIENTATION] = 1
    return held.tobytes()


def write_picture(path: Path, picture: Picture) -> list[str]:
    """Write `picture` in the format of the ending, whole or not at all, replacing what is there; what that does not
    hold is told in words. It is as good as it came: lossless, or with the tables of the JPEG that it was.

    In the format that it came in it stays as it is coded, its orientation beside it; in another it is upright. Raises
    SinkError.
    """
    kind = FORMATS[path.suffix.lower()]
    if kind != picture.format:
        picture = picture.upright()
    picture, notes = _fitting(picture, kind)
    deep_colour = picture.samples.dtype == np.uint16 and (picture.samples.ndim == 3 or picture.alpha is not None)
    data = _deep_bytes(picture, kind) if deep_colour else _bytes(picture, kind)
    partial = partial_of(path)
    with writing(path):
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return notes


def _fitting(picture: Picture, kind: str) -> tuple[Picture, list[str]]:
    """What of a picture a format holds, and in words what it does not."""
    notes = []
    if picture.samples.dtype == np.uint16 and kind not in _DEEP:
        notes.append(f"{kind} holds 8 bits of 16; .png holds all")
        alpha = None if picture.alpha is None else (picture.alpha >> 8).astype(np.uint8)
        eight = np.rint(picture.samples / 257).astype(np.uint8)
        picture = replace(picture, samples=eight, alpha=alpha)
    if picture.alpha is not None and kind not in _CLEAR:
        notes.append(f"{kind} holds no alpha; .png holds it")
        picture = replace(picture, alpha=None)
    is_deep_tiff = kind == "TIFF" and picture.samples.dtype == np.uint16 and picture.samples.ndim == 3
    if picture.icc and (kind not in _TINTED or is_deep_tiff):
        notes.append(f"{kind}{' of 16 bits' if is_deep_tiff else ''} is written without the ICC profile; .png holds it")
        picture = replace(picture, icc=None)
    return picture, notes


def _bytes(picture: Picture, kind: str) -> bytes:
    from PIL import Image

    planes = picture.samples
    if picture.alpha is not None:
        planes = np.dstack([planes, picture.alpha])
    image = Image.fromarray(np.ascontiguousarray(planes))
    options: dict[str, Any] = {"icc_profile": picture.icc, "exif": picture.exif or b""}
    if kind == "JPEG":
        options |= picture.quantising or {"quality": _QUALITY, "subsampling": 0}
    elif kind == "WEBP":
        is_lossy = picture.was_rounded
        options |= {"lossless": not is_lossy, "quality": _QUALITY if is_lossy else 100, "exact": True}
    elif kind == "TIFF":
        options = {"icc_profile": picture.icc, "compression": "tiff_adobe_deflate"}
        options["tiffinfo"] = {_ORIENTATION: picture.orientation}
    elif kind == "BMP":
        options = {}
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def _deep_bytes(picture: Picture, kind: str) -> bytes:
    import cv2

    colour = picture.samples if picture.samples.ndim == 3 else np.dstack([picture.samples] * 3)
    planes = colour[..., ::-1] if picture.alpha is None else np.dstack([colour[..., ::-1], picture.alpha])
    _, encoded = cv2.imencode(f".{kind.lower()}", np.ascontiguousarray(planes))
    data = encoded.tobytes()
    if kind != "PNG":
        return data
    chunks = b""
    if picture.icc:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc))
    if picture.exif:
        chunks += _chunk(b"eXIf", picture.exif.removeprefix(b"Exif\0\0"))
    # Behind the signature and the header, whose lengths are 8 and 25.
    return data[:33] + chunks + data[33:]


def _chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG file (ISO/IEC 15948, 5.3)."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
