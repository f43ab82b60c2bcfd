"""The median over time as the truth behind real rain."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import av
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.errors import EvaluationError
from streamderain.evaluation.evaluate import as_json
from streamderain.evaluation.methods import baselines
from streamderain.evaluation.still import evaluate_still, find_videos, psnr_where, still_truth

HEIGHT, WIDTH, FRAMES = 96, 128, 14
BLOCK = 16
SHAKE = ((0, 0), (3, -2), (-5, 4), (6, 5), (-4, -6), (2, 1), (7, 0))


def scene() -> Tensor:
    """Boxes with corners to hold on to, and a border for the camera to shake over, uint8 (3, H, W)."""
    generator, picture = torch.Generator().manual_seed(0), torch.full((3, HEIGHT + 32, WIDTH + 32), 90)
    for _ in range(150):
        down, right = (int(torch.randint(-10, side, (), generator=generator)) for side in picture.shape[1:])
        box = picture[:, max(down, 0) : down + 16, max(right, 0) : right + 24]
        box[:] = torch.randint(20, 170, (3, 1, 1), generator=generator)
    return picture.to(torch.uint8)


def filmed(shaken: bool = True, block: bool = False) -> Tensor:
    """(FRAMES, 3, HEIGHT, WIDTH) without rain; `block` is white and crosses the middle, 6 pixels a frame."""
    frames = []
    for number in range(FRAMES):
        picture = scene()
        if block:
            picture[:, 56 : 56 + BLOCK, 20 + 6 * number : 20 + 6 * number + BLOCK] = 255
        down, right = SHAKE[number % len(SHAKE)] if shaken else (0, 0)
        frames.append(picture[:, 16 + down : 16 + down + HEIGHT, 16 + right : 16 + right + WIDTH])
    return torch.stack(frames)


def rained_on(clip: Tensor) -> Tensor:
    """Streaks of 8 by 1 pixels, elsewhere in each frame, over 2 % of it."""
    generator = torch.Generator().manual_seed(1)
    starts = (torch.rand(len(clip), 1, HEIGHT, WIDTH, generator=generator) < 0.0025).float()
    streaks = F.max_pool2d(F.pad(starts, (0, 0, 7, 0)), (8, 1), stride=1)
    return (clip + 60 * streaks).clamp(0, 255).to(torch.uint8)


def mean_psnr(pictures: Tensor, truth: Tensor, still: Tensor) -> float:
    pairs = zip(pictures.split(1), truth.split(1), still, strict=True)
    return fmean(psnr_where(first, second, mask) for first, second, mask in pairs)


@pytest.mark.parametrize(("shaken", "least_share"), [(False, 0.9), (True, 0.65)])
def test_the_truth_is_found_behind_rain_before_a_still_or_shaken_camera(shaken: bool, least_share: float) -> None:
    clean = filmed(shaken)
    rainy = rained_on(clean)
    truth = still_truth(rainy)
    assert truth.share > least_share
    against_clean, against_truth = (mean_psnr(rainy, other, truth.still) for other in (clean, truth.pictures))
    assert 30 < against_clean < 33
    assert against_truth == pytest.approx(against_clean, abs=0.3)
    assert mean_psnr(truth.pictures, clean, truth.still) > 42


def test_what_moves_is_not_judged_and_what_stands_is() -> None:
    clean = filmed(block=True)
    truth = still_truth(rained_on(clean))
    white = (clean == 255).all(dim=1, keepdim=True)
    assert int(white[0].sum()) == BLOCK**2
    assert float(truth.still[white].float().mean()) < 0.03
    assert truth.share > 0.6


def test_a_frame_that_is_repeated_counts_once_and_has_one_truth() -> None:
    rainy = rained_on(filmed())
    again = rainy.repeat_interleave(torch.tensor([1, 1, 3, *[1] * (FRAMES - 3)]), dim=0)
    again[3] += 1
    once, more = still_truth(rainy), still_truth(again)
    for number in (2, 3, 4):
        assert torch.equal(more.pictures[number], once.pictures[2])
    assert torch.equal(more.pictures[5:], once.pictures[3:])


def test_a_cut_ends_the_window() -> None:
    before, after = rained_on(filmed(False)[:7]), rained_on(filmed(False)[:7].flip(-1).flip(-2))
    joined = still_truth(torch.cat((before, after)))
    assert torch.equal(joined.pictures[6], still_truth(before).pictures[6])
    assert torch.equal(joined.pictures[7], still_truth(after).pictures[0])


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(EvaluationError, match="4 different frames; a median over time needs 5"):
        still_truth(rained_on(filmed()[:4]).repeat_interleave(3, dim=0))


def test_videos_are_found_and_a_clean_one_is_refused(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mkv", "notes.txt"):
        (tmp_path / name).touch()
    assert find_videos(tmp_path) == [tmp_path / "a.mkv", tmp_path / "b.mp4"]
    assert find_videos(tmp_path / "b.mp4") == [tmp_path / "b.mp4"]
    with pytest.raises(EvaluationError, match="is not needed with --still"):
        find_videos(tmp_path, tmp_path / "b.mp4")
    with pytest.raises(EvaluationError, match="none is no video, and no folder with videos"):
        find_videos(tmp_path / "none")


def write_video(path: Path, frames: Tensor) -> Path:
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "8"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[-2:], "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), "rgb24")))
        file.mux(stream.encode(None))
    return path


def test_a_video_is_scored_over_what_stands_still(tmp_path: Path) -> None:
    video = write_video(tmp_path / "street.mp4", rained_on(filmed(shaken=False)))
    methods = baselines(torch.device("cpu"))[:2]
    scores = evaluate_still([video], methods, frames=12, plot=tmp_path / "plots")
    nothing, median = scores
    assert [(score.name, score.method) for score in scores] == [("street.mp4", "nothing"), ("street.mp4", "median")]
    assert 28 < nothing.psnr < 34 < median.psnr
    assert nothing.share is not None
    assert 0.8 < nothing.share <= 1
    assert nothing.flicker is not None
    assert median.flicker is not None
    assert nothing.flicker > 2 * median.flicker
    assert as_json(scores)["still"]["items"]["street.mp4"]["median"].keys() == {"psnr", "flicker", "share"}
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "street.mp4-nothing.png",
        "street.mp4-median.png",
    }


def test_a_video_in_which_everything_moves_is_refused(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (8, 3, 12, 16), generator=generator, dtype=torch.uint8).float()
    blobs = F.interpolate(noise, (HEIGHT, WIDTH), mode="bilinear").to(torch.uint8)
    with pytest.raises(EvaluationError, match="everything moves in"):
        evaluate_still([write_video(tmp_path / "a.mp4", blobs)], baselines(torch.device("cpu")))
