"""Which rainy file belongs to which clean one: two files, two folders, or a folder that holds many sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamderain.errors import EvaluationError
from streamderain.media.images import PICTURE_ENDINGS, shown_in

VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".ts")
CLEAN_MARK = "-clean"
"""`temple-clean.mp4` is `temple.mp4` without rain."""


@dataclass(frozen=True)
class Pair:
    """A picture or a video, `name` for short, in the rain and without; both may be one dry file, to see what
    harm is done to it.
    """

    name: str
    rainy: Path
    clean: Path

    @property
    def is_picture(self) -> bool:
        """Whether these are still pictures, by their ending."""
        return self.rainy.suffix.lower() in PICTURE_ENDINGS


@dataclass(frozen=True)
class PairSet:
    """Pairs that are judged together, and what they are called."""

    name: str
    pairs: tuple[Pair, ...]


def find_sets(rainy: Path, clean: Path | None = None) -> list[PairSet]:
    """The sets that a user names: two videos or pictures, two folders of them, or one folder of sets.

    Two folders hold pairs under the same names. One folder alone, and each folder in it, is a set when it has
    the folders `rainy` and `clean` in it, or videos NAME.mp4 beside NAME-clean.mp4. Raises EvaluationError
    for what has no counterpart, and where nothing is found.
    """
    if clean is None:
        return _sets_in(rainy)
    if rainy.is_dir() != clean.is_dir():
        raise EvaluationError(f"{rainy} and {clean} must both be folders, or both be files")
    if not rainy.is_dir():
        return [PairSet(rainy.name, (Pair(rainy.name, rainy, clean),))]
    pairs = tuple(_same_names(rainy, clean))
    if not pairs:
        raise EvaluationError(f"no picture or video is in {rainy}, none has a counterpart in {clean}")
    folder = rainy.resolve()
    return [PairSet(folder.parent.name if folder.name == "rainy" else folder.name, pairs)]


def _sets_in(root: Path) -> list[PairSet]:
    if not root.is_dir():
        raise EvaluationError(f"{root} is no folder of sets; name it with its clean counterpart, RAINY CLEAN")
    folders = [root, *(path for path in shown_in(root) if path.is_dir())]
    found = [(folder, (*_rainy_and_clean(folder), *_marked_videos(folder))) for folder in folders]
    sets = [PairSet(folder.resolve().name, pairs) for folder, pairs in found if pairs]
    if not sets:
        raise EvaluationError(
            f"no pairs are in {root}; expected folders that hold rainy/ and clean/, "
            f"or videos NAME.mp4 beside NAME{CLEAN_MARK}.mp4"
        )
    return sets


def _rainy_and_clean(folder: Path) -> Iterator[Pair]:
    if (folder / "rainy").is_dir() and (folder / "clean").is_dir():
        yield from _same_names(folder / "rainy", folder / "clean")


def _same_names(rainy: Path, clean: Path) -> Iterator[Pair]:
    for path in shown_in(rainy):
        if path.suffix.lower() in (*PICTURE_ENDINGS, *VIDEO_ENDINGS):
            if not (clean / path.name).is_file():
                raise EvaluationError(
                    f"{path.name} has no counterpart in {clean}; pairs carry the same name in both folders"
                )
            yield Pair(path.name, path, clean / path.name)


def _marked_videos(folder: Path) -> Iterator[Pair]:
    for clean in shown_in(folder):
        if clean.suffix.lower() in VIDEO_ENDINGS and clean.stem.endswith(CLEAN_MARK):
            rainy = clean.with_stem(clean.stem.removesuffix(CLEAN_MARK))
            if not rainy.is_file():
                raise EvaluationError(f"{clean.name} has no counterpart in {folder}; expected {rainy.name}")
            yield Pair(rainy.name, rainy, clean)
