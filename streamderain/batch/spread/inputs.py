"""Files, folders, globs, manifests and URLs -> items, each an input and its place below the output; all by name."""

from __future__ import annotations

import csv
import json
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from streamderain.batch.jobs import ENDINGS, jobs_of, name_of_output
from streamderain.batch.spread.places import files_below, is_url, read_text
from streamderain.errors import ConfigError, SourceError
from streamderain.media.url import public

MANIFESTS = (".csv", ".jsonl")


@dataclass(frozen=True)
class Item:
    """A file, by its path or URL, and the `name`, with / between folders, of what becomes of it below the output."""

    source: str
    name: str


def items_of(inputs: Sequence[str], out: str) -> list[Item]:
    """What `inputs` stand for, in order. A CSV or JSONL file among them is a manifest, and read as one.

    Raises SourceError for what cannot be read or holds nothing, ConfigError where two outputs would have one name.
    """
    folder = Path(os.devnull) if is_url(out) else Path(out)
    local = [name for name in inputs if not is_url(name) and not _is_manifest(name)]
    items = [Item(str(job.source), _below(job.output, folder)) for job in jobs_of(local, folder)] if local else []
    for name in inputs:
        if _is_manifest(name):
            items += _listed(name, folder)
        elif is_url(name):
            items += [Item(url, name_of_output(place)) for url, place in _at(name)]
    _check(items)
    return list(dict.fromkeys(items))


def _below(output: Path, folder: Path) -> str:
    return output.relative_to(folder.absolute()).as_posix()


def _is_manifest(name: str) -> bool:
    return name.lower().endswith(MANIFESTS)


def _at(url: str) -> Iterator[tuple[str, str]]:
    """The videos and pictures at a URL, which may hold stars, with their places below it."""
    found = [each for each in files_below(url) if PurePosixPath(each[1]).suffix.lower() in ENDINGS]
    if not found:
        raise SourceError(f"{public(url)} holds no video or picture; name files, folders or globs")
    yield from found


def _listed(name: str, folder: Path) -> list[Item]:
    """The items of a manifest; those that name no output keep their place below what all of them have in common."""
    rows = list(_rows(name, read_text(name)))
    unnamed = [source for source, output in rows if output is None]
    local = [source for source in unnamed if not is_url(source)]
    places = {str(job.source): _below(job.output, folder) for job in jobs_of(local, folder)} if local else {}
    items = []
    for source, output in rows:
        whole = source if is_url(source) else os.path.abspath(source)
        place = output or places.get(whole) or name_of_output(posixpath.basename(source))
        if place.startswith("/") or ".." in PurePosixPath(place).parts:
            raise ConfigError(f"{name} sends a file to {place}; outputs are names below --out, such as a/b.mp4")
        items.append(Item(whole, place))
    return items


def _rows(name: str, text: str) -> Iterator[tuple[str, str | None]]:
    lines: Iterable[object] = csv.DictReader(text.splitlines())
    if name.lower().endswith(".jsonl"):
        lines = (_object(name, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    for row in lines:
        row = {"input": row} if isinstance(row, str) else row
        if not isinstance(row, dict) or not isinstance(source := row.get("input"), str) or not source:
            raise SourceError(f"{public(name)} has no column input; expected input, and output where it is to be named")
        yield source, row.get("output") or None


def _object(name: str, number: int, line: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise SourceError(f"{public(name)} is no JSON in line {number}: {error}") from error


def _check(items: Sequence[Item]) -> None:
    sources: dict[str, str] = {}
    for item in items:
        other = sources.setdefault(item.name, item.source)
        if other != item.source:
            raise ConfigError(
                f"{public(other)} and {public(item.source)} would both become {item.name}; name the outputs in a "
                "manifest, or take the folder above both"
            )
