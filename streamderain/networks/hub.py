"""Weights in the layout of the Hugging Face hub: a folder with model.safetensors in it, here or there."""

from __future__ import annotations

import os
from pathlib import Path

from streamderain.errors import WeightsError, first_line

PREFIX = "hub:"
"""What stands before OWNER/NAME, or OWNER/NAME@REVISION, where the hub itself is meant."""

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def find(model: str) -> Path | None:
    """The weights in the folder called `model`, or in that of the hub, which is asked for it; None where `model` is
    neither.

    A folder of the hub is kept where huggingface_hub keeps all of them, and HF_HUB_OFFLINE=1 asks nobody. Raises
    WeightsError.
    """
    if model.startswith(PREFIX):
        folder = _fetched(model)
    elif os.path.isdir(model):
        folder = Path(model)
    else:
        return None
    if not (folder / WEIGHTS).is_file():
        raise WeightsError(f"{model} holds no {WEIGHTS}, in which the hub's layout has weights")
    return folder / WEIGHTS


def _fetched(model: str) -> Path:
    name, _, revision = model.removeprefix(PREFIX).partition("@")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise WeightsError(f"{model} needs huggingface_hub; pip install 'streamderain[hub]'") from error
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=[WEIGHTS, CONFIG, CARD]))
    except (OSError, ValueError) as error:  # what its own errors are made of, those of the network too
        raise WeightsError(f"{model} cannot be had from the hub: {first_line(error)}") from error
