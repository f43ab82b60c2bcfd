"""A folder that fills up, looked at by a clock that is turned by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from streamderain.batch.watch import LOOK_SECONDS, watched


class Folder:
    """What happens between two looks, one after the other; then Ctrl-C."""

    def __init__(self, top: Path, *happens: Callable[[], object]) -> None:
        self.top, self.rests = top, 0
        self._happens = iter(happens)

    def rest(self, seconds: float) -> None:
        assert seconds == LOOK_SECONDS
        self.rests += 1
        try:
            next(self._happens)()
        except StopIteration:
            raise KeyboardInterrupt from None

    def taken(self) -> Iterator[tuple[str, int]]:
        """Each file that is taken, and how often the folder had rested by then."""
        try:
            for job in watched(self.top, self.top / "out", self.rest):
                yield job.source.relative_to(self.top).as_posix(), self.rests
        except KeyboardInterrupt:
            return


def grow(path: Path, by: str = "rain", at: int = 0) -> Callable[[], object]:
    """That adds to a file, the last time `at` a second."""

    def write() -> None:
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(by)
        os.utime(path, (at, at))

    return write


def nothing() -> None:
    pass


def test_a_file_is_taken_once_it_has_stopped_growing_and_never_twice(tmp_path: Path) -> None:
    a = tmp_path / "a.mp4"
    folder = Folder(tmp_path, grow(a), grow(a), grow(a), nothing, nothing, nothing)
    assert list(folder.taken()) == [("a.mp4", 4)]


def test_one_that_is_written_to_without_growing_is_not_done(tmp_path: Path) -> None:
    a = tmp_path / "a.mp4"
    folder = Folder(tmp_path, grow(a), grow(a, "", 1), grow(a, "", 2), nothing, nothing)
    assert list(folder.taken()) == [("a.mp4", 4)]


def test_what_is_there_already_is_taken_at_the_second_look_by_name_with_its_folder(tmp_path: Path) -> None:
    for name in ("b.mp4", "sub/a.mkv", "._b.mp4", "b.txt", "out/c.mp4"):
        grow(tmp_path / name)()
    assert list(Folder(tmp_path, nothing, nothing).taken()) == [("b.mp4", 1), ("sub/a.mkv", 1)]


def test_an_empty_file_is_not_begun_yet(tmp_path: Path) -> None:
    a = tmp_path / "a.mp4"
    folder = Folder(tmp_path, grow(a, ""), nothing, nothing, grow(a), nothing)
    assert list(folder.taken()) == [("a.mp4", 5)]


def test_one_that_goes_on_growing_is_taken_again_if_nothing_came_of_it(tmp_path: Path) -> None:
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    grow(tmp_path / "out" / "b.mp4")()
    folder = Folder(tmp_path, grow(a), grow(b), nothing, grow(a), grow(b), nothing, nothing)
    assert list(folder.taken()) == [("a.mp4", 2), ("b.mp4", 3), ("a.mp4", 5)]


def test_one_that_grows_or_goes_while_another_is_derained_waits(tmp_path: Path) -> None:
    for name in "abc":
        grow(tmp_path / f"{name}.mp4")()
    folder = Folder(tmp_path, nothing, nothing, nothing)
    taken = []
    for name, rests in folder.taken():
        taken.append((name, rests))
        if name == "a.mp4":
            grow(tmp_path / "b.mp4")()
            (tmp_path / "c.mp4").unlink()
    assert taken == [("a.mp4", 1), ("b.mp4", 3)]


def test_ctrl_c_comes_through(tmp_path: Path) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(islice(watched(tmp_path, tmp_path / "out", interrupt), 1))
