"""A network in int8: an OpenVINO model in one small file, which lies beside the weights that it was made of.

The file is a zip of the pair that OpenVINO writes, and of the SHA-256 of the weights, so that it serves no others.
training/quantising.py makes it; to read it takes OpenVINO alone.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import openvino
from torch import nn

from streamderain.backends.runnable import ROUNDED, fingerprint
from streamderain.errors import WeightsError

_GRAPH, _VALUES, _DIGEST = "network.xml", "network.bin", "weights.sha256"


def place(weights: Path) -> Path:
    """Where the int8 form of a file of weights lies."""
    return weights.with_suffix(ROUNDED)


def save(model: openvino.Model, network: nn.Module, path: Path) -> None:
    """Write the int8 form of `network` to `path`; what of it is not int8, in float16.

    Raises OSError where nothing can be written.
    """
    beside = path.with_name(path.name + ".new")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, True, 9) as kept:
        openvino.save_model(model, Path(folder) / _GRAPH, compress_to_fp16=True)
        for name in (_GRAPH, _VALUES):
            # An entry without the time of day: the same trunk gives the same file.
            kept.writestr(zipfile.ZipInfo(name), (Path(folder) / name).read_bytes(), zipfile.ZIP_DEFLATED, 9)
        kept.writestr(zipfile.ZipInfo(_DIGEST), fingerprint(network.state_dict()))
    beside.replace(path)


def load(path: Path, network: nn.Module, core: openvino.Core) -> openvino.Model:
    """The int8 form in `path`, of what PartedNetwork.entry_of_codes takes, of any size.

    Raises WeightsError where the file cannot be read, or was made of other weights than those of `network`.
    """
    try:
        with zipfile.ZipFile(path) as kept:
            made_of = kept.read(_DIGEST).decode()
            graph, values = kept.read(_GRAPH), kept.read(_VALUES)
        model = core.read_model(graph, values)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(f"{path} is no network in int8 ({reason}); make it anew with benchmarks/int8.py") from error
    if made_of != fingerprint(network.state_dict()):
        raise WeightsError(f"{path} was made of other weights; make it anew with benchmarks/int8.py")
    return model
