"""Items -> what came of each, as a generator: hands out tasks so that nobody waits, and notes what is done.

It knows no file and no network; both are with whoever runs the tasks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Literal, Protocol

from streamderain.batch.spread.inputs import Item
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.places import Place
from streamderain.batch.spread.tasks import Made, Report, Settings, Survey, Task
from streamderain.parts.making import Span

BROKEN_TWICE = 2
"""How often a part is made again that is broken when it is to be joined."""

Result = Literal["derained", "done before", "exists", "failed"]


class Workers(Protocol):
    """Whoever runs tasks. `room` is how many may be under way so that nobody waits for more; it may change."""

    @property
    def room(self) -> int:
        """See above."""

    def start(self, task: Task) -> None:
        """Have a task run, now or when there is room."""

    def ended(self) -> Sequence[tuple[Task, Report]]:
        """Tasks that have ended since, each with its report; waits a while for one. What a process that died was at is
        tried again as often as is wanted, and then reported.
        """


@dataclass(frozen=True)
class Outcome:
    """What came of an item: `said` is why there is nothing, in one line. `seconds` are those of all of its tasks."""

    item: Item
    result: Result
    frames: int = 0
    seconds: float = 0.0
    said: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """How far a run is: `files` of all `of_files`, and `frames` of about so many `expected`; what was there before
    counts as done, but not as `made`, in so many `seconds`.
    """

    files: int
    of_files: int
    frames: int
    expected: int | None
    made: int
    seconds: float

    @property
    def left_seconds(self) -> float | None:
        """How long the rest takes if it goes on like this; None before there is a rate."""
        if not self.made or self.expected is None:
            return None
        return max(0, self.expected - self.frames) * self.seconds / self.made


@dataclass(eq=False)
class _File:
    """How an item stands: parts that are `open`, at work, or `there` with so many frames."""

    item: Item
    known: dict[str, Any] = field(default_factory=dict)
    survey: Survey | None = None
    open: deque[Span] = field(default_factory=deque)
    there: dict[Span, int] = field(default_factory=dict)
    broken: int = 0
    seconds: float = 0.0
    warnings: dict[str, None] = field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def frames(self) -> int:
        """How many are done."""
        return self.outcome.frames if self.outcome else sum(self.there.values())

    @property
    def length(self) -> int:
        """How many there will be in the end, 0 where that is not known."""
        return self.frames if self.outcome else self.survey.frames if self.survey else 0


class Driver:
    """A run over `items`; `standing` tells how far it is."""

    def __init__(self, items: Sequence[Item], settings: Settings, workers: Workers, journal: Journal) -> None:
        self._settings, self._workers, self._journal = settings, workers, journal
        known = _folded(journal.read())
        self._files = {item.name: _File(item, known.get(item.name, {})) for item in items}
        self._unseen = deque(self._files.values())
        self._seen: deque[_File] = deque()
        self._under_way, self._made, self._began = 0, 0, time.monotonic()

    def run(self, report: Callable[[Standing], None] = lambda standing: None) -> Iterator[Outcome]:
        """Every item's outcome, as it comes. Raises nothing for what fails."""
        Place(self._settings.out).sweep()
        while True:
            while self._under_way < self._workers.room and (task := self._next()):
                self._under_way += 1
                self._workers.start(task)
            if not self._under_way:
                break
            for task, told in self._workers.ended():
                self._under_way -= 1
                file = self._files[task.item.name]
                was_open = file.outcome is None
                self._take(file, task, told)
                if was_open and file.outcome:
                    yield file.outcome
            report(self.standing)
        Place(self._settings.out).sweep()

    @property
    def standing(self) -> Standing:
        """How far it is. Files whose length is not known yet are taken to be as long as the others."""
        files = self._files.values()
        known = [file.length for file in files if file.length]
        unknown = sum(not file.length and file.outcome is None for file in files)
        expected = round(sum(known) * (1 + unknown / len(known))) if known else None
        return Standing(
            sum(file.outcome is not None for file in files),
            len(files),
            sum(file.frames for file in files),
            expected,
            self._made,
            time.monotonic() - self._began,
        )

    def _next(self) -> Task | None:
        """What is to be done next: parts of files that were begun, before another is begun."""
        while self._seen and not (self._seen[0].open and self._seen[0].outcome is None):
            self._seen.popleft()
        if self._seen:
            file = self._seen[0]
            return self._task("part", file, part=file.open.popleft())
        return self._task("survey", self._unseen.popleft()) if self._unseen else None

    def _task(self, kind: Literal["survey", "whole", "part", "join"], file: _File, part: Span | None = None) -> Task:
        known = file.known if kind == "survey" else {}
        return Task(kind, file.item, self._settings, file.survey, part, known)

    def _take(self, file: _File, task: Task, told: Report) -> None:
        file.seconds += told.seconds
        file.warnings |= dict.fromkeys(told.warnings)
        if file.outcome:
            return  # it has failed elsewhere
        if told.result is None:
            said = f"{told.said} ({task.name})" if task.part else told.said
            self._end(file, "failed", told, said=said)
        elif isinstance(told.result, Survey):
            self._surveyed(file, told.result, told)
        elif task.part:
            self._parted(file, task.part, told.result, told)
        elif told.result.broken:
            self._mend(file, told.result.broken, told)
        else:
            self._made += 0 if task.kind == "join" else told.result.frames
            self._end(file, "derained", told, told.result.frames, bytes=told.result.bytes)

    def _surveyed(self, file: _File, survey: Survey, told: Report) -> None:
        file.survey = survey
        if survey.is_done:
            self._end(file, "done before", told, survey.frames)
        elif survey.is_taken:
            self._end(file, "exists", told, said=f"{file.item.name} exists; --overwrite replaces it")
        elif survey.parts:
            self._note(
                file,
                "surveyed",
                told,
                frames=survey.frames,
                kind=survey.kind,
                parts=[astuple(part) for part in survey.parts],
            )
            file.open.extend(survey.parts)
            self._seen.append(file)
        else:
            self._start(file, "whole")

    def _parted(self, file: _File, part: Span, made: Made, told: Report) -> None:
        assert file.survey
        file.there[part] = made.frames
        if not made.kept:
            self._made += made.frames
            self._note(file, "part", told, part=part.first, frames=made.frames)
        if len(file.there) == len(file.survey.parts):
            self._start(file, "join")

    def _start(self, file: _File, kind: Literal["whole", "join"]) -> None:
        """Before all that waits, so that files are finished one by one."""
        self._under_way += 1
        self._workers.start(self._task(kind, file))

    def _mend(self, file: _File, broken: Sequence[Span], told: Report) -> None:
        file.broken += 1
        if file.broken > BROKEN_TWICE:
            self._end(file, "failed", told, said=f"its part from frame {broken[0].first} does not stay whole on disk")
            return
        self._note(file, "broken", told, parts=[part.first for part in broken])
        for part in broken:
            del file.there[part]
        file.open.extend(broken)
        self._seen.appendleft(file)

    def _end(self, file: _File, result: Result, told: Report, frames: int = 0, said: str = "", **facts: Any) -> None:
        file.outcome = Outcome(file.item, result, frames, file.seconds, said, tuple(file.warnings))
        if result in ("derained", "failed"):
            more = {"said": said} if said else {"frames": frames, **facts}
            self._note(file, "done" if result == "derained" else "failed", told, **more)

    def _note(self, file: _File, what: str, told: Report, **facts: Any) -> None:
        mark = {"mark": file.survey.mark} if file.survey else {}
        spent = {"seconds": round(told.seconds, 3), "core_seconds": round(told.core_seconds, 3), "where": told.where}
        self._journal.note(file.item.name, what, **mark, **facts, **spent)


def _folded(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is known of each file: its last survey or its end, whichever came later."""
    known: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.get("what") in ("surveyed", "done") and isinstance(record.get("file"), str):
            known[record["file"]] = record
    return known
