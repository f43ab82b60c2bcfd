"""Scoring pairs of folders and of videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from streamderain.config import DerainConfig
from streamderain.errors import EvaluationError
from streamderain.evaluation.evaluate import evaluate, mean, write_json
from streamderain.evaluation.metrics import luma, psnr
from streamderain.model.restorer import Restorer
from streamderain.video.images import read_image
from streamderain.video.synthetic import write_test_video
from tests.pictures import write_image

CPU = DerainConfig(device="cpu")


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Two pairs of pictures of different odd sizes."""
    generator = torch.Generator().manual_seed(0)
    for number, size in enumerate(((33, 49), (40, 24))):
        clean = torch.randint(0, 200, (3, *size), generator=generator, dtype=torch.uint8)
        write_image(tmp_path / "clean" / f"{number}.png", clean)
        write_image(tmp_path / "rainy" / f"{number}.png", clean + 20)
    return tmp_path / "rainy", tmp_path / "clean"


def test_pictures_are_scored_one_by_one(pairs: tuple[Path, Path]) -> None:
    rainy, clean = pairs
    scores = evaluate(rainy, clean, CPU)
    assert [score.name for score in scores] == ["0.png", "1.png"]
    picture, reference = read_image(rainy / "1.png")[None], read_image(clean / "1.png")[None]
    derained = Restorer.load(device="cpu")(picture)
    assert scores[1].input_psnr == pytest.approx(psnr(luma(picture), luma(reference)))
    assert scores[1].psnr == pytest.approx(psnr(luma(derained), luma(reference)))


def test_json_holds_items_and_mean(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    scores = evaluate(*pairs, CPU)
    write_json(tmp_path / "scores.json", scores)
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["items"][0].keys() == {"name", "input_psnr", "input_ssim", "psnr", "ssim"}
    assert written["mean"] == pytest.approx(mean(scores))
    assert written["mean"]["psnr"] == pytest.approx((scores[0].psnr + scores[1].psnr) / 2)


def test_videos_are_scored_over_their_frames(clip: Path) -> None:
    (score,) = evaluate(clip, clip, CPU)
    assert score.input_psnr == float("inf")
    assert 20 < score.psnr < 99


def test_an_infinite_score_is_null_in_json(clip: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", evaluate(clip, clip, CPU))
    assert json.loads((tmp_path / "scores.json").read_text())["mean"]["input_psnr"] is None


def test_what_does_not_match_is_refused(pairs: tuple[Path, Path], clip: Path, tmp_path: Path) -> None:
    rainy, clean = pairs
    with pytest.raises(EvaluationError, match="must both be folders"):
        evaluate(rainy, clip, CPU)
    (clean / "1.png").unlink()
    with pytest.raises(EvaluationError, match=r"1\.png has no counterpart"):
        evaluate(rainy, clean, CPU)
    write_image(clean / "1.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(EvaluationError, match="24x40 rainy and 8x8 clean"):
        evaluate(rainy, clean, CPU)


@pytest.mark.parametrize(("frames", "message"), [(5, "ends after 5"), (20, "ends after 12 frames, before")])
def test_videos_of_other_lengths_are_refused(clip: Path, tmp_path: Path, frames: int, message: str) -> None:
    write_test_video(tmp_path / "other.mp4", 32, 48, frames)
    with pytest.raises(EvaluationError, match=message):
        evaluate(clip, tmp_path / "other.mp4", CPU)
