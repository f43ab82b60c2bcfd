"""The engine on a machine that has torch alone: no PyAV, no OpenCV, no OpenVINO, no ONNX Runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALONE = """
import sys
from fractions import Fraction

HIDDEN = {"av", "cv2", "openvino", "onnx", "onnxruntime", "ffmpeg", "aiohttp"}


class Hiding:
    # In the place of all finders, as only the last of them can say that there is no such module.
    finders = list(sys.meta_path)

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        found = (finder.find_spec(name, path, target) for finder in cls.finders)
        return next(filter(None, found), None)


sys.meta_path[:] = [Hiding]

import torch

from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine
from streamderain.frames import Frame, PixelLayout
from streamderain.networks.drsformer import DRSformer, Variant
from streamderain.networks.restorer import Restorer


def restores(**around):
    torch.manual_seed(0)
    network = DRSformer(Variant((8, 8, 8, 8), (0, 0, 0, 1), (1, 1, 1, 1), mefc=False, **around))
    layout = PixelLayout(48, 64)
    scene = torch.randint(40, 200, (layout.samples + 8,), dtype=torch.uint8)
    parts = [scene[number : number + layout.samples].clone() for number in range(7)]
    frames = [Frame(part, layout, number, Fraction(1, 25)) for number, part in enumerate(parts)]
    engine = Engine(Restorer(network), DerainConfig(device="cpu"))
    restored = list(engine.run(iter(frames)))
    assert [pair.rainy.pts for pair in restored] == list(range(7))
    assert all(pair.clean.data.shape == (layout.samples,) for pair in restored)
    assert any(not torch.equal(pair.clean.data, pair.rainy.data) for pair in restored)
    assert Restorer(network).backend.name == "torch"
    assert not HIDDEN & set(sys.modules)


restores()
restores(past=2, future=2, aligned=True, scale=2)
"""


def test_torch_is_all_that_an_engine_needs() -> None:
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", ALONE], cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
