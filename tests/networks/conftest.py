"""A place for files of weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain.networks import weights


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for the weights in the package; empty."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    monkeypatch.setattr(weights, "BUNDLED", folder)
    return folder
