"""`streamderain export`: a network for other programs, as ONNX or as TorchScript. See docs/export.md for their use."""

from __future__ import annotations

from pathlib import Path

from streamderain.backends.traced import UNKNOWN_LICENCE, to_onnx, to_torchscript
from streamderain.errors import ExportError
from streamderain.networks import weights
from streamderain.networks.loading import load

ENDINGS = {".onnx": "onnx", ".pt": "torchscript"}


def export(model: str, path: Path | None = None, kind: str | None = None, overwrite: bool = False) -> Path:
    """Write the weights called `model`, or in the file of that name, to `path`; returns where they went.

    `kind` is "onnx" or "torchscript", and by default what the path's ending says; without a path, the file gets the
    model's name and lies in the current folder. Raises WeightsError and ExportError.
    """
    kind = kind or (ENDINGS.get(path.suffix) if path else None)
    if kind is None:
        what = f"{path} does not say" if path else "nothing says"
        raise ExportError(f"{what} what to write; end the name in .onnx or .pt, or use --onnx or --torchscript")
    name = weights.named(model)
    ending = next(each for each, meant in ENDINGS.items() if meant == kind)
    path = path or Path(Path(name).stem + ending)
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists; --overwrite replaces it, or name another output")
    licence = next((known.licence for known in weights.KNOWN if known.name == name), UNKNOWN_LICENCE)
    network = load(model)
    if network.module is None:
        raise ExportError(f"{model} is a file for other programs already")
    write = to_onnx if kind == "onnx" else to_torchscript
    write(network, path, licence)
    return path
