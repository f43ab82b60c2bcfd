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


def save(name: str, result: dict[str, Any], folder: Path = FOLDER, keep_others: bool = False) -> None:
    """Write NAME.json into `folder`, benchmarks/ by default, and print it.

    With `keep_others` what stands there already and is not in `result` stays, as other networks' figures.
    """
    if keep_others and (folder / f"{name}.json").is_file():
        result = _over(load(name, folder), result)
    found = dict(examine())
    machine = {what: found[what] for what in ("processor", "memory", "cuda", "libraries")}
    text = json.dumps({**result, "machine": machine}, indent=2)
    (folder / f"{name}.json").write_text(text + "\n")
    print(text)


def _over(old: Any, new: Any) -> Any:
    """`new`, and what only `old` has: of dicts in all depths, of lists behind what both have."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: _over(old[key], value) if key in old else value for key, value in {**old, **new}.items()}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *(each for each in new if each not in old)]
    return new


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What `save` wrote."""
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return result
