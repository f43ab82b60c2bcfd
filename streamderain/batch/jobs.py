"""Names of files, folders and globs -> jobs, each a file to derain and where it goes; nothing is opened here."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamderain.errors import ConfigError, SourceError
from streamderain.media.images import PICTURE_ENDINGS

_KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".flv", ".3gp", ".gif")
"""Endings of videos that are written as they came; Matroska takes what others hold."""

_READ = (".mpg", ".mpeg", ".vob", ".wmv", ".asf", ".ogv", ".mxf", ".dv", ".rm", ".rmvb", ".y4m", ".mjpeg", ".h264",
         ".hevc", ".m2v", ".mjpg", ".3g2", ".f4v", ".divx", ".apng")  # fmt: skip

ENDINGS = frozenset((*_KEPT, *_READ, *PICTURE_ENDINGS))
"""Of what is taken out of a folder; other files there are no business of ours."""


@dataclass(frozen=True)
class Job:
    """A file, and the file that it becomes."""

    source: Path
    output: Path


@dataclass(frozen=True)
class _Found:
    """A file, and the folder below which its place is kept."""

    path: Path
    root: Path


def is_pattern(name: str) -> bool:
    """Whether `name` is a glob, and no file or folder of that name."""
    return glob.has_magic(name) and "://" not in name and not os.path.exists(name)


def are_many(names: Sequence[str]) -> bool:
    """Whether these, of which the last is an output, are files that go into a folder."""
    *inputs, output = names
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
    several = len(inputs) > 1 and all(os.path.exists(name) or is_pattern(name) for name in inputs)
    return any(os.path.isdir(name) or is_pattern(name) for name in inputs) or is_folder or several


def read_list(lines: Iterable[str]) -> list[str]:
    """The names in a list, one a line; empty lines and those that begin with # are none."""
    return [line for line in (each.strip("\r\n") for each in lines) if line.strip() and not line.startswith("#")]


def jobs_of(names: Sequence[str], folder: Path) -> list[Job]:
    """What becomes of the files that `names` stand for, in `folder`: each keeps its place below the deepest folder that
    holds all of them. Every file comes once.

    Of folders, those files are taken that end like videos or pictures; hidden ones are not, nor what is in `folder`.
    Raises SourceError where nothing is found, and ConfigError where an output would be an input.
    """
    if any(os.path.isdir(name) and os.path.realpath(name) == os.path.realpath(folder) for name in names):
        raise ConfigError(f"{folder} is the folder that is read; name another to write to")
    found = [each for name in names for each in _found(name, folder)]
    if not found:
        raise SourceError(f"{', '.join(names) or 'the list'} holds no video or picture; name files, folders or globs")
    top = Path(os.path.commonpath([each.root for each in found]))
    jobs = {each.path: job_of(each.path, top, folder) for each in found}
    sources = {os.path.realpath(path) for path in jobs}
    for job in jobs.values():
        if os.path.realpath(job.output) in sources:
            raise ConfigError(
                f"{job.output} would be replaced, and is an input itself; name another folder to write to"
            )
    return list(jobs.values())


def job_of(path: Path, top: Path, folder: Path) -> Job:
    """What becomes of a file below `top`; one in a format that is only read goes into Matroska."""
    output = folder.absolute() / path.relative_to(top)
    return Job(path, output.with_name(name_of_output(output.name)))


def name_of_output(name: str) -> str:
    """What the file of this name, or place below a folder, is called when it is derained."""
    return name if name.lower().endswith((*_KEPT, *PICTURE_ENDINGS)) else f"{name}.mkv"


def _found(name: str, folder: Path) -> Iterator[_Found]:
    path = Path(os.path.abspath(name))
    if os.path.isdir(path):
        yield from (_Found(each, path) for each in files_in(path, folder))
    elif is_pattern(name):
        fixed = Path(os.path.abspath(_fixed_part(name)))
        for match in sorted(glob.glob(name, recursive=True)):
            whole = Path(os.path.abspath(match))
            if whole.is_file():
                yield _Found(whole, fixed)
            elif "**" not in name:
                yield from (_Found(each, fixed) for each in files_in(whole, folder))
    else:
        # One that is missing is told beside the others.
        yield _Found(path, path.parent)


def _fixed_part(pattern: str) -> str:
    """The folder in which a glob begins to look."""
    parts = Path(pattern).parts
    fixed = [part for number, part in enumerate(parts) if not glob.has_magic("".join(parts[: number + 1]))]
    return str(Path(*fixed)) if fixed else "."


def files_in(top: Path, but: Path) -> Iterator[Path]:
    """The videos and pictures in a folder and those in it, by name; not what is hidden, and nothing in `but`."""
    without = Path(os.path.abspath(but))
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name != without)
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS:
                yield here / name
