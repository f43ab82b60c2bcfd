"""How far a run says that it is, over all files, whatever becomes of them; by a clock that the workers move."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain.batch.spread import driver
from streamderain.batch.spread.driver import Driver, Standing
from streamderain.batch.spread.inputs import Item
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.tasks import Made, Report, Settings, Survey, Task
from streamderain.parts.making import Span
from tests.batch.spread.here import CONFIG, Here

PARTS = (Span(0), Span(100, 100))
SURVEYS = {
    "cut": Survey("1", 200, PARTS, "mp4"),
    "short": Survey("2", 50),
    "untold": Survey("3", 0),
    "broken": Survey("4", 400),
    "taken": Survey("5", is_taken=True),
}
FRAMES = {"short": 50, "untold": 70}


def standings(folder: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Standing]:
    """Those of a run over files of these names, one task after the other; a frame takes a tenth of a second."""
    now = [0.0]
    monkeypatch.setattr(driver.time, "monotonic", lambda: now[0])

    def do(task: Task) -> Report:
        if task.kind == "survey":
            return Report(SURVEYS[task.item.name])
        if task.item.name == "broken":
            return Report(None, "it is broken")
        frames = 200 if task.kind == "join" else 100 if task.part else FRAMES[task.item.name]
        now[0] += 0 if task.kind == "join" else frames / 10
        return Report(Made(frames))

    told: list[Standing] = []
    settings = Settings(str(folder / "out"), CONFIG, 60)
    with Journal(folder / "journal.jsonl") as journal:
        list(Driver([Item(name, name) for name in names], settings, Here(do, room=1), journal).run(told.append))
    return told


def test_what_is_left_is_told_by_the_frames_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = standings(tmp_path, ["cut", "short"], monkeypatch)
    assert [(each.files, each.frames, each.expected, each.left_seconds) for each in told] == [
        (0, 0, 400, None),  # the other is taken to be as long
        (0, 100, 400, 30),
        (0, 200, 400, 20),
        (1, 200, 400, 20),
        (1, 200, 250, 5),
        (2, 250, 250, 0),
    ]


@pytest.mark.parametrize("name", ["untold", "broken", "taken"])
def test_files_of_unknown_length_and_those_that_fail_leave_nothing_in_the_end(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *others, last = standings(tmp_path, ["short", name, "short"], monkeypatch)
    assert (last.files, last.expected, last.left_seconds) == (2, last.frames, 0)
    assert all(each.expected is None or each.expected >= each.frames for each in others)


def test_nothing_is_told_before_anything_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = standings(tmp_path, ["untold", "short"], monkeypatch)
    assert (first.expected, first.left_seconds) == (None, None)
