"""What tests share: where the founders' data is, and that a run leaves nothing behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(autouse=True)
def own_weights_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or changes the weights that the user has added."""
    monkeypatch.setenv("STREAMDERAIN_WEIGHTS", str(tmp_path_factory.mktemp("weights")))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test ends without threads of ours still running."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("streamderain-")]
    assert not left, f"threads left behind: {left}"


@pytest.fixture
def shared() -> Path:
    """The folder of reference values and data that the founders share; skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not here")
    return SHARED


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked cuda need a GPU; with FAIL_WITHOUT_CUDA set, a missing one is a failure."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            if os.environ.get("FAIL_WITHOUT_CUDA"):
                pytest.fail("no CUDA device, and FAIL_WITHOUT_CUDA is set")
            pytest.skip("no CUDA device")
