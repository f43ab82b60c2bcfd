"""Every error that a user can meet; each message is one line: what came, what is allowed, what to try.

StreamderainError
├── ConfigError        a setting, preset or key that does not exist or cannot be
│   └── UnknownStream      a name that no live stream has
├── SourceError        an input that cannot be opened or read
│   └── TruncatedError     an input that ends before its header says
├── SinkError          an output that cannot be opened or written
│   ├── DeniedError        an output that wants another name or password
│   └── DifferenceError    an output that is whole, and not what was written to it
├── WeightsError       a weights file that is missing, damaged or of another network
├── ExportError        a network that cannot be written for other programs
├── DeviceError        a device that this machine lacks
├── EvaluationError    pairs that do not match
├── TrainingError      training material or checkpoints that cannot be used
├── Stopped            the user ended the run
└── StationError       anything unforeseen inside a station of the pipeline
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class StreamderainError(Exception):
    """The root: catch this to catch everything that streamderain raises on purpose."""

    station: str | None = None
    """The station of the pipeline in which it happened; None outside of it."""

    again_after: float = 0.0
    """Seconds that whoever tries again should wait at least."""

    kept: str | None = None
    """What of the output is whole all the same, and where."""

    def __str__(self) -> str:
        message = super().__str__()
        if self.station:
            message = f"{self.station}: {message}"
        return f"{message}; {self.kept}" if self.kept else message


class ConfigError(StreamderainError, ValueError):
    """A setting, preset or key that does not exist or cannot be."""


class UnknownStream(ConfigError):
    """A name that no live stream has."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no stream is called {name[:60]!r}{nearest(name, known)}")


class SourceError(StreamderainError, OSError):
    """An input that cannot be opened or read."""


class TruncatedError(SourceError):
    """An input that ends before its header says."""


class SinkError(StreamderainError, OSError):
    """An output that cannot be opened or written."""


class DeniedError(SinkError):
    """An output that wants another name or password; asked too often, servers lock accounts."""

    again_after = 60.0
    """Seconds before the next attempt, at least."""


class DifferenceError(SinkError):
    """An output that is whole and has its name, and does not hold what was written to it."""


class WeightsError(StreamderainError, ValueError):
    """A weights file that is missing, damaged or of another network."""


class ExportError(StreamderainError, RuntimeError):
    """A network that cannot be written for other programs."""


class DeviceError(StreamderainError, RuntimeError):
    """A device that this machine lacks."""


class EvaluationError(StreamderainError, ValueError):
    """Pairs that do not match."""


class TrainingError(StreamderainError, ValueError):
    """Training material or checkpoints that cannot be used."""


class Stopped(StreamderainError):
    """The user ended the run; `kept` says what is whole."""


class StationError(StreamderainError, RuntimeError):
    """Anything unforeseen inside a station of the pipeline; the cause is chained."""


@contextmanager
def writing(path: Path, advice: str = "") -> Iterator[None]:
    """Inside, an OSError becomes the SinkError that says why `path` cannot be written; `advice` follows the reason."""
    try:
        yield
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}{advice}") from error


def reason(error: BaseException) -> str:
    """What the system or libav says of it, without the name of a file; else all that it says."""
    return getattr(error, "strerror", None) or str(error)


def in_one_line(error: BaseException) -> str:
    """All that another library's error says, or its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of what it says, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def nearest(word: str, known: Iterable[str]) -> str:
    """A question whether the known word closest to `word` was meant, or nothing when none is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
