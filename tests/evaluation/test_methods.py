"""Methods treat pictures in memory as the pipeline treats a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.config import DerainConfig
from streamderain.engine.blend import TemporalBlender
from streamderain.errors import WeightsError
from streamderain.evaluation.evaluate import upright
from streamderain.evaluation.methods import Method, bundled, every_method, networks
from streamderain.networks.restorer import Restorer

CPU = DerainConfig(device="cpu")


class Brighter:
    """Adds a tenth of the frame before."""

    device = torch.device("cpu")
    past, future = 1, 2

    def restore(self, windows: Tensor) -> Tensor:
        return (windows[:, 1] + 0.1 * windows[:, 0]).clamp(0, 1)


def test_a_clip_is_derained_as_the_restorer_does() -> None:
    pictures = torch.randint(0, 256, (4, 3, 24, 32), dtype=torch.uint8)
    (method,) = networks(["fast"], DerainConfig(device="cpu", blend=0.0))
    assert torch.equal(torch.cat(list(method.pictures(pictures))), Restorer.load("fast", "cpu")(pictures, True))


@pytest.mark.parametrize(
    "config",
    [
        DerainConfig(blend=0.0),
        CPU,
        DerainConfig(strength=0.5, blend=0.5),
        DerainConfig(neighbours="past"),
        DerainConfig(neighbours="none"),
    ],
)
def test_pictures_and_video_agree(clip: Path, config: DerainConfig) -> None:
    method = Method("brighter", Brighter(), config)
    with method.video(clip) as pairs:
        seen = [(upright(pair.rainy), upright(pair.clean)) for pair in pairs]
    made = list(method.pictures(torch.cat([rainy for rainy, _ in seen])))
    assert len(made) == len(seen) == 12
    for (rainy, clean), picture in zip(seen, made, strict=True):
        assert float((clean.float() - rainy.float()).mean()) > 2
        # Planes are rounded once more than pictures, and frames of this clip differ so little that, as a video, they
        # count as repeated, so that others stand beside them.
        difference = (clean.int() - picture.int()).abs()
        assert int(difference.max()) <= (6 if config.blending else 3)
        assert float(difference.float().mean()) < 2


def test_pictures_are_blended_as_a_run_on_the_same_device_blends(monkeypatch: pytest.MonkeyPatch) -> None:
    blended: list[object] = []
    blend = TemporalBlender.__call__

    def counted(blender: TemporalBlender, *given: Any) -> Any:
        blended.append(given)
        return blend(blender, *given)

    monkeypatch.setattr(TemporalBlender, "__call__", counted)
    (method,) = networks(["fast"], CPU)
    pictures = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    assert len(list(method.pictures(pictures))) == len(blended) == 4


def test_strength_zero_returns_the_pictures() -> None:
    pictures = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    method = Method("brighter", Brighter(), DerainConfig(strength=0.0))
    assert torch.equal(torch.cat(list(method.pictures(pictures))), pictures)


def test_a_video_that_is_left_early_leaves_no_thread(clip: Path) -> None:
    with Method("brighter", Brighter(), CPU).video(clip) as pairs:
        next(pairs)


def test_methods_are_those_that_are_named_or_bundled() -> None:
    assert "fast" in bundled()
    assert [method.name for method in every_method((), CPU)] == ["nothing", "median", *bundled()]
    assert [method.name for method in every_method(("fast", "default", "fast"), CPU)][2:] == ["fast", "default"]
    assert [method.name for method in networks((), DerainConfig(device="cpu", model="fast"))] == ["fast"]
    with pytest.raises(WeightsError, match="no weights called slow"):
        networks(["slow"], CPU)
