"""Scoring pairs of pictures and of videos."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
import torch

from streamderain.config import DerainConfig
from streamderain.errors import EvaluationError
from streamderain.evaluation.evaluate import MEAN, Score, as_json, evaluate, evaluate_clip, means, table, write_json
from streamderain.evaluation.methods import Method, every_method, networks
from streamderain.evaluation.metrics import luma, psnr
from streamderain.evaluation.pairs import find_sets
from streamderain.media.images import read_clip, read_image
from streamderain.media.synthetic import write_test_video
from streamderain.networks.restorer import Restorer
from tests.pictures import write_image

CPU = DerainConfig(device="cpu", backend="torch")
SAMPLE = Path(__file__).parents[2] / "samples" / "rainy-temple.mp4"


@pytest.fixture(scope="module")
def methods() -> list[Method]:
    return every_method(["fast"], CPU)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs of pictures of different odd sizes."""
    generator = torch.Generator().manual_seed(0)
    for number, size in enumerate(((33, 49), (40, 24))):
        clean = torch.randint(0, 200, (3, *size), generator=generator, dtype=torch.uint8)
        write_image(tmp_path / "set" / "clean" / f"{number}.png", clean)
        write_image(tmp_path / "set" / "rainy" / f"{number}.png", clean + 20)
    return tmp_path / "set"


def test_pictures_are_scored_one_by_one(pairs: Path, methods: list[Method]) -> None:
    reported: list[Score] = []
    scores = evaluate(find_sets(pairs), methods, reported.append)
    assert reported == scores
    assert [(score.set, score.name, score.method) for score in scores] == [
        ("set", name, method) for name in ("0.png", "1.png") for method in ("nothing", "fast")
    ]
    picture, reference = read_image(pairs / "rainy" / "1.png")[None], read_image(pairs / "clean" / "1.png")[None]
    derained = Restorer.load(device="cpu")(picture)
    assert scores[2].psnr == pytest.approx(psnr(luma(picture), luma(reference)))
    assert scores[3].psnr == pytest.approx(psnr(luma(derained), luma(reference)))


def test_means_and_json_are_of_each_set_and_method(pairs: Path, methods: list[Method], tmp_path: Path) -> None:
    scores = evaluate(find_sets(pairs), methods)
    of_set = {score.method: score for score in means(scores)}
    assert of_set["fast"].psnr == pytest.approx(fmean(score.psnr for score in scores[1::2]))
    assert list(table(scores)["set"]) == ["0.png", "1.png", MEAN]
    write_json(tmp_path / "scores.json", scores)
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written == {"sets": as_json(scores)}
    assert written["sets"]["set"]["mean"]["fast"] == {"psnr": of_set["fast"].psnr, "ssim": of_set["fast"].ssim}
    assert written["sets"]["set"]["items"]["0.png"]["nothing"]["psnr"] == scores[0].psnr


def test_a_mean_is_of_what_was_measured() -> None:
    """A set can hold pictures, which do not flicker, beside videos, and videos of one frame."""
    scores = [Score("set", "a.png", "fast", 30.0, 0.8), Score("set", "b.mp4", "fast", 40.0, None, 3.0, share=0.5)]
    assert means(scores) == [Score("set", MEAN, "fast", 35.0, 0.8, 3.0, None, None, 0.5)]


def test_a_score_shows_what_it_knows() -> None:
    assert Score("set", "a.png", "fast", 30.0, 0.8).lines() == "30.00 / 0.8000"
    assert Score("set", "a", "fast", 30.0, 0.8, 3.0, 2.0, 0.25).lines() == (
        "30.00 / 0.8000\nflicker 3.00\nclean 2.00\ntOF 0.250"
    )
    assert Score("still", "a", "fast", 30.0, flicker=3.0, share=0.5).lines() == "30.00\nflicker 3.00\nof 50%"


def test_videos_are_scored_over_their_frames_and_equal_ones_are_null_in_json(clip: Path, methods: list[Method]) -> None:
    scores = evaluate(find_sets(clip, clip), methods)
    assert [score.method for score in scores] == ["nothing", "median", "fast"]
    assert scores[0].psnr == float("inf")
    assert scores[2].psnr > 40, "it does not rain on this clip"
    (rainy,) = evaluate(find_sets(SAMPLE, SAMPLE), methods[2:], frames=2)
    assert 20 < rainy.psnr < 40, "it rains on this one"
    assert as_json(scores)["clip.mp4"]["mean"]["nothing"] == {
        "psnr": None,
        "ssim": pytest.approx(1.0),
        "flicker": scores[0].clean_flicker,
        "clean_flicker": scores[0].clean_flicker,
        "tof": 0.0,
    }


def test_the_first_frames_of_a_video_can_be_looked_at_alone(clip: Path, tmp_path: Path) -> None:
    write_test_video(tmp_path / "other.mp4", 32, 48, 20)
    sets = find_sets(clip, tmp_path / "other.mp4")
    (four,) = evaluate(sets, every_method(["fast"], CPU)[:1], frames=4)
    (twelve,) = evaluate(sets, every_method(["fast"], CPU)[:1], frames=12)
    assert four.psnr != twelve.psnr
    with pytest.raises(EvaluationError, match="ends after 12 frames, before"):
        evaluate(sets, every_method(["fast"], CPU)[:1], frames=13)


def test_a_clip_in_memory_scores_like_its_file(clip: Path, tmp_path: Path) -> None:
    write_test_video(tmp_path / "clean.mp4", 32, 48, 12)
    methods = networks(["fast"], CPU)
    (filed,) = evaluate(find_sets(clip, tmp_path / "clean.mp4"), methods)
    (held,) = evaluate_clip("set", "clip", read_clip(clip, 99), read_clip(tmp_path / "clean.mp4", 99), methods)
    assert held.psnr == pytest.approx(filed.psnr, abs=0.3)
    assert held.flicker == pytest.approx(filed.flicker, rel=0.1)
    assert held.clean_flicker == pytest.approx(filed.clean_flicker, rel=0.1)
    (single,) = evaluate_clip("set", "clip", read_clip(clip, 1), read_clip(tmp_path / "clean.mp4", 1), methods)
    assert (single.flicker, single.clean_flicker, single.tof) == (None, None, None)


def test_a_profile_is_drawn_of_each_video_and_method(clip: Path, pairs: Path, tmp_path: Path) -> None:
    methods = every_method(["fast"], CPU)[:2]
    evaluate([*find_sets(clip, clip), *find_sets(pairs)], methods, plot=tmp_path / "plots")
    drawn = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in drawn] == ["clip.mp4-clip.mp4-median.png", "clip.mp4-clip.mp4-nothing.png"]
    assert read_image(drawn[0]).shape[-1] == 48


def test_pairs_of_other_sizes_are_refused(pairs: Path, methods: list[Method]) -> None:
    write_image(pairs / "clean" / "1.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(EvaluationError, match="24x40 rainy and 8x8 clean"):
        evaluate(find_sets(pairs), methods)


@pytest.mark.parametrize(("frames", "message"), [(5, "ends after 5"), (20, "ends after 12 frames, before")])
def test_videos_of_other_lengths_are_refused(
    clip: Path, tmp_path: Path, methods: list[Method], frames: int, message: str
) -> None:
    write_test_video(tmp_path / "other.mp4", 32, 48, frames)
    with pytest.raises(EvaluationError, match=message):
        evaluate(find_sets(clip, tmp_path / "other.mp4"), methods)
