"""The sample clips are what their README says, and the script beside them makes them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamderain.engine.colour import to_rgb
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.source import open_source

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
RAINY, CLEAN = "rainy-temple.mp4", "rainy-temple-clean.mp4"
LARGEST_BYTES = 2_500_000


def frames(clip: Path) -> Iterator[Frame]:
    with open_source(clip) as source:
        yield from decode(source)


def pictures(clip: Path) -> Iterator[Tensor]:
    """(3, H, W) RGB in 0..1 of every tenth frame, which is enough to judge a clip by."""
    for frame in itertools.islice(frames(clip), 0, None, 10):
        yield to_rgb(frame.data[None], frame.layout)[0].clamp(0, 1)


def psnr(first: Path, second: Path) -> float:
    pairs = zip(pictures(first), pictures(second), strict=True)
    errors = [float((one - other).square().mean()) for one, other in pairs]
    return float(-10 * torch.tensor(errors).mean().clamp(min=1e-10).log10())


@pytest.mark.parametrize("name", [RAINY, CLEAN])
def test_clip_is_small_and_has_sound(name: str) -> None:
    assert (SAMPLES / name).stat().st_size < LARGEST_BYTES
    with open_source(SAMPLES / name) as source:
        info = source.info
        assert (info.codec, info.pixel_format, info.height, info.width) == ("h264", "yuv420p", 360, 640)
        assert (info.color_space, info.color_primaries, info.color_trc, info.color_range) == (1, 1, 1, 1)
        assert info.duration_seconds
        assert 3 <= info.duration_seconds <= 6
        assert [stream.codec_context.name for stream in source.copied] == ["aac"]


def test_both_clips_show_the_same_moments() -> None:
    rainy, clean = ([frame.seconds for frame in frames(SAMPLES / name)] for name in (RAINY, CLEAN))
    assert rainy == clean == pytest.approx([k / 25 for k in range(len(rainy))])


def test_both_clips_sound_the_same() -> None:
    def packets(name: str) -> list[bytes]:
        with open_source(SAMPLES / name) as source:
            for _ in source.frames():
                pass
            return [bytes(packet) for packet in source.passengers]

    assert packets(RAINY) == packets(CLEAN) != []


def test_rain_is_visible_and_leaves_the_scene_to_be_seen() -> None:
    assert 20 < psnr(SAMPLES / RAINY, SAMPLES / CLEAN) < 35


def test_streaks_are_bright() -> None:
    rainy, clean = (next(pictures(SAMPLES / name)) for name in (RAINY, CLEAN))
    change = (rainy - clean).mean(dim=0)
    assert change.mean() > 0.005
    assert (change > 0.1).sum() > 20 * (change < -0.1).sum()


@pytest.mark.slow
def test_script_makes_the_clips_again(tmp_path: Path) -> None:
    script = SAMPLES / "make_samples.py"
    found = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, env=found)
    # Another processor rounds otherwise, and x264 then codes other noise: 35 dB in the rain, where other rain is at 26.
    for name, least in ((RAINY, 32), (CLEAN, 40)):
        assert psnr(tmp_path / name, SAMPLES / name) > least
