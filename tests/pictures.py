"""Picture files for tests to read."""

from __future__ import annotations

from pathlib import Path

import cv2
from torch import Tensor


def write_image(path: Path, picture: Tensor) -> None:
    """Write uint8 RGB (3, H, W); the ending of `path` says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, picture.permute(1, 2, 0).flip(-1).contiguous().cpu().numpy())
    assert ok
    data.tofile(path)
