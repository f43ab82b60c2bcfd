"""Folders as the Hugging Face hub has them: written, read by its own library and by --model, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from streamderain.errors import WeightsError
from streamderain.networks import hub, weights
from streamderain.networks.publishing import publish
from streamderain.networks.restorer import Restorer
from tests.networks.small import TINY, network

PAGE = Path(__file__).parents[2] / "docs" / "own-network.md"
REVISION = "0" * 40


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_file(network().state_dict(), path)
    return path


@pytest.fixture
def folder(file: Path, tmp_path: Path) -> Path:
    return publish(str(file), tmp_path / "folder")


def same(model: str | Path) -> bool:
    """Whether `model` answers as the network that was written does."""
    pictures = torch.rand(1, 1, 3, 16, 24)
    return torch.equal(
        Restorer.load(str(model), "cpu", "torch").restore(pictures), Restorer(network()).restore(pictures)
    )


def test_a_folder_is_a_model(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {hub.WEIGHTS, hub.CONFIG, hub.CARD}
    assert json.loads((folder / hub.CONFIG).read_text())["variant"]["widths"] == list(TINY.widths)
    assert same(folder)


def test_bundled_weights_bring_their_card(tmp_path: Path) -> None:
    card = (publish("fast", tmp_path / "fast") / hub.CARD).read_text()
    assert card.startswith("---\nlicense: apache-2.0\nlibrary_name: streamderain\n")
    assert "## What it fails at" in card


def test_of_others_the_card_names_no_licence(folder: Path) -> None:
    assert "license" not in (folder / hub.CARD).read_text()


def test_nothing_is_replaced_unasked(file: Path, folder: Path) -> None:
    (folder / hub.CARD).write_text("mine")
    with pytest.raises(WeightsError, match="--overwrite replaces it"):
        publish(str(file), folder)
    assert (folder / hub.CARD).read_text() == "mine"
    publish(str(file), folder, overwrite=True)


def test_the_hubs_own_library_reads_and_writes_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the class on the page."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.chdir(folder.parent)
    folder.rename("my-fast")
    (code,) = re.findall(r"```python\n(from huggingface_hub.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(code, str(PAGE), "exec", flags=0, dont_inherit=True), {"__name__": "page"})
    assert (Path("my-copy") / hub.CONFIG).exists()
    assert same("my-copy")


@pytest.fixture
def cached(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts the folder where the hub's library would have kept it, under a name; it asks nobody."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def cache(name: str) -> Path:
        kept = tmp_path / "cache" / f"models--{name.replace('/', '--')}"
        (kept / "refs").mkdir(parents=True)
        (kept / "refs" / "main").write_text(REVISION)
        (kept / "snapshots").mkdir()
        folder.rename(kept / "snapshots" / REVISION)
        return kept / "snapshots" / REVISION

    return cache


@pytest.mark.parametrize("revision", ["", "@main", f"@{REVISION}"])
def test_a_name_of_the_hub_is_a_model(revision: str, cached: Callable[[str], Path]) -> None:
    there = cached("somebody/net")
    assert weights.find(f"hub:somebody/net{revision}") == there / hub.WEIGHTS
    assert same(f"hub:somebody/net{revision}")


@pytest.mark.parametrize(
    "model", ["hub:somebody/other", "hub:somebody/net@other", "hub:", "hub:no name/at all", "hub:a/b/c"]
)
def test_what_the_hub_has_not_is_told_in_one_line(model: str, cached: Callable[[str], Path]) -> None:
    cached("somebody/net")
    with pytest.raises(WeightsError, match=f"^{re.escape(model)} cannot be had from the hub: .") as caught:
        weights.find(model)
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"holds no {re.escape(hub.WEIGHTS)}"):
        weights.find(str(tmp_path))


def test_what_is_neither_is_looked_for_elsewhere() -> None:
    found: Any = hub.find("fast")
    assert found is None
