"""Scores what methods make of rainy pictures and videos, against the clean ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamderain.engine.colour import to_rgb
from streamderain.errors import EvaluationError, writing
from streamderain.evaluation.flicker import FlickerMeter
from streamderain.evaluation.methods import Method
from streamderain.evaluation.metrics import luma, psnr, ssim
from streamderain.evaluation.pairs import Pair, PairSet
from streamderain.evaluation.profile_picture import TemporalProfile
from streamderain.frames import Frame, Restored
from streamderain.media.decoder import decode
from streamderain.media.images import read_image
from streamderain.media.source import open_source

MEAN = "mean"
"""The name of a score that is the mean over its set."""

_MAY_LACK = ("ssim", "flicker", "clean_flicker", "tof", "share")
"""The figures of a score that can be None."""


class _Measures(NamedTuple):
    """As in Score."""

    psnr: float
    ssim: float
    flicker: float | None = None
    clean_flicker: float | None = None
    tof: float | None = None


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM on Y of what a method made of one picture or video, against the clean one.

    A video's are means over its frames; a PSNR is infinite where nothing differs. `flicker`, the warping error,
    `clean_flicker`, that of the clean video, and `tof` are those of evaluation.flicker.Flicker; None for stills.
    `share` of the pixels was judged where not all were, as by evaluation.still; SSIM is None then.
    """

    set: str
    name: str
    method: str
    psnr: float
    ssim: float | None = None
    flicker: float | None = None
    clean_flicker: float | None = None
    tof: float | None = None
    share: float | None = None

    def lines(self) -> str:
        """For a table: PSNR / SSIM, and below it what is known of flicker and of the share."""
        first = f"{self.psnr:.2f}" if self.ssim is None else f"{self.psnr:.2f} / {self.ssim:.4f}"
        known = (
            (self.flicker, "flicker {:.2f}"),
            (self.clean_flicker, "clean {:.2f}"),
            (self.tof, "tOF {:.3f}"),
            (self.share, "of {:.0%}"),
        )
        return "\n".join((first, *(text.format(value) for value, text in known if value is not None)))


def evaluate(
    sets: Iterable[PairSet],
    methods: Sequence[Method],
    report: Callable[[Score], None] = lambda score: None,
    frames: int | None = None,
    plot: Path | None = None,
) -> list[Score]:
    """Score every method on every pair that it can do something to; `report` gets each score as it is made.

    Videos are streamed, one method after the other; with `frames` only their first ones are looked at. `plot` is a
    folder for a temporal profile of each video and method: rainy, derained and clean. Raises EvaluationError for pairs
    of different sizes or lengths.
    """
    scores = []
    for pairs in sets:
        for pair in pairs.pairs:
            for method, measures, profile in _pair(pair, methods, frames):
                if plot and profile:
                    profile.write(plot, pairs.name, pair.name, method.name)
                scores.append(Score(pairs.name, pair.name, method.name, *measures))
                report(scores[-1])
    return scores


def evaluate_clip(set_name: str, name: str, rainy: Tensor, clean: Tensor, methods: Sequence[Method]) -> Iterator[Score]:
    """Score every method on a clip in memory: consecutive frames, uint8 RGB (T, 3, H, W), of both kinds."""
    for method in methods:
        tally = _Tally()
        for derained, reference in zip(method.pictures(rainy), torch.split(clean, 1), strict=True):
            tally.add(derained, reference)
        yield Score(set_name, name, method.name, *tally.mean())


def means(scores: Iterable[Score]) -> list[Score]:
    """The mean of each method over each set, in the order of `scores`."""
    of: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        of.setdefault((score.set, score.method), []).append(score)
    return [
        Score(name, MEAN, method, fmean(each.psnr for each in group), *(_known_mean(group, key) for key in _MAY_LACK))
        for (name, method), group in of.items()
    ]


def _known_mean(scores: Iterable[Score], key: str) -> float | None:
    """The mean of what has a value."""
    values = [value for score in scores if (value := getattr(score, key)) is not None]
    return fmean(values) if values else None


def table(scores: Sequence[Score]) -> dict[str, dict[str, dict[str, Score]]]:
    """`scores` by set, name and method; the last name in each set is MEAN."""
    rows: dict[str, dict[str, dict[str, Score]]] = {}
    for score in (*scores, *means(scores)):
        rows.setdefault(score.set, {}).setdefault(score.name, {})[score.method] = score
    return rows


def as_json(scores: Sequence[Score]) -> dict[str, Any]:
    """{SET: {"items": {NAME: {METHOD: {"psnr", "ssim"}}}, "mean": {METHOD: {"psnr", "ssim"}}}}.

    A PSNR is None where nothing differs, as JSON knows no infinity. Beside it are those of "ssim", "flicker",
    "clean_flicker", "tof" and "share" that were measured.
    """
    sets = {}
    for name, items in table(scores).items():
        plain = {item: {method: _plain(score) for method, score in row.items()} for item, row in items.items()}
        mean = plain.pop(MEAN)
        sets[name] = {"items": plain, "mean": mean}
    return sets


def write_json(path: Path, scores: Sequence[Score]) -> None:
    """Write {"sets": as_json(scores)}. Raises SinkError."""
    with writing(path):
        path.write_text(json.dumps({"sets": as_json(scores)}, indent=2) + "\n")


def _plain(score: Score) -> dict[str, float | None]:
    known = {key: value for key in _MAY_LACK if (value := getattr(score, key)) is not None}
    return {"psnr": score.psnr if math.isfinite(score.psnr) else None, **known}


def _pair(
    pair: Pair, methods: Sequence[Method], frames: int | None
) -> Iterator[tuple[Method, _Measures, TemporalProfile | None]]:
    if not pair.is_picture:
        for method in methods:
            yield method, *_video(pair, method, frames)
        return
    rainy, clean = read_image(pair.rainy)[None], read_image(pair.clean)[None]
    _check_sizes(pair.name, rainy, clean)
    for method in methods:
        if method.for_stills:
            yield method, _measures(next(method.pictures(rainy)), clean), None


def _video(pair: Pair, method: Method, frames: int | None) -> tuple[_Measures, TemporalProfile]:
    tally, profile = _Tally(), TemporalProfile()
    with method.video(pair.rainy) as pairs, open_source(pair.clean) as reference:
        reference.drop_passengers()
        for restored, clean in _beside(pair.rainy, pairs, decode(reference), frames):
            derained = upright(restored.clean)
            _check_sizes(str(pair.rainy), derained, clean)
            tally.add(derained, clean, restored.rainy.scene)
            profile.add(upright(restored.rainy), derained, clean)
    if not tally.frames:
        raise EvaluationError(f"{pair.rainy} has no frame to look at")
    return tally.mean(), profile


def _beside(
    rainy: Path, pairs: Iterator[Restored], references: Iterator[Frame], frames: int | None
) -> Iterator[tuple[Restored, Tensor]]:
    """Each frame with its clean counterpart, uint8 RGB (1, 3, H, W)."""
    number = 0
    for pair in islice(pairs, frames):
        reference = next(references, None)
        if reference is None:
            raise EvaluationError(f"{rainy} has more frames than its clean counterpart, which ends after {number}")
        yield pair, upright(reference)
        number += 1
    if number != frames and next(references, None) is not None:
        raise EvaluationError(f"{rainy} ends after {number} frames, before its clean counterpart")


def upright(frame: Frame) -> Tensor:
    """A frame as a picture, uint8 RGB (1, 3, H, W), turned to stand upright."""
    return (to_rgb(frame.data[None], frame.layout).clamp(0, 1) * 255).round().to(torch.uint8)


def _measures(derained: Tensor, clean: Tensor) -> _Measures:
    derained, clean = luma(derained), luma(clean)
    return _Measures(psnr(derained, clean), ssim(derained, clean))


class _Tally:
    """Takes a clip frame by frame, and holds sums alone."""

    def __init__(self) -> None:
        self.frames = 0
        self._psnr = self._ssim = 0.0
        self._flicker = FlickerMeter()

    def add(self, derained: Tensor, clean: Tensor, scene: int = 0) -> None:
        """Take one frame, uint8 RGB (1, 3, H, W) twice."""
        measures = _measures(derained, clean)
        self.frames += 1
        self._psnr += measures.psnr
        self._ssim += measures.ssim
        self._flicker.add(derained, clean, scene)

    def mean(self) -> _Measures:
        """Over what was added, at least one frame."""
        figures = self._flicker.figures()
        of_time = (figures.warping_error, figures.clean_warping_error, figures.tof) if figures else ()
        return _Measures(self._psnr / self.frames, self._ssim / self.frames, *of_time)


def _check_sizes(name: str, rainy: Tensor, clean: Tensor) -> None:
    if rainy.shape != clean.shape:
        raise EvaluationError(f"{name} is {_size(rainy)} rainy and {_size(clean)} clean; sizes must be equal")


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]}x{picture.shape[-2]}"
