"""What a worker does, wherever it is: it is given names and ranges, and gives back counts; frames stay with it."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import posixpath
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from streamderain.batch.spread.cutting import spans_at_keys
from streamderain.batch.spread.places import Place, local, version_of
from streamderain.batch.spread.tasks import Made, Report, Settings, Survey, Task
from streamderain.batch.warned import warnings_in_log
from streamderain.config import DerainConfig
from streamderain.engine.engine import load_network
from streamderain.errors import DifferenceError, SourceError, StreamderainError, TruncatedError, in_one_line
from streamderain.frames import Network
from streamderain.media.images import PICTURE_ENDINGS
from streamderain.media.partial import partial_of
from streamderain.media.parts import Part
from streamderain.media.url import redacted
from streamderain.parts.journal import is_whole
from streamderain.parts.making import Film, Span, make_part
from streamderain.run import derain, with_model

logger = logging.getLogger(__name__)

Beat = Callable[[], None]

_KNOWN = ("frames", "begin", "last", "end")
"""What of a part its file does not tell."""

_IN_ONE_GO = (".gif",)
"""Endings of what is encoded by looking at all of it."""


def run(task: Task, beat: Beat = lambda: None) -> Report:
    """Do what a task says, with a `beat` after each frame. What fails is told in the report; nothing is raised."""
    began, core_began = time.monotonic(), time.process_time()
    result, said = None, ""
    if task.settings.cores:
        torch.set_num_threads(task.settings.cores)
    with warnings_in_log("streamderain") as warnings:
        try:
            result = _KINDS[task.kind](task, beat)
        except (StreamderainError, OSError) as error:
            said = redacted(in_one_line(error))
        except Exception as error:  # a fault of ours in one file is no reason to leave the others
            logger.debug("%s", task.name, exc_info=True)
            said = redacted(f"unexpected {type(error).__name__}: {in_one_line(error)}")
    spent = (time.monotonic() - began, time.process_time() - core_began)
    return Report(result, said, tuple(warnings), *spent, f"{platform.node()}:{os.getpid()}")


def _survey(task: Task, beat: Beat) -> Survey:
    item, settings, known = task.item, task.settings, task.known
    mark = hashlib.sha256(f"{version_of(item.source)} {settings.mark}".encode()).hexdigest()[:16]
    there = Place(settings.out).size(item.name)
    is_known = known.get("mark") == mark
    if there is not None and is_known and there == known.get("bytes"):
        return Survey(mark, known["frames"], is_done=True)
    if there is not None and not settings.config.overwrite:
        return Survey(mark, is_taken=True)
    if is_known and "parts" in known:
        return Survey(mark, known["frames"], tuple(Span(*row) for row in known["parts"]), known["kind"])
    with local(item.source) as path:
        if path.suffix.lower() in PICTURE_ENDINGS or item.name.lower().endswith(_IN_ONE_GO):
            return Survey(mark, 1)
        frames, spans = spans_at_keys(path, settings.part_seconds)
        if len(spans) == 1:
            return Survey(mark, frames)
        return Survey(mark, frames, tuple(spans), _kind_of(path, item.name, settings))


def _kind_of(source: Path, name: str, settings: Settings) -> str:
    """The format of an output of that name, once it is known that it takes what `source` holds."""
    with (
        Place(settings.out).beside() as folder,
        Film(source, folder / posixpath.basename(name), settings.config) as film,
    ):
        return film.kind


def _whole(task: Task, beat: Beat) -> Made:
    def make(source: Path, output: Path) -> int:
        config = with_model(task.settings.config, source, output)
        return derain(source, output, config, lambda _: beat(), _network(replace(task.settings, config=config))).frames

    with local(task.item.source) as source:
        return _finished(task, lambda output: make(source, output))


def _finished(task: Task, make: Callable[[Path], int]) -> Made:
    """What `make` writes, under its name; of a source that ends early, what is whole is kept beside that."""
    place, name = Place(task.settings.out), task.item.name
    with place.beside() as folder:
        path = folder / posixpath.basename(name)
        try:
            frames = make(path)
        except StreamderainError as error:
            error.kept, left = None, partial_of(path)
            # What fails for another reason is made again.
            if isinstance(error, TruncatedError) and left.exists():
                kept = f"{posixpath.dirname(name)}/{left.name}".lstrip("/")
                place.publish(left, kept)
                error.kept = f"what is whole of it is kept in {kept}"
            raise
        size = path.stat().st_size
        place.publish(path, name)
    return Made(frames, size)


def _part(task: Task, beat: Beat) -> Made:
    assert task.survey
    assert task.part
    place, name = Place(task.settings.out), task.survey.name_of(task.part)
    with suppress(SourceError), _there(place, task.survey, task.part) as part:
        if is_whole(part):
            return Made(part.frames, kept=True)
    config, kind, network = task.settings.config, task.survey.kind, _network(task.settings)
    with local(task.item.source) as source, place.writing(name) as path:
        made = make_part(source, task.part, path, config, kind, network, lambda _: beat())
    # Of a part without these nothing is known, and it is made again.
    with place.writing(f"{name}.json") as path:
        path.write_text(json.dumps({fact: getattr(made, fact) for fact in _KNOWN}))
    return Made(made.frames)


@contextmanager
def _there(place: Place, survey: Survey, part: Span) -> Iterator[Part]:
    """A part that was made. Raises SourceError where it was not."""
    name = survey.name_of(part)
    with place.reading(f"{name}.json") as path:
        try:
            facts = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise SourceError(f"nothing is known of {name}: {error}") from error
    with place.reading(name) as path:
        yield Part(path, part.first, **{fact: facts[fact] for fact in _KNOWN})


def _join(task: Task, beat: Beat) -> Made:
    assert task.survey
    place, survey = Place(task.settings.out), task.survey
    with ExitStack() as stack:
        parts: list[Part] = []
        broken = []
        for span in survey.parts:
            try:
                parts.append(stack.enter_context(_there(place, survey, span)))
            except SourceError:
                broken.append(span)
            else:
                broken += [] if is_whole(parts[-1]) else [span]
        if broken:
            return Made(broken=tuple(broken))
        source = stack.enter_context(local(task.item.source))
        made = _finished(task, lambda output: _joined(source, output, _numbered(parts), task.settings.config))
    place.remove(survey.folder)
    return made


def _joined(source: Path, output: Path, parts: list[Part], config: DerainConfig) -> int:
    with Film(source, output, config) as film:
        film.join(parts)
    if film.sink.differences:
        raise DifferenceError(f"what was joined is not all that it should be: {film.sink.differences[0]}")
    return film.sink.frames


def _numbered(parts: Iterable[Part]) -> list[Part]:
    """The parts with the frames that there are counted: fewer than in the file where some could not be decoded."""
    numbered, first = [], 0
    for part in parts:
        numbered.append(replace(part, first=first))
        first += part.frames
    return numbered


_KINDS: dict[str, Callable[[Task, Beat], Survey | Made]] = {
    "survey": _survey,
    "whole": _whole,
    "part": _part,
    "join": _join,
}


def _network(settings: Settings) -> Network:
    config = settings.config
    return _loaded(config.model, settings.device or config.device, config.backend, config.precision, config.memory)


# One for videos and one for pictures.
@functools.lru_cache(maxsize=2)
def _loaded(model: str, device: str, backend: str, precision: str, memory: float) -> Network:
    """The network that all tasks of a process share."""
    return load_network(DerainConfig(model, device, backend, precision, memory))
