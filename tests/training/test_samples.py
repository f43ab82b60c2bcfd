"""RainySamples: a sample is its seed and number, and windows are what their kind says."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamderain.errors import TrainingError
from streamderain.training.material import Material
from streamderain.training.samples import Mix, RainySamples

SIDE = 32
STILLS = Mix(still=1, clip=0, dry=0, filmed=0, overexposed=0, lined=0, lined_still=0)
CLIPS = Mix(still=0, clip=1, dry=0, filmed=0, overexposed=0, unseen=0, lined=0, lined_still=0, cut=0)
PHOTOS = Mix(still=0, clip=0, dry=0, filmed=0, overexposed=0, unseen=0, lined=0, lined_still=0, cut=0)


def samples(material: Material, mix: Mix | None = None, seed: int = 5, past: int = 1, future: int = 2) -> RainySamples:
    return RainySamples(material, SIDE, past, future, seed, mix)


def same(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_sample_is_a_function_of_seed_and_number(material: Material) -> None:
    forwards = [samples(material)[number] for number in range(8)]
    one = samples(material)
    backwards = [one[number] for number in reversed(range(8))]
    assert all(same(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    other_seed = samples(material, seed=6)
    assert not any(same(forwards[number], other_seed[number]) for number in range(8))
    assert not same(forwards[0], forwards[1])


@pytest.mark.parametrize("mix", [None, STILLS, CLIPS, PHOTOS], ids=["default", "still", "clip", "photo"])
@pytest.mark.parametrize(("past", "future"), [(0, 0), (1, 1), (2, 1)])
def test_samples_have_their_shapes_and_range(material: Material, mix: Mix | None, past: int, future: int) -> None:
    for number in range(6):
        rainy, clean = samples(material, mix, past=past, future=future)[number]
        assert rainy.shape == (past + 1 + future, 3, SIDE, SIDE)
        assert clean.shape == (3, SIDE, SIDE)
        for picture in (rainy, clean):
            assert picture.dtype == torch.float32
            assert picture.min() >= 0
            assert picture.max() <= 1


def test_a_still_is_one_picture_in_every_frame(material: Material) -> None:
    for number in range(6):
        frames = samples(material, STILLS)[number][0]
        assert all(torch.equal(frame, frames[0]) for frame in frames)


@pytest.mark.parametrize("mix", [CLIPS, PHOTOS], ids=["clip", "photo"])
def test_frames_of_what_moves_differ(material: Material, mix: Mix) -> None:
    for number in range(6):
        frames = samples(material, mix)[number][0]
        assert not any(torch.equal(before, after) for before, after in itertools.pairwise(frames))


def test_dry_samples_ask_for_no_change(material: Material) -> None:
    for number in range(6):
        rainy, clean = samples(material, Mix(still=0, clip=0, dry=1), past=2, future=1)[number]
        assert torch.equal(rainy[2], clean)


def test_what_is_overexposed_is_white_where_it_was_bright(material: Material) -> None:
    drawn = {
        share: [samples(material, dataclasses.replace(STILLS, overexposed=share))[number][1] for number in range(12)]
        for share in (0, 1)
    }
    white = {share: sum(float((clean == 1).float().mean()) for clean in drawn[share]) for share in drawn}
    assert white[1] > 2 * white[0] + 0.5
    assert all(float(clean.max()) <= 1 for clean in drawn[1])


def test_rain_falls_on_the_frame_to_reach(material: Material) -> None:
    wet = [samples(material, mix)[number] for mix in (STILLS, CLIPS, PHOTOS) for number in range(4)]
    differences = [(rainy[1] - clean).abs().mean().item() for rainy, clean in wet]
    # Rain differs from much to hardly any; what must not be is another picture, or none.
    assert max(differences) > 0.005
    assert all(difference < 0.5 for difference in differences)


def test_the_clean_frame_of_a_clip_is_one_of_its_own(material: Material) -> None:
    clip = material.clips[0].float() / 255
    _, clean = samples(material, CLIPS)[0]
    cuts = clip.unfold(2, SIDE, 1).unfold(3, SIDE, 1).permute(0, 2, 3, 1, 4, 5)
    assert (cuts == clean).all(dim=(-1, -2, -3)).any()


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TrainingError, match="no photos to train on"):
            Material.read(folder)


def test_what_is_unseen_is_a_copy_of_the_present(material: Material) -> None:
    live = Mix(still=0, clip=1, filmed=0, overexposed=0, unseen=1, lined=0, lined_still=0, cut=0)
    sides = set()
    for number in range(40):
        frames = samples(material, live, past=2, future=2)[number][0]
        copies = tuple(index for index in (0, 1, 3, 4) if torch.equal(frames[index], frames[2]))
        sides.add(copies)
    assert sides == {(0, 1), (3, 4)}


def test_a_cut_out_passes_in_front_of_a_photo(material: Material) -> None:
    shares = [
        samples(material, Mix(still=0, clip=0, dry=1, filmed=0, overexposed=0, parallax=share)) for share in (0, 1)
    ]
    alone, covered = (given[3][1] for given in shares)
    assert not torch.equal(alone, covered)


def test_behind_a_cut_is_another_scene_and_the_current_frame_keeps_its_own(material: Material) -> None:
    given = samples(
        material,
        Mix(still=0, clip=1, dry=1, filmed=0, overexposed=0, unseen=0, lined=0, lined_still=0, cut=1),
        past=2,
        future=2,
    )
    for number in range(8):
        rainy, clean = given[number]
        frames = rainy
        assert torch.equal(frames[2], clean)
        steps = [(after - before).abs().mean().item() for before, after in itertools.pairwise(frames)]
        # The clip pans slowly over blotches, so its own steps are much smaller than that into another picture.
        assert max(steps) > 1.5 * sorted(steps)[1]


def test_a_fence_stands_mostly_where_time_can_tell() -> None:
    assert Mix().lined_still < Mix().lined / 2


def test_shares_that_are_none_are_refused_in_words() -> None:
    assert Mix.of({"still": 0.5}) == Mix(still=0.5)
    with pytest.raises(TrainingError, match="no share of the samples is called stills; allowed: still, clip"):
        Mix.of({"stills": 0.5})
    with pytest.raises(TrainingError, match=r"the share dry is 1.5; allowed: 0 to 1"):
        Mix.of({"dry": 1.5})
