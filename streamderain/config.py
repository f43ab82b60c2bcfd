"""Every setting, once: the command line, the presets and the Python functions all read these classes.

A preset is a YAML file of the same keys. Defaults are overlaid by the user's own settings, where a command reads
them, those by the preset, that by --set key=value, that by options; a key that does not exist is an error.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from streamderain.errors import ConfigError, first_line, nearest
from streamderain.quantities import host_and_port, kept, moment, seconds, size_of

C = TypeVar("C", bound="DerainConfig | TrainConfig | RainConfig | JudgeConfig")


def _setting(default: Any, help: str, allowed: Sequence[Any] = (), words: str = "") -> Any:
    """A dataclass field whose help the command line shows. It may be one of the texts that are `allowed`, or a number
    from the first to the second, or None; `words` say that in the place of both numbers.
    """
    metadata = {"help": help, "allowed": allowed, "words": words}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


ONE_OR_MORE = ((1, math.inf), "1 or more")


@dataclass(frozen=True)
class DerainConfig:
    """How a video is derained and written."""

    model: str = _setting("default", "weights: default (fast, for single pictures picture), a name that `streamderain "
                          "models` lists, a file of weights or of ONNX, a folder as the Hugging Face hub has it, or "
                          "hub:OWNER/NAME")  # fmt: skip
    device: str = _setting("auto", "auto takes cuda, then mps, then cpu; or cpu, cuda, cuda:1, mps")
    backend: str = _setting("auto", "what runs the network: auto (by device), torch, openvino, graphs, compiled, "
                            "triton, onnx or tensorrt")  # fmt: skip
    precision: str = _setting("auto", "auto takes the quickest on this processor, on a GPU bfloat16 where it has "
                              "that; or float32, bfloat16, float16, int8")  # fmt: skip
    memory: float = _setting(0.0, "GiB that a run may take, which cuts large frames into tiles; 0 takes most of what "
                             "is free", (0, 10**6), "GiB, such as 6, or 0 for most of what is free")  # fmt: skip
    batch: int = _setting(0, "frames that go through the network at once; 0 picks 4 on a GPU, on a CPU as many "
                          "as there are threads, 4 at most, and 1 for live streams",
                          (0, 64), "1 to 64, or 0 to let the device decide")  # fmt: skip
    neighbours: str = _setting("auto", "frames that are looked at beside each: both sides; past, which adds no delay; "
                               "none, each by itself; auto takes past for live streams, else both",
                               ("auto", "both", "past", "none"))  # fmt: skip
    blend: float | None = _setting(None, "temporal blending, 0 to 1: how far a frame goes to what its neighbours agree "
                                   "on; unset is 1, but 0 for live streams on a CPU", (0, 1))  # fmt: skip
    strength: float = _setting(1.0, "how much of the rain is taken away, 0 to 1; 0 returns the input exactly", (0, 1))
    only_in_rain: bool = _setting(False, "leave frames as they are while it is dry; one a second is looked at")
    start: str | None = _setting(None, "leave out what is before: seconds, or hh:mm:ss.f; the output begins at 0")
    end: str | None = _setting(None, "leave out what is from there on")
    encoder: str = _setting("auto", "video encoder, by its libav name; auto takes libx264, or what the output's ending "
                            "asks for")  # fmt: skip
    crf: int | None = _setting(18, "quality, lower is better and larger; for encoders that know crf or a quantiser",
                               (0, 63), "0 to 63, of which libx264 and libx265 take 51")  # fmt: skip
    deinterlace: bool = _setting(False, "make whole frames of the two fields in each of an interlaced video; else they "
                                 "stay and are marked so")  # fmt: skip
    preset: str | None = _setting(None, "the encoder's preset, such as fast or slow")
    encoder_option: dict[str, str] = _setting({}, "a further option of the encoder, key=value; may be repeated")
    hwaccel: str | None = _setting(None, "hardware decoding and encoding, such as cuda; the CPU where it fails")
    via_ffmpeg: bool = _setting(False, "encode with the system's ffmpeg: vaapi, srt:// outputs, a newer build")
    compare: Path | None = _setting(None, "also write this video: rainy left, derained right")
    overwrite: bool = _setting(False, "replace an output that exists, and what an earlier run left of it")
    resume: bool = _setting(False, "make the video in parts, and go on where a run with the same settings was ended, "
                            "whatever ended it")  # fmt: skip
    verify: bool = _setting(True, "read the whole output back: frames, times, sound and tags; a difference is an error")
    report: Path | None = _setting(None, "write what was checked, lost and different to this file, as JSON")

    def __post_init__(self) -> None:
        _check(self)
        if self.part and self.via_ffmpeg:
            raise ConfigError("via_ffmpeg and start or end are both set; ffmpeg copies all of the sound: leave one out")

    def refuse(self, names: Sequence[str], why: str) -> None:
        """Raise ConfigError for the first of these settings that is set, because they do not go with a kind of run.
        In `why`, {name} stands for the setting, and {option} for how the command line has it.
        """
        for name in names:
            if getattr(self, name) not in (None, False, ()):
                raise ConfigError(why.format(name=name, option=f"--{name.replace('_', '-')}"))

    @property
    def part(self) -> tuple[Fraction, Fraction | None] | None:
        """`start` and `end`, in seconds; None for the whole. Raises ConfigError where that is no part."""
        if self.start is None and self.end is None:
            return None
        start = Fraction(0) if self.start is None else moment("start", self.start)
        end = None if self.end is None else moment("end", self.end)
        if end is not None and end <= start:
            raise ConfigError(f"end is {self.end}; it must be later than start, {self.start or 0}")
        return start, end

    @property
    def blending(self) -> float:
        """`blend`, or what it is when unset."""
        return 1.0 if self.blend is None else self.blend


TRANSPORTS = ("tcp", "udp")
OVERLOADS = ("frames", "half", "pass")
"""What gives way, from the first to the last."""


@dataclass(frozen=True)
class LiveConfig(DerainConfig):
    """How a video or a live stream is derained and written; what is added to DerainConfig is for live streams."""

    max_latency: float = _setting(0.5, "seconds from a frame's arrival to its output: what would take longer is "
                                  "left out, the newest kept", (0.02, 3600), "0.02 to 3600 seconds")  # fmt: skip
    overload: str = _setting("pass", "what gives way while the machine is too slow: frames; half, the network's size "
                             "before frames; pass, also the deraining, where next to none would get out",
                             OVERLOADS)  # fmt: skip
    realtime: bool = _setting(False, "take a file for a live stream, at the pace of its times")
    transport: str = _setting("tcp", "how RTSP travels: tcp or udp", TRANSPORTS)
    publish_transport: str = _setting("tcp", "how RTSP travels to the servers that are published to: tcp or udp",
                                      TRANSPORTS)  # fmt: skip
    frozen_after: float = _setting(5.0, "seconds without a frame after which a live source, or an output that takes "
                                   "none, is opened anew", (0.1, 3600), "0.1 to 3600 seconds")  # fmt: skip
    retries: int | None = _setting(None, "attempts in a row to reach a live source again; unset is for ever",
                                   (0, math.inf), "0 or more, or nothing for ever")  # fmt: skip
    segment: str | None = _setting(None, "record into files of this length each, such as 10m, 1h or 90s")
    keep: tuple[str, ...] = _setting((), "how long, or how much, of the segments is kept, such as 7d or 200GB; may be "
                                     "repeated")  # fmt: skip
    slate: str | None = _setting(None, "size of what is published, from before the source is there, such as 640x360; "
                                 "unset is the source's, and 1280x720 while that is not known")  # fmt: skip
    on_demand: bool = _setting(False, "derain only while somebody watches the page; for streams without outputs")
    preview: str | None = _setting(None, "show a live page at this port, or host:port")
    token: str | None = _setting(None, "what a viewer of the page must know; needed beyond 127.0.0.1")
    view_token: str | None = _setting(None, "another token, for those who may look and change nothing")
    tls_cert: Path | None = _setting(None, "certificate of the page, in PEM, which then speaks HTTPS alone; it is read "
                                     "again when it changes")  # fmt: skip
    tls_key: Path | None = _setting(None, "the certificate's key, in PEM; unset is the certificate's own file")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segment is not None:
            seconds(self.segment)
        if self.keep and self.segment is None:
            raise ConfigError(f"keep is {', '.join(self.keep)}, but recordings are one file; set segment, such as 10m")
        kept(self.keep)
        if self.slate is not None:
            size_of(self.slate)
        if self.preview is not None:
            host_and_port(self.preview)
        if self.tls_key is not None and self.tls_cert is None:
            raise ConfigError("tls_key is set and tls_cert is not; a key needs its certificate")

    def check_demand(self, outputs: Sequence[str]) -> None:
        """Raise ConfigError where it cannot be known whether anybody watches."""
        if self.on_demand and outputs:
            raise ConfigError("on_demand counts who watches the page, and who reads outputs cannot be known; drop one")


@dataclass(frozen=True)
class TrainConfig:
    """What a network is trained on, how large it is, and for how long."""

    photos: Path = _setting(Path("photos"), "folder of clean pictures")
    clips: tuple[str, ...] = _setting((), "clean videos, whose first frames are used too")
    held_out_photos: int = _setting(16, "photos, the last by name, that only judge")
    held_out_samples: int = _setting(32, "samples that are drawn of what only judges")
    held_out_clip: Path | None = _setting(None, "a clean video that only judges")
    folder: Path = _setting(Path("training"), "where checkpoint, log and weights go")
    start: str | None = _setting(None, "weights to start from, a name or a file; levels half as wide, or with fewer "
                                "dense blocks, are grown")  # fmt: skip
    teacher: str | None = _setting(None, "weights to learn from beside what is clean, a name or a file")
    teaching: float = _setting(0.5, "how far the picture to reach is from the clean one to the teacher's", (0, 1))
    device: str = _setting("auto", "auto takes cuda, then mps, then cpu")
    widths: tuple[int, ...] = _setting((16, 32, 64, 128), "channels at each of the four levels")
    blocks: tuple[int, ...] = _setting((1, 2, 2, 2), "transformer blocks at each of the four levels")
    heads: tuple[int, ...] = _setting((1, 2, 4, 8), "heads of the attention at each of the four levels")
    residual: tuple[int, ...] = _setting((0, 0, 0, 0), "dense residual blocks in front of each level's transformer "
                                         "blocks")  # fmt: skip
    expansion: float = _setting(2.0, "width of the feed-forward network over its input's")
    mefc: bool = _setting(False, "with the mixture-of-experts compensators")
    dense: tuple[int, ...] = _setting((2, 1), "dense residual blocks before and behind the U-net")
    scale: int = _setting(2, "the network runs at one over this of the resolution")
    past: int = _setting(1, "frames before the current one that the network reads")
    future: int = _setting(1, "frames after the current one that the network reads")
    aligned: bool = _setting(False, "follow motion: move the neighbours onto the current frame first")
    mirrored: bool = _setting(False, "once trained, look at each picture in a mirror too, at twice the work")
    steps: int = _setting(6000, "training steps")
    batch: int = _setting(8, "samples in a step")
    patch: int = _setting(96, "side of a sample in pixels, cut out of a window")
    window: int = _setting(192, "side in pixels of the windows that are rendered; motion is looked for in all of it")
    cache: int = _setting(128, "windows that are kept in memory, the latest", *ONE_OR_MORE)
    draws: int = _setting(6, "samples that are cut of each window while it is kept, on average", *ONE_OR_MORE)
    mix: dict[str, float] = _setting({}, "shares of kinds of samples, where they differ from the usual, name=share")
    faint: float = _setting(0.02, "mean error, of 0..1, under which a sample's error counts less and less")
    float16: bool = _setting(False, "write the weights in float16, at half the size")
    bf16: bool = _setting(False, "compute in bfloat16, on a CPU where that is quicker, in all but transformer blocks")
    rate: float = _setting(1e-3, "learning rate")
    cooldown: float = _setting(0.1, "part of the steps, the last, in which the rate falls to near zero")
    seed: int = _setting(1, "of the first weights and the samples")
    workers: int = _setting(1, "processes that make samples, as many as there are cores at most")
    plot: bool = _setting(False, "draw the log as log.png beside it; needs matplotlib")
    validate_every: int = _setting(500, "steps between two looks at the held-out samples, which are also saved")
    save_minutes: float = _setting(10.0, "most minutes between two saves")

    def __post_init__(self) -> None:
        _check(self)
        for name in ("widths", "blocks", "heads", "residual"):
            if len(getattr(self, name)) != 4:
                raise ConfigError(f"{name} is {getattr(self, name)}; a DRSformer has four levels")
        if len(self.dense) != 2 or (self.mefc and any(self.dense)):
            raise ConfigError(f"dense is {self.dense}; two numbers are needed, 0 and 0 with mefc")
        for name in ("patch", "window"):
            if (side := getattr(self, name)) % (8 * self.scale):
                raise ConfigError(f"{name} is {side}; with scale {self.scale} a multiple of {8 * self.scale} is needed")
        if self.patch > self.window:
            raise ConfigError(f"patch is {self.patch}; it is cut out of a window of {self.window}, so make it smaller")


@dataclass(frozen=True)
class RainConfig:
    """Which rain falls on a clean video, and which camera films it."""

    rate: float = _setting(20.0, "mm of rain an hour: 2 light, 10 moderate, 50 heavy; 0 is the camera alone, for the "
                           "clean half of a pair", (0, 300))  # fmt: skip
    wind: float = _setting(1.0, "m/s, to the right; negative to the left", (-30, 30))
    seed: int = _setting(1, "another seed is other rain, drops on the lens and noise", (0, 2**31 - 1))
    exposure: float = _setting(0.01, "seconds that the shutter is open; longer makes longer, fainter streaks",
                               (1e-5, 0.1))  # fmt: skip
    strength: float = _setting(16.0, "how opaque streaks are, times physics, whose streaks are faint", (0, 1000))
    steady: bool = _setting(False, "take the camera for one that never turns; else pans carry and shear the streaks")
    veil: float = _setting(1.0, "density of the veil that far rain makes, times physics; 0 for none", (0, 100))
    backdrop: float = _setting(150.0, "metres to what stands at the horizon; the further, the more the veil hides",
                               (1, 1e5))  # fmt: skip
    horizon: float = _setting(0.5, "where the horizon is, 0 top to 1 bottom; below 0 where the camera looks down",
                              (-10, 10))  # fmt: skip
    droplets: int = _setting(0, "drops that stick to the lens", (0, 1000))
    noise: float = _setting(0.006, "standard deviation of the sensor's noise at white, white being 1; 0 for none",
                            (0, 0.5))  # fmt: skip
    bitrate: int | None = _setting(None, "kbit/s of the encoder; unset is a phone's for the size, 10,000 for 1080p30",
                                   (1, 10**6))  # fmt: skip
    crf: int | None = _setting(None, "constant quality instead of a bitrate; 0 loses nothing with libx264", (0, 63))
    encoder: str = _setting("libx264", "video encoder, by its libav name")
    overwrite: bool = _setting(False, "replace an output that exists")

    def __post_init__(self) -> None:
        _check(self)
        if 0 < self.rate < 0.1:
            raise ConfigError(f"rate is {self.rate}; allowed: 0.1 to 300, or 0 for no rain")
        if self.bitrate is not None and self.crf is not None:
            raise ConfigError("bitrate and crf are both set; the encoder can follow one of them")


@dataclass(frozen=True)
class JudgeConfig:
    """What weights are judged on, and what runs them."""

    photos: Path = _setting(Path("../shared/data/train/clean"), "folder of clean pictures")
    held_out_photos: int = _setting(16, "photos, the last by name, that are judged on", *ONE_OR_MORE)
    clip: Path | None = _setting(Path("../shared/data/clips/clean/pedestrians.mp4"), "a clean video that is judged on")
    quick: bool = _setting(False, "ask one case of seven, always the same ones")
    device: str = _setting("auto", "auto takes cuda, then mps, then cpu")
    backend: str = _setting("auto", "what runs the networks, as for derain")
    precision: str = _setting("float32", "float32, so that processors agree; or auto, bfloat16, float16")

    def __post_init__(self) -> None:
        _check(self)


def presets() -> dict[str, Path]:
    """Name and file of the presets that come with streamderain."""
    package = Path(__file__).parent
    # In a checkout the folder lies beside the package; a wheel holds it inside.
    folder = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    # serve.yaml lists streams; it is no set of settings.
    return {path.stem: path for path in sorted(folder.glob("*.yaml")) if path.stem != "serve"}


def saved_settings(path: Path) -> dict[str, Any]:
    """What `path`, a YAML file of DerainConfig's keys, says; nothing where it is not there.

    Raises ConfigError, which names the file, for what does not exist or fit.
    """
    # Not path.exists(), which minds a home that may not be looked into.
    if not os.path.exists(path):
        return {}
    try:
        build(DerainConfig, str(path))
    except ConfigError as error:
        raise ConfigError(f"{error}; correct or delete {path}, which holds settings of your own") from error
    return dict(_read(str(path)))


def build(
    kind: type[C], overlay: str | None = None, sets: tuple[str, ...] = (), saved: Path | None = None, /, **given: Any
) -> C:
    """A config from its defaults, `saved` settings, an `overlay` (a preset's name or a YAML file), `key=value` texts,
    and settings.

    Settings that are None count as not given. Saved ones that name a device count nothing where another is asked for:
    what is quickest on one may not run on another. Raises ConfigError for anything that does not exist or fit.
    """
    values: dict[str, Any] = dict(_read(overlay)) if overlay else {}
    values |= read_sets(sets)
    values |= {key: value for key, value in given.items() if value is not None}
    own = saved_settings(saved) if saved else {}
    if values.get("device", own.get("device")) == own.get("device") or "device" not in own:
        values = own | values
    known = [each.name for each in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigError(f"no setting is called {key}{nearest(key, known)}")
    hints = get_type_hints(kind)
    return kind(**{key: _fitting(key, value, hints[key]) for key, value in values.items()})


def read_sets(sets: tuple[str, ...]) -> dict[str, Any]:
    """Texts `key=value` -> keys and values, these read as YAML. Raises ConfigError for a text without a value."""
    values = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text} has no value; expected key=value")
        values[key.strip()] = yaml.safe_load(value)
    return values


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
        raise ConfigError(f"{path} is no YAML: {first_line(error)}") from error
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
        kind = get_args(hint)[1]
        return {
            str(name): str(each) if kind is str else _fitting(f"{key}.{name}", each, kind)
            for name, each in value.items()
        }
    return value


def _check(config: Any) -> None:
    """Raise ConfigError for a field that holds a value of another type, or one that is not allowed."""
    hints = get_type_hints(type(config))
    for each in dataclasses.fields(config):
        name, value, hint = each.name, getattr(config, each.name), hints[each.name]
        outer = getattr(hint, "__origin__", None)
        allowed = (outer,) if outer in (tuple, dict) else tuple(get_args(hint)) or (hint,)
        if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, allowed):
            wanted = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in allowed)
            raise ConfigError(f"{name} is {value!r}; expected {wanted}")
        allowed, words = each.metadata["allowed"], each.metadata["words"]
        if isinstance(value, str) and allowed and value not in allowed:
            raise ConfigError(f"{name} is {value}; allowed: {', '.join(allowed)}{nearest(value, allowed)}")
        # NaN is in no range.
        if isinstance(value, int | float) and allowed and not allowed[0] <= value <= allowed[1]:
            raise ConfigError(f"{name} is {value}; allowed: {words or f'{allowed[0]} to {allowed[1]}'}")
