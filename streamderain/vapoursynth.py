"""streamderain as a function of VapourSynth: a clip in the rain -> the same with less of it, frame by frame on demand.

import vapoursynth as vs
from streamderain.vapoursynth import derain

clip = vs.core.bs.VideoSource("rainy.mp4")
derain(clip).set_output()

Blending of derained neighbours (`--blend`) is no part of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from streamderain.engine.scenes import is_cut
from streamderain.errors import ConfigError
from streamderain.networks.restorer import Restorer

try:
    import vapoursynth as vs
except ImportError as error:
    raise ConfigError("streamderain.vapoursynth needs VapourSynth; pip install 'streamderain[vapoursynth]'") from error

BT709, UNSAID, BT601 = 1, 2, 6
"""Matrix coefficients, by the numbers of H.273."""


def derain(clip: vs.VideoNode, strength: float = 1.0, **network: Any) -> vs.VideoNode:
    """The frames of `clip` derained, in its own format: RGB, YUV or gray, of any depth, one format and size throughout.

    What is not RGBS is converted, and back; YUV whose matrix nobody says is BT.709 from 720 lines on, else BT.601.
    `strength` scales what is taken away, 0 nothing. `network` is what `Restorer.load` takes: model, device, backend,
    precision, memory. Frames keep their properties. No frame of another scene enters a frame.

    Raises ConfigError, WeightsError and DeviceError.
    """
    if clip.format is None or not clip.width or not clip.height:
        raise ConfigError("the clip changes its format or size; resize it to one first")
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength is {strength}; allowed: 0 to 1")
    restorer = Restorer.load(**network)
    rgb, back = _as_rgb(clip)
    window = [_later(rgb, by) for by in range(-restorer.past, restorer.future + 1)]

    def restored(n: int, f: Any) -> Any:
        frames = f if isinstance(f, list) else [f]
        rainy = torch.stack([_read(frame) for frame in frames])
        present = rainy[restorer.past]
        clean = restorer.restore(_of_one_scene(rainy, restorer.past)[None].to(restorer.device))[0].cpu()
        return _written(frames[restorer.past], torch.lerp(present, clean, strength))

    derained = rgb.std.ModifyFrame(window, restored)
    if clip.format.id == vs.RGBS:
        return derained
    return derained.resize.Bicubic(format=clip.format.id, **back).std.CopyFrameProps(clip)


def _as_rgb(clip: vs.VideoNode) -> tuple[vs.VideoNode, dict[str, int]]:
    """`clip` in RGBS, and what leads back from there."""
    if clip.format.id == vs.RGBS:
        return clip, {}
    if clip.format.color_family == vs.RGB:
        return clip.resize.Bicubic(format=vs.RGBS), {}
    with clip.get_frame(0) as first:
        said = dict(first.props)
    matrix = said.get("_Matrix", UNSAID)
    if matrix == UNSAID:
        matrix = BT709 if clip.height >= 720 else BT601
    # Before R74 the range went by another name, and the other way round.
    back = {"matrix": matrix, "range": said.get("_Range", 1 - said.get("_ColorRange", 1))}
    if "_ChromaLocation" in said and clip.format.subsampling_w:
        back["chromaloc"] = said["_ChromaLocation"]
    return clip.resize.Bicubic(format=vs.RGBS, matrix_in=matrix), {name: int(value) for name, value in back.items()}


def _later(clip: vs.VideoNode, by: int) -> vs.VideoNode:
    """`clip` so many frames later, or earlier; its first and last frame stand for those that there are not."""
    by = max(1 - clip.num_frames, min(by, clip.num_frames - 1))
    if by < 0:
        return clip[0] * -by + clip[:by]
    return clip[by:] + clip[-1] * by if by else clip


def _read(frame: Any) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(frame[plane]) for plane in range(3)]))


def _written(frame: Any, picture: Tensor) -> Any:
    """A copy of `frame`, its properties too, that shows `picture`, float32 (3, H, W)."""
    copy = frame.copy()
    for plane in range(3):
        np.copyto(np.asarray(copy[plane]), picture[plane].numpy())
    return copy


def _of_one_scene(window: Tensor, present: int) -> Tensor:
    """`window`, (T, 3, H, W), in which the nearest frame of the same scene stands for each of another."""
    luma = window.mean(dim=1, keepdim=True)
    row = list(range(len(window)))
    for number in range(present - 1, -1, -1):
        is_ours = row[number + 1] == number + 1 and not is_cut(luma[number, None], luma[number + 1, None])
        row[number] = number if is_ours else row[number + 1]
    for number in range(present + 1, len(window)):
        is_ours = row[number - 1] == number - 1 and not is_cut(luma[number - 1, None], luma[number, None])
        row[number] = number if is_ours else row[number - 1]
    return window[row]
