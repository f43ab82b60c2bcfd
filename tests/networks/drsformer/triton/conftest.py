"""The kernels without a GPU: Triton interprets them, if it is told so before it is first imported.

torch imports it on its own account, so a file of tests starts itself once more, in a process where the CPU is the
device.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

DEVICES = ["cpu"] if INTERPRETED else [pytest.param("cuda", marks=pytest.mark.cuda)]
on_device = pytest.mark.parametrize("device", DEVICES)
uninterpreted = pytest.mark.skipif(INTERPRETED, reason="what is interpreted cannot be compiled, nor start itself")


def run_interpreted(file: str) -> None:
    """Run the tests of a file in another process, in which Triton's interpreter takes the place of the GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("FAIL_WITHOUT_CUDA", None)
    root = Path(__file__).parents[4]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def interpreted_products_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter multiplies matrices of bfloat16 as if their bits were whole numbers: widen them first."""
    if not INTERPRETED:
        return
    from triton.language import bfloat16, float32
    from triton.runtime.interpreter import InterpreterBuilder

    multiply = InterpreterBuilder.create_dot

    def widened(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return multiply(self, *(self.create_fp_ext(x, float32) if x.dtype == bfloat16 else x for x in (a, b)), *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", widened)
