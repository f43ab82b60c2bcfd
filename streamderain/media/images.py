"""Still pictures and whole short clips as tensors, for training and evaluation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from streamderain.errors import SinkError, SourceError, writing

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read_image(path: Path) -> Tensor:
    """A picture file as uint8 RGB (3, H, W). Raises SourceError when it is no readable picture."""
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise SourceError(f"{path} is not a picture that can be read; allowed: {', '.join(PICTURE_ENDINGS)}")
    return torch.from_numpy(picture).flip(-1).permute(2, 0, 1).contiguous()


def write_image(path: Path, picture: Tensor) -> None:
    """Write uint8 RGB (3, H, W), replacing what is there; the ending of `path` says the format, JPEG with quality 95.

    Raises SinkError when that cannot be done.
    """
    import cv2

    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise SinkError(f"{path} has an ending that tells no picture format; allowed: {', '.join(PICTURE_ENDINGS)}")
    _, data = cv2.imencode(path.suffix.lower(), picture.permute(1, 2, 0).flip(-1).contiguous().numpy())
    with writing(path):
        data.tofile(path)


def list_images(folder: Path) -> list[Path]:
    """The picture files in `folder`, by name."""
    return [path for path in shown_in(folder) if path.suffix.lower() in PICTURE_ENDINGS]


def shown_in(folder: Path) -> list[Path]:
    """What is in `folder`, by name, but for hidden files, such as those ._NAME that macOS leaves beside each file."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_folder(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """File name and picture, uint8 RGB (3, H, W), of every picture in `folder`, by name."""
    for path in list_images(folder):
        yield path.name, read_image(path)


def read_clip(path: Path, frames: int) -> Tensor:
    """The first `frames` frames of a video as uint8 RGB (T, 3, H, W).

    Raises SourceError where it cannot be read, or holds no frame.
    """
    pictures = []
    try:
        with av.open(path, metadata_errors="replace") as container:
            shown = container.decode(video=0) if container.streams.video else ()
            for frame in islice(shown, frames):
                pictures.append(torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1))
    except av.FFmpegError as error:
        raise SourceError(f"{path} is no video that can be read: {error.strerror}") from error
    if not pictures:
        raise SourceError(f"{path} has no frame to look at; expected a video")
    return torch.stack(pictures)


def compressed(clip: Tensor, crf: int) -> Tensor:
    """`clip` through an encoder and back, in memory: as H.264 at this quality would show it.

    (T, 3, H, W) uint8 RGB, H and W even -> the same shape. `crf` is x264's, 0 (lossless luma) to 51.
    """
    # Without look-ahead, as live encoders run, and because with it x264 gives short clips now this, now that.
    options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    memory = io.BytesIO()
    with av.open(memory, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = clip.shape[-2:]
        stream.pix_fmt = "yuv420p"
        # A window is shorter than a thread is worth.
        stream.thread_count = 1
        for picture in clip.permute(0, 2, 3, 1).contiguous().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r", format="h264") as recorded:
        recorded.streams.video[0].thread_count = 1
        pictures = [frame.to_ndarray(format="rgb24") for frame in recorded.decode(video=0)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
