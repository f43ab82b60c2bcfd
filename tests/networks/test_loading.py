"""A name or a file becomes what a backend runs."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from streamderain.backends.runnable import ROUNDED
from streamderain.networks import loading
from tests.networks.small import network


def test_a_trunk_in_int8_is_found_beside_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save_file(network().state_dict(), path)
    assert loading.load(str(path)).rounded is None
    beside = path.with_suffix(ROUNDED)
    beside.write_bytes(b"what a backend judges")
    assert loading.load(str(path)).rounded == beside
