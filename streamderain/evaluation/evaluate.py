"""Derains pairs and scores them: two folders of pictures, or two videos."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.errors import EvaluationError
from streamderain.evaluation.metrics import luma, psnr, ssim
from streamderain.frames import Frame, Restored
from streamderain.model.colour import to_rgb
from streamderain.model.restorer import Restorer
from streamderain.run import batch_size, derained
from streamderain.stream.pipeline import Pipeline
from streamderain.video.decoder import decode
from streamderain.video.images import list_images, read_image
from streamderain.video.source import open_source


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM on Y against the clean picture, of the input and of the output; a video's are
    means over its frames.
    """

    name: str
    input_psnr: float
    input_ssim: float
    psnr: float
    ssim: float


def evaluate(
    rainy: Path, clean: Path, config: DerainConfig, report: Callable[[Score], None] = lambda score: None
) -> list[Score]:
    """Derain `rainy` as `config` says and score it against `clean`; `report` gets each score as it is made.

    Both are folders of pictures with the same names, or both videos of the same length. Raises
    EvaluationError where they do not match.
    """
    if rainy.is_dir() != clean.is_dir():
        raise EvaluationError(f"{rainy} and {clean} must both be folders of pictures, or both be videos")
    restorer = Restorer.load(config.model, config.device)
    scores = []
    for score in _pictures(rainy, clean, restorer) if rainy.is_dir() else [_video(rainy, clean, restorer, config)]:
        report(score)
        scores.append(score)
    return scores


def mean(scores: list[Score]) -> dict[str, float]:
    """The mean of each measure over `scores`."""
    return {name: fmean(getattr(score, name) for score in scores) for name in _MEASURES}


def write_json(path: Path, scores: list[Score]) -> None:
    """Write {"items": [{"name", and the four measures}, ...], "mean": {the four measures}}."""
    values = {"items": [asdict(score) for score in scores], "mean": mean(scores)}
    path.write_text(json.dumps(_finite(values), indent=2) + "\n")


_MEASURES = ("input_psnr", "input_ssim", "psnr", "ssim")


def _finite(value: object) -> object:
    """JSON knows no infinity, which is what equal pictures score; they get null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pictures(rainy: Path, clean: Path, restorer: Restorer) -> Iterator[Score]:
    references = {path.name: path for path in list_images(clean)}
    names = [path.name for path in list_images(rainy)]
    unpaired = [name for name in names if name not in references]
    if unpaired or not names:
        what = f"{unpaired[0]} has no counterpart" if unpaired else f"no picture is in {rainy}, none has a counterpart"
        raise EvaluationError(f"{what} in {clean}; pairs carry the same name in both folders")
    for name in names:
        picture, reference = read_image(rainy / name)[None], read_image(references[name])[None]
        if picture.shape != reference.shape:
            raise EvaluationError(f"{name} is {_size(picture)} rainy and {_size(reference)} clean; sizes must be equal")
        yield _score(name, picture, restorer(picture), reference)


def _video(rainy: Path, clean: Path, restorer: Restorer, config: DerainConfig) -> Score:
    with ExitStack() as stack:
        source = stack.enter_context(open_source(rainy, config.hwaccel))
        reference = stack.enter_context(open_source(clean))
        for opened in (source, reference):
            opened.drop_passengers()
        count = batch_size(config.batch, restorer.device)
        pairs: Iterator[Restored] = stack.enter_context(
            Pipeline(source, *derained(source, restorer, count, config.blend))
        )
        scores = list(_frames(rainy, pairs, decode(reference)))
    return Score(rainy.name, **mean(scores))


def _frames(rainy: Path, pairs: Iterator[Restored], references: Iterator[Frame]) -> Iterator[Score]:
    number = 0
    for pair in pairs:
        reference = next(references, None)
        if reference is None:
            raise EvaluationError(f"{rainy} has more frames than its clean counterpart, which ends after {number}")
        before, after, wanted = (_rgb(frame) for frame in (pair.rainy, pair.clean, reference))
        if before.shape != wanted.shape:
            raise EvaluationError(
                f"{rainy} is {_size(before)} and the clean video {_size(wanted)}; sizes must be equal"
            )
        yield _score(f"{rainy.name}:{number}", before, after, wanted)
        number += 1
    if next(references, None) is not None:
        raise EvaluationError(f"{rainy} ends after {number} frames, before its clean counterpart")


def _rgb(frame: Frame) -> Tensor:
    return (to_rgb(frame.data[None], frame.layout).clamp(0, 1) * 255).round().to(torch.uint8)


def _score(name: str, before: Tensor, after: Tensor, wanted: Tensor) -> Score:
    before, after, wanted = luma(before), luma(after), luma(wanted)
    return Score(name, psnr(before, wanted), ssim(before, wanted), psnr(after, wanted), ssim(after, wanted))


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]}x{picture.shape[-2]}"
