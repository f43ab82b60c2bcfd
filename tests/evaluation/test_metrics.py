"""The measures against independent ones and against what is published for the same pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from streamderain.evaluation.metrics import luma, psnr, ssim
from streamderain.media.images import read_folder


def test_luma_has_the_studio_range() -> None:
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert luma(ends)[:, 0, 0, 0].tolist() == pytest.approx([16.0, 235.0])


def test_equal_pictures_score_best() -> None:
    y = torch.rand(1, 1, 20, 20, dtype=torch.float64) * 255
    assert psnr(y, y) == math.inf
    assert ssim(y, y) == pytest.approx(1.0)


def test_a_known_error_has_a_known_psnr() -> None:
    y = torch.full((1, 1, 8, 8), 100.0, dtype=torch.float64)
    assert psnr(y, y + 5.1) == pytest.approx(20 * math.log10(50))


def test_ssim_equals_its_definition_window_by_window() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 255, (2, 14, 15))
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / 4.5)
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for top in range(4):
        for left in range(5):
            a, b = first[top : top + 11, left : left + 11], second[top : top + 11, left : left + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = 6.5025, 58.5225
            values.append(
                (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    ours = ssim(torch.from_numpy(first)[None, None], torch.from_numpy(second)[None, None])
    assert ours == pytest.approx(float(np.mean(values)), abs=1e-10)


def test_small_pictures_get_a_score() -> None:
    y = torch.rand(1, 1, 4, 7, dtype=torch.float64) * 255
    assert ssim(y, y) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "expected"), [("rain200l", 42.02), ("rain200h", 33.90)])
def test_the_authors_pictures_score_what_is_known_of_them(shared: Path, name: str, expected: float) -> None:
    folder = shared / "data" / "test" / name
    clean = dict(read_folder(folder / "clean"))
    scores = [psnr(luma(made[None]), luma(clean[key][None])) for key, made in read_folder(folder / "published")]
    assert float(np.mean(scores)) == pytest.approx(expected, abs=0.01)
