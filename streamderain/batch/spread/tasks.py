"""The values that travel between driver and workers: names, ranges and counts; never a frame."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from streamderain.batch.spread.inputs import Item
from streamderain.batch.spread.places import HIDDEN
from streamderain.config import DerainConfig
from streamderain.parts.making import Span

_OF_NO_MATTER = ("memory", "batch", "compare", "overwrite", "verify", "report")
"""Settings that change nothing in an output."""


@dataclass(frozen=True)
class Settings:
    """What holds for all files: where they go, how they are derained, how long a part is about, in seconds, and how
    many cores a call has, 0 for all. `device` is which of those that `config` names a worker has, if it matters.
    """

    out: str
    config: DerainConfig
    part_seconds: float
    cores: int = 0
    device: str = ""

    @property
    def mark(self) -> str:
        """What tells outputs of these settings from others."""
        config = [(each.name, getattr(self.config, each.name)) for each in fields(DerainConfig)]
        return repr([pair for pair in config if pair[0] not in _OF_NO_MATTER] + [self.part_seconds])


@dataclass(frozen=True)
class Survey:
    """What is to be done with a file: it has about so many `frames`, in `parts`, none where it is done as a whole.
    `kind` is the format of the output, by libav's name; `mark` stands for its content and the settings. `is_done` where
    the output is there, and was made by them; where another is in its place, `is_taken`.
    """

    mark: str
    frames: int = 0
    parts: tuple[Span, ...] = ()
    kind: str = ""
    is_done: bool = False
    is_taken: bool = False

    @property
    def folder(self) -> str:
        """Where its parts wait."""
        return f"{HIDDEN}/{self.mark}"

    def name_of(self, part: Span) -> str:
        """Where a part waits."""
        return f"{self.folder}/{part.first:08d}.part"


@dataclass(frozen=True)
class Task:
    """A call of a worker: to survey an item, to derain it as a whole, to derain a part, or to join all parts."""

    kind: Literal["survey", "whole", "part", "join"]
    item: Item
    settings: Settings
    survey: Survey | None = None
    part: Span | None = None
    known: dict[str, Any] = field(default_factory=dict)
    """What the journal says of the file."""

    @property
    def name(self) -> str:
        """In one line, for whoever looks on."""
        return f"{self.kind} {self.item.name}" + (f" from frame {self.part.first}" if self.part else "")


@dataclass(frozen=True)
class Made:
    """A file that was made, or was there and `kept`; of a join also which parts were `broken`, in which case nothing
    was made.
    """

    frames: int = 0
    bytes: int = 0
    kept: bool = False
    broken: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Report:
    """What came of a task: a Survey or what was Made, or why it failed, in one line; what the log warned of; how long
    it took, in seconds and in those of a core; and on which machine, in which process.
    """

    result: Survey | Made | None
    said: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    core_seconds: float = 0.0
    where: str = ""
