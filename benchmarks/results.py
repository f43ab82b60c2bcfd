"""Where the scripts find data and put their results: one JSON file each, with the machine that they ran on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamderain.doctor import examine

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
DATA = ROOT.parent / "shared" / "data"
"""The founders' data, which is no part of the project; what of it is missing is left out of the results."""


def save(name: str, result: dict[str, Any], folder: Path = FOLDER) -> None:
    """Write NAME.json into `folder`, benchmarks/ by default, and print it."""
    found = dict(examine())
    machine = {what: found[what] for what in ("processor", "memory", "cuda", "libraries")}
    text = json.dumps({**result, "machine": machine}, indent=2)
    (folder / f"{name}.json").write_text(text + "\n")
    print(text)


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What `save` wrote."""
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return result
