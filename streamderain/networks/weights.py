"""Known weights, where they are, and how a file of them becomes a network.

No file is ever unpickled into code: .safetensors holds none, .pth is read with torch's weights-only
reader.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from streamderain.backends.runnable import PartedNetwork
from streamderain.errors import WeightsError, nearest
from streamderain.folders import weights_folder
from streamderain.networks import hub
from streamderain.networks.registry import build

BUNDLED = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True)
class Known:
    """Weights that streamderain knows by name. `size` in bytes and `sha256` are those of the file as it
    is published, None where the authors state neither; `where` says how to come by it.
    """

    name: str
    about: str
    licence: str
    where: str
    size: int | None = None
    sha256: str | None = None


_BY_HAND = "by hand: follow 'Pre-trained Models' in the README of cschenxiang/DRSformer on GitHub"

KNOWN = (
    Known(
        "fast",
        "five frames at half resolution, for CPUs and many streams",
        "Apache-2.0; trained on CC0, CC-BY and CC-BY-SA photos, see weights/fast.md",
        "in the package",
    ),
    Known(
        "best",
        "five frames at half resolution, five times the work of `fast`",
        "Apache-2.0; trained on CC0, CC-BY and CC-BY-SA photos, see weights/best.md",
        "in the package",
    ),
    Known(
        "picture",
        "single pictures at half resolution, six times the work of `fast`",
        "Apache-2.0; trained on CC0, CC-BY and CC-BY-SA photos, see weights/picture.md",
        "in the package",
    ),
    *(
        Known(f"drsformer-{data}", f"the published network, trained on {title}", "none stated", _BY_HAND)
        for data, title in (
            ("rain200h", "Rain200H"),
            ("rain200l", "Rain200L, without MEFC"),
            ("did-data", "DID-Data"),
            ("ddn-data", "DDN-Data"),
            ("spa-data", "SPA-Data, without MEFC"),
        )
    ),
)

DEFAULT = "fast"
"""The bundled weights that are taken where none are named."""

FOR_PICTURES = "picture"
"""The same where a single picture is derained."""

_KNOWN_NAMES = {known.name for known in KNOWN}


def installed() -> dict[str, Path]:
    """Name and file of all weights that are present, the bundled ones first."""
    found: dict[str, Path] = {}
    for folder in (BUNDLED, weights_folder()):
        # Not by Path.glob alone, which minds a home that may not be looked into.
        for path in sorted(folder.glob("*.safetensors") if os.access(folder, os.R_OK | os.X_OK) else ()):
            found.setdefault(path.stem, path)
    return found


def named(model: str) -> str:
    """The name that a model goes by: that of the bundled weights for "default"."""
    return DEFAULT if model == "default" else model


def find(model: str) -> Path:
    """The file behind a name ("default", "fast", an added one), a path, or a folder as networks.hub has it.

    Raises WeightsError when there is none.
    """
    present = installed()
    if named(model) in present:
        return present[named(model)]
    if os.path.isfile(model):
        return Path(model)
    if in_hub := hub.find(model):
        return in_hub
    for known in KNOWN:
        if known.name == model:
            raise WeightsError(
                f"{model} is not here yet: {known.where}; then `streamderain models add FILE --name {model}`"
            )
    hint = nearest(model, ["default", *present, *(known.name for known in KNOWN)])
    raise WeightsError(f"no weights called {model}; there are {', '.join(['default', *present])}, or name a file{hint}")


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in a .safetensors or a .pth file, by name; see registry.build for what may stand before their names.

    Raises WeightsError when the file holds none.
    """
    if path.suffix.lower() == ".onnx":
        raise WeightsError(f"{path} is a whole network, whose weights are not read; --model {path} runs it")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path} is no weights file ({error}); allowed: .safetensors, .pth") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(
            f"{path} is no weights file: it is damaged, or holds more than tensors; allowed: .safetensors, .pth"
        ) from error
    state = _tensors_in(saved)
    if not state:
        raise WeightsError(f"{path} holds no weights; expected tensors by name, as a state dict has them")
    return state


def _tensors_in(saved: object) -> dict[str, Tensor]:
    """All tensors by name, those in mappings behind the mappings' names, whatever else a trainer saved with them."""
    found: dict[str, Tensor] = {}
    # Each mapping once: a pickle can hold itself.
    seen: set[int] = set()
    to_look_at = [("", saved)]
    while to_look_at:
        front, value = to_look_at.pop()
        if isinstance(value, Mapping) and id(value) not in seen:
            seen.add(id(value))
            named = [(front + name, each) for name, each in value.items() if isinstance(name, str)]
            found |= {name: each for name, each in named if isinstance(each, Tensor)}
            to_look_at += [(f"{name}.", each) for name, each in named]
    return found


def load(model: str) -> PartedNetwork:
    """The network behind a name or a path, itself on the CPU. Raises WeightsError."""
    path = find(model)
    return build(read(path), str(path))


def add(path: Path, name: str | None = None) -> Path:
    """Verify the weights in `path` and install them as `name`, by default the file's own; where they went.

    Raises WeightsError when they are of no known network, or the name is a bundled one's.
    """
    name = name or path.stem
    if (BUNDLED / f"{name}.safetensors").exists() or name == "default":
        raise WeightsError(f"{name} is the name of bundled weights; choose another with --name")
    if not name or Path(name).name != name:
        raise WeightsError(f"{name!r} cannot be a name for weights; a name holds no folder")
    digest = sha256(path) if path.is_file() else ""
    for known in KNOWN:
        if known.name == name and known.sha256 and known.sha256 != digest:
            raise WeightsError(f"{path} is not {name}: its sha256 is {digest}, expected {known.sha256}")
    network = build(read(path), str(path))
    folder = weights_folder()
    beside = folder / f"{name}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(network, beside, {"added_sha256": digest})
        return beside.replace(folder / f"{name}.safetensors")
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", error)
        raise WeightsError(f"{folder} cannot be written ({reason}); STREAMDERAIN_WEIGHTS can name another") from error


def save(network: nn.Module, path: Path, facts: dict[str, str]) -> None:
    """Write the weights of a network as .safetensors, with `facts` about them. Raises OSError and SafetensorError."""
    # Cloned, because safetensors refuses tensors that share memory, as views of one flat buffer do.
    state = network.state_dict()
    whole = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    save_file(whole, path, facts)


def catalogue() -> list[Known]:
    """All known weights, then those that the user added under names of their own, with size, sha256 and
    place of those that are present.
    """
    present = installed()
    added = [Known(name, "added here", "see where it came from", "") for name in present if name not in _KNOWN_NAMES]
    return [_present(known, present[known.name]) if known.name in present else known for known in (*KNOWN, *added)]


def _present(known: Known, path: Path) -> Known:
    """`known` with the facts of its file; the sha256 is that of the file that was added."""
    with safe_open(path, "pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
    digest = metadata.get("added_sha256") or sha256(path)
    return replace(known, size=path.stat().st_size, sha256=digest, where=f"present: {path}")
