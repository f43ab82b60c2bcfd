"""Every setting, once: the command line, the presets and the Python functions all read these classes.

A preset is a YAML file of the same keys. Defaults are overlaid by the preset, that by --set key=value, that
by options; a key that does not exist is an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from streamderain.errors import ConfigError, nearest

C = TypeVar("C", bound="DerainConfig | TrainConfig")


def _setting(default: Any, help: str) -> Any:
    """A dataclass field whose help the command line shows."""
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class DerainConfig:
    """How a video is derained and written."""

    model: str = _setting("default", "weights: default, a name that `streamderain models` lists, or a file")
    device: str = _setting("auto", "auto takes cuda, then mps, then cpu; or cpu, cuda, cuda:1, mps")
    batch: int = _setting(0, "frames that go through the network at once; 0 picks 1 on a CPU, 4 on a GPU")
    blend: float = _setting(0.0, "temporal blending, 0 to 1: how far a frame leans on the one before it")
    encoder: str = _setting("libx264", "video encoder, by its libav name")
    crf: int | None = _setting(18, "quality, lower is better and larger; for encoders that know crf")
    preset: str | None = _setting(None, "the encoder's preset, such as fast or slow")
    encoder_option: dict[str, str] = _setting({}, "a further option of the encoder, key=value; may be repeated")
    hwaccel: str | None = _setting(None, "hardware decoding and encoding, such as cuda; the CPU where it fails")
    via_ffmpeg: bool = _setting(False, "encode with the system's ffmpeg: vaapi, srt:// outputs, a newer build")
    compare: Path | None = _setting(None, "also write this video: rainy left, derained right")
    overwrite: bool = _setting(False, "replace an output that exists")

    def __post_init__(self) -> None:
        _check(self)
        if not 0 <= self.blend <= 1:
            raise ConfigError(f"blend is {self.blend}; allowed: 0 to 1")
        if not 0 <= self.batch <= 64:
            raise ConfigError(f"batch is {self.batch}; allowed: 1 to 64, or 0 to let the device decide")


@dataclass(frozen=True)
class TrainConfig:
    """What a network is trained on, how large it is, and for how long."""

    photos: Path = _setting(Path("photos"), "folder of clean pictures")
    clips: tuple[str, ...] = _setting((), "clean videos, whose first frames are used too")
    pairs: Path | None = _setting(None, "folder with rainy and clean pictures of the same names, in rainy and clean")
    held_out_photos: int = _setting(16, "photos, the last by name, that only judge")
    held_out_pairs: int = _setting(2, "pairs, the last by name, that only judge")
    held_out_samples: int = _setting(32, "samples that are drawn of what only judges")
    held_out_clip: Path | None = _setting(None, "a clean video that only judges")
    folder: Path = _setting(Path("training"), "where checkpoint, log and weights go")
    start: str | None = _setting(None, "weights to start from: a name or a file")
    device: str = _setting("auto", "auto takes cuda, then mps, then cpu")
    dim: int = _setting(16, "channels at the first level")
    blocks: tuple[int, ...] = _setting((1, 2, 2, 2), "transformer blocks at each of the four levels")
    expansion: float = _setting(2.0, "width of the feed-forward network over its input's")
    mefc: bool = _setting(False, "with the mixture-of-experts compensators")
    scale: int = _setting(2, "the network runs at one over this of the resolution")
    past: int = _setting(1, "frames before the current one that the network reads")
    future: int = _setting(1, "frames after the current one that the network reads")
    steps: int = _setting(6000, "training steps")
    batch: int = _setting(8, "samples in a step")
    patch: int = _setting(96, "side of a sample in pixels")
    rate: float = _setting(1e-3, "highest learning rate")
    seed: int = _setting(1, "of the first weights and the samples")
    workers: int = _setting(1, "processes that make samples")
    validate_every: int = _setting(500, "steps between two looks at the held-out samples, which are also saved")

    def __post_init__(self) -> None:
        _check(self)
        if len(self.blocks) != 4:
            raise ConfigError(f"blocks is {self.blocks}; a DRSformer has four levels")
        if self.patch % (8 * self.scale):
            raise ConfigError(
                f"patch is {self.patch}; with scale {self.scale} a multiple of {8 * self.scale} is needed"
            )


def presets() -> dict[str, Path]:
    """Name and file of the presets that come with streamderain."""
    package = Path(__file__).parent
    # In a checkout the folder lies beside the package; a wheel holds it inside.
    folder = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def build(kind: type[C], overlay: str | None = None, sets: tuple[str, ...] = (), /, **given: Any) -> C:
    """A config from its defaults, an `overlay` (a preset's name or a YAML file), `key=value` texts, and settings.

    Settings that are None count as not given. Raises ConfigError for anything that does not exist or fit.
    """
    values: dict[str, Any] = dict(_read(overlay)) if overlay else {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text} has no value; expected key=value")
        values[key.strip()] = yaml.safe_load(value)
    values |= {key: value for key, value in given.items() if value is not None}
    known = [each.name for each in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigError(f"no setting is called {key}{nearest(key, known)}")
    hints = get_type_hints(kind)
    return kind(**{key: _fitting(key, value, hints[key]) for key, value in values.items()})


def _read(preset: str) -> Mapping[str, Any]:
    path = presets().get(preset, Path(preset))
    try:
        text = path.read_text()
    except OSError as error:
        known = list(presets())
        raise ConfigError(
            f"no preset is called {preset}; there are {', '.join(known)}{nearest(preset, known)}"
        ) from error
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}; expected lines of key: value")
    return values


def _fitting(key: str, value: Any, hint: Any) -> Any:
    """`value` as the field's type where that is plain: a number, a path, a tuple. Raises ConfigError."""
    kinds = [kind for kind in (get_args(hint) or (hint,)) if isinstance(kind, type)]
    if hint is Path or Path in kinds:
        return value if value is None else Path(value)
    if getattr(hint, "__origin__", None) is tuple:
        return tuple(value) if isinstance(value, list | tuple) else (value,)
    if float in kinds and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f"{key} is {value!r}; a number is needed") from None
    if getattr(hint, "__origin__", None) is dict and isinstance(value, dict):
        return {str(name): str(each) for name, each in value.items()}
    return value


def _check(config: Any) -> None:
    """Raise ConfigError for a field that holds a value of another type."""
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        outer = getattr(hint, "__origin__", None)
        allowed = (outer,) if outer in (tuple, dict) else tuple(get_args(hint)) or (hint,)
        if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, allowed):
            wanted = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in allowed)
            raise ConfigError(f"{name} is {value!r}; expected {wanted}")
