"""Scores what methods make of rainy pictures and videos, against the clean ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from streamderain.errors import EvaluationError
from streamderain.evaluation.methods import Method
from streamderain.evaluation.metrics import luma, psnr, ssim
from streamderain.evaluation.pairs import Pair, PairSet
from streamderain.frames import Frame, Restored
from streamderain.model.colour import to_rgb
from streamderain.video.decoder import decode
from streamderain.video.images import read_image
from streamderain.video.source import open_source

MEAN = "mean"
"""The name of a score that is the mean over its set."""

_Measures = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM on Y of what a method made of one picture or video, against the clean one.

    A video's are means over its frames; a PSNR is infinite where nothing differs.
    """

    set: str
    name: str
    method: str
    psnr: float
    ssim: float


def evaluate(
    sets: Iterable[PairSet],
    methods: Sequence[Method],
    report: Callable[[Score], None] = lambda score: None,
    frames: int | None = None,
) -> list[Score]:
    """Score every method on every pair that it can do something to; `report` gets each score as it is made.

    Videos are streamed, one method after the other; with `frames` only their first ones are looked at. Raises
    EvaluationError for pairs of different sizes or lengths.
    """
    scores = []
    for pairs in sets:
        for pair in pairs.pairs:
            for method, measures in _pair(pair, methods, frames):
                scores.append(Score(pairs.name, pair.name, method.name, *measures))
                report(scores[-1])
    return scores


def evaluate_clip(set_name: str, name: str, rainy: Tensor, clean: Tensor, methods: Sequence[Method]) -> Iterator[Score]:
    """Score every method on a clip in memory: consecutive frames, uint8 RGB (T, 3, H, W), of both kinds."""
    for method in methods:
        derained = method.pictures(rainy)
        yield Score(set_name, name, method.name, *_mean(map(_measures, derained, torch.split(clean, 1))))


def means(scores: Iterable[Score]) -> list[Score]:
    """The mean of each method over each set, in the order of `scores`."""
    of: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        of.setdefault((score.set, score.method), []).append(score)
    return [
        Score(name, MEAN, method, fmean(each.psnr for each in group), fmean(each.ssim for each in group))
        for (name, method), group in of.items()
    ]


def table(scores: Sequence[Score]) -> dict[str, dict[str, dict[str, Score]]]:
    """`scores` by set, name and method; the last name in each set is MEAN."""
    rows: dict[str, dict[str, dict[str, Score]]] = {}
    for score in (*scores, *means(scores)):
        rows.setdefault(score.set, {}).setdefault(score.name, {})[score.method] = score
    return rows


def as_json(scores: Sequence[Score]) -> dict[str, Any]:
    """{SET: {"items": {NAME: {METHOD: {"psnr", "ssim"}}}, "mean": {METHOD: {"psnr", "ssim"}}}}.

    A PSNR is None where nothing differs, as JSON knows no infinity.
    """
    sets = {}
    for name, items in table(scores).items():
        plain = {item: {method: _plain(score) for method, score in row.items()} for item, row in items.items()}
        mean = plain.pop(MEAN)
        sets[name] = {"items": plain, "mean": mean}
    return sets


def write_json(path: Path, scores: Sequence[Score]) -> None:
    """Write {"sets": as_json(scores)}."""
    path.write_text(json.dumps({"sets": as_json(scores)}, indent=2) + "\n")


def _plain(score: Score) -> dict[str, float | None]:
    return {"psnr": score.psnr if math.isfinite(score.psnr) else None, "ssim": score.ssim}


def _pair(pair: Pair, methods: Sequence[Method], frames: int | None) -> Iterator[tuple[Method, _Measures]]:
    if not pair.is_picture:
        for method in methods:
            yield method, _video(pair, method, frames)
        return
    rainy, clean = read_image(pair.rainy)[None], read_image(pair.clean)[None]
    _check_sizes(pair.name, rainy, clean)
    for method in methods:
        if method.for_stills:
            yield method, _measures(next(method.pictures(rainy)), clean)


def _video(pair: Pair, method: Method, frames: int | None) -> _Measures:
    with method.video(pair.rainy) as pairs, open_source(pair.clean) as reference:
        reference.drop_passengers()
        measures = list(_frames(pair.rainy, pairs, decode(reference), frames))
    if not measures:
        raise EvaluationError(f"{pair.rainy} has no frame to look at")
    return _mean(measures)


def _frames(
    rainy: Path, pairs: Iterator[Restored], references: Iterator[Frame], frames: int | None
) -> Iterator[_Measures]:
    number = 0
    for pair in islice(pairs, frames):
        reference = next(references, None)
        if reference is None:
            raise EvaluationError(f"{rainy} has more frames than its clean counterpart, which ends after {number}")
        derained, clean = upright(pair.clean), upright(reference)
        _check_sizes(str(rainy), derained, clean)
        yield _measures(derained, clean)
        number += 1
    if number != frames and next(references, None) is not None:
        raise EvaluationError(f"{rainy} ends after {number} frames, before its clean counterpart")


def upright(frame: Frame) -> Tensor:
    """A frame as a picture, uint8 RGB (1, 3, H, W), turned to stand upright."""
    return (to_rgb(frame.data[None], frame.layout).clamp(0, 1) * 255).round().to(torch.uint8)


def _measures(derained: Tensor, clean: Tensor) -> _Measures:
    derained, clean = luma(derained), luma(clean)
    return psnr(derained, clean), ssim(derained, clean)


def _mean(measures: Iterable[_Measures]) -> _Measures:
    psnrs, ssims = zip(*measures, strict=True)
    return fmean(psnrs), fmean(ssims)


def _check_sizes(name: str, rainy: Tensor, clean: Tensor) -> None:
    if rainy.shape != clean.shape:
        raise EvaluationError(f"{name} is {_size(rainy)} rainy and {_size(clean)} clean; sizes must be equal")


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]}x{picture.shape[-2]}"
