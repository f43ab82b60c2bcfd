"""Where the scripts put their results: one JSON file each, with the machine that they ran on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamderain.doctor import examine

FOLDER = Path(__file__).parent


def save(name: str, result: dict[str, Any]) -> None:
    """Write benchmarks/NAME.json and print it."""
    found = dict(examine())
    machine = {what: found[what] for what in ("processor", "memory", "cuda", "libraries")}
    text = json.dumps({**result, "machine": machine}, indent=2)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    print(text)


def load(name: str) -> dict[str, Any]:
    """What `save` wrote."""
    result: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return result
