"""Names that stand for many pictures, such as frame_%04d.png."""

from __future__ import annotations

import re
from pathlib import Path

from streamderain.errors import SourceError
from streamderain.media.images import PICTURE_ENDINGS

RATE = 25
"""Pictures a second, which a sequence does not tell."""

_NUMBER = re.compile(r"%(?:0\d+)?d")


def is_numbered(name: str | Path) -> bool:
    """Whether a name stands for many pictures, by a place for their number."""
    path = Path(name)
    return len(_NUMBER.findall(path.name)) == 1 and path.suffix.lower() in PICTURE_ENDINGS and not path.exists()


def numbered(pattern: Path) -> dict[int, Path]:
    """The pictures that there are of a sequence, in order of their numbers."""
    before, after = (re.escape(part) for part in _NUMBER.sub("\0", pattern.name).split("\0"))
    shape = re.compile(f"{before}(\\d+){after}")
    found = {}
    for path in pattern.parent.iterdir() if pattern.parent.is_dir() else ():
        if (match := shape.fullmatch(path.name)) and pattern.name % int(match[1]) == path.name:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def sequence(pattern: Path) -> dict[int, Path]:
    """All pictures of a sequence. Raises SourceError where there is none, or where one is missing in the middle."""
    found = numbered(pattern)
    if not found:
        raise SourceError(f"{pattern} stands for no picture that is there; expected such as {pattern.name % 1}")
    for number in range(min(found), max(found)):
        if number not in found:
            raise SourceError(f"{pattern.parent / (pattern.name % number)} is missing in the sequence; number it anew")
    return found
