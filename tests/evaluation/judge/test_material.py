"""What is judged on, and what cannot be."""

from __future__ import annotations

import random
import wave
from pathlib import Path

import pytest
import torch

from streamderain.errors import EvaluationError, SourceError
from streamderain.evaluation.judge.material import FRAMES, SIZE, Material
from streamderain.media.images import read_image
from tests.evaluation.judge.conftest import busy
from tests.pictures import write_image


def test_the_last_photos_by_name_are_held_out_and_their_bytes_are_in_the_digest(photos: Path, tmp_path: Path) -> None:
    two, three = Material.read(photos, held_out=2), Material.read(photos, held_out=9)
    assert torch.equal(two.photos[0], read_image(photos / "1.png"))
    assert (len(two.photos), len(three.photos)) == (2, 3)
    assert two.digest == Material.read(photos, held_out=2).digest != three.digest
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    assert Material.read(tmp_path).digest == two.digest
    write_image(tmp_path / "2.png", busy(9))
    assert Material.read(tmp_path).digest != two.digest


def test_a_clip_that_cannot_judge_is_refused(photos: Path, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="a picture to judge on is 48x32; 192x192 or more is needed"):
        Material.read(photos, clip)
    with pytest.raises(EvaluationError, match="no clip to judge on at"):
        Material.read(photos, tmp_path / "none.mp4")
    with pytest.raises(SourceError, match="is no video that can be read"):
        Material.read(photos, Path(__file__))
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(4000))
    with pytest.raises(SourceError, match="has no frame to look at; expected a video"):
        Material.read(photos, tmp_path / "sound.wav")


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(EvaluationError, match=r"no photos to judge on in .* with --photos"):
            Material.read(folder)


def test_a_short_clip_is_refused(material: Material) -> None:
    assert material.clip is not None
    with pytest.raises(EvaluationError, match="has 4 frames; 5 or more"):
        Material(material.photos, material.clip[:4], "").check()


def test_windows_are_functions_of_their_draw(material: Material) -> None:
    for cut in (material.still, material.moving, material.filmed):
        window, again, other = (cut(random.Random(seed)) for seed in (1, 1, 2))
        assert window.shape == (FRAMES, 3, SIZE, SIZE)
        assert torch.equal(window, again)
        assert not torch.equal(window, other)


def test_stills_stand_and_cameras_pass(material: Material) -> None:
    still, moving = material.still(random.Random(1)), material.moving(random.Random(1))
    assert all(torch.equal(frame, still[0]) for frame in still)
    differences = (moving[1:].float() - moving[:-1].float()).abs().mean(dim=(1, 2, 3))
    assert float(differences.min()) > 2


def test_flat_and_bright_places_are_passed_over(material: Material) -> None:
    flat, bright = torch.full_like(material.photos[0], 90), busy(1) // 2 + 128
    choosy = Material([flat, bright, *material.photos], None, "")
    for seed in range(6):
        window = choosy.still(random.Random(seed))
        assert 30 < float(window.float().mean()) < 150
        assert float(window.float().std()) > 5
