"""The double-wide picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamderain.preview.jpeg import beside, jpeg
from tests.preview.conftest import BLUE, RED, plain


def test_rainy_is_left_and_clean_is_right() -> None:
    pixels = beside(plain(RED), plain(BLUE))
    assert pixels.shape == (64, 192, 3)
    assert tuple(pixels[10, 95]) == RED
    assert tuple(pixels[10, 96]) == BLUE


@pytest.mark.parametrize(
    ("size", "expected"),
    [((65, 97), (64, 192)), ((1080, 1920), (720, 2560)), ((2, 4000), (2, 2560)), ((4000, 2), (4000, 4))],
)
def test_sizes_are_even_and_no_half_is_wider_than_1280(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert beside(plain(RED, *size), plain(BLUE, *size)).shape == (*expected, 3)


def test_jpeg_keeps_the_colours() -> None:
    data = np.frombuffer(jpeg(beside(plain(RED), plain(BLUE))), np.uint8)
    decoded = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(decoded[20, 40].astype(int) - RED).max() <= 6
    assert np.abs(decoded[20, 150].astype(int) - BLUE).max() <= 6
