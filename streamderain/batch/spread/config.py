"""What `streamderain batch` is told, beside how a video is derained: who works, and what each is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamderain.config import DerainConfig, _setting
from streamderain.errors import ConfigError
from streamderain.quantities import seconds


@dataclass(frozen=True)
class BatchConfig(DerainConfig):
    """How an archive is derained by many workers; what is added to DerainConfig says which, and what each is given."""

    ray: str = _setting("auto", "the Ray that works: an address, such as ray://head:10001; auto, the one that is "
                        "known here, else local; local, one on this machine for this run")  # fmt: skip
    devices: str | None = _setting(None, "no Ray: a process of this machine for each of these, such as cuda:0,cuda:1")
    part_length: str = _setting("60s", "about how long a part is, such as 30s or 5m; it begins with a key picture")
    cores: int = _setting(0, "CPU cores of a worker; 0 is 1 on CPUs, 4 beside a GPU, and an equal share for --devices",
                         (0, 1024))  # fmt: skip
    gpus: float = _setting(1.0, "GPUs of a worker where there are any: 0.5 has two workers share one", (0.01, 64))
    attempts: int = _setting(3, "how often a part is tried whose process or machine dies", (1, 100))
    journal: Path | None = _setting(None, "where is noted what is done; unset is in --out, or of a URL in the user's "
                                    "cache")  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse(("compare", "report", "start", "end", "via_ffmpeg"), "{name} is for one file; leave it out")
        seconds(self.part_length)
        if len({name.partition(":")[0] for name in self.device_names}) > 1:
            raise ConfigError(f"devices is {self.devices}; name those of one kind, as others make other pictures")

    @property
    def device_names(self) -> tuple[str, ...]:
        """`devices` one by one."""
        return tuple(filter(None, (self.devices or "").replace(" ", "").split(",")))
