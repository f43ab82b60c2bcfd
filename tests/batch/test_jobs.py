"""Which files are meant, and where each goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamderain.batch.jobs import are_many, jobs_of, read_list
from streamderain.errors import ConfigError, SourceError

FILES = (
    "a.mp4",
    "b.MOV",
    "notes.txt",
    "._a.mp4",
    ".hidden/c.mp4",
    "sub/a.mp4",
    "sub/deep/d.wmv",
    "sub/e[1].mkv",
    "p.png",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `in` with files, from beside which names are given."""
    for name in FILES:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.mp4").write_text("another")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(here: Path, *names: str, folder: str = "out") -> dict[str, str]:
    """Inputs and outputs of the jobs, both as told from `here`, with slashes."""
    jobs = jobs_of(names, Path(folder))
    return {job.source.relative_to(here).as_posix(): job.output.relative_to(here).as_posix() for job in jobs}


def test_a_folder_keeps_its_tree_without_what_is_hidden_or_no_video(here: Path) -> None:
    assert planned(here, "in") == {
        "in/a.mp4": "out/a.mp4",
        "in/b.MOV": "out/b.MOV",
        "in/p.png": "out/p.png",
        "in/sub/a.mp4": "out/sub/a.mp4",
        "in/sub/deep/d.wmv": "out/sub/deep/d.wmv.mkv",
        "in/sub/e[1].mkv": "out/sub/e[1].mkv",
    }


def test_two_folders_keep_their_names(here: Path) -> None:
    found = planned(here, "in/sub", "other")
    assert found["in/sub/a.mp4"] == "out/in/sub/a.mp4"
    assert found["other/a.mp4"] == "out/other/a.mp4"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*.mp4", {"in/a.mp4": "out/a.mp4"}),
        ("in/**/*.mp4", {"in/a.mp4": "out/a.mp4", "in/sub/a.mp4": "out/sub/a.mp4"}),
        ("in/s*/a.mp4", {"in/sub/a.mp4": "out/sub/a.mp4"}),
        ("in/sub/e[1].mkv", {"in/sub/e[1].mkv": "out/e[1].mkv"}),
        ("in/sub/d*", {"in/sub/deep/d.wmv": "out/deep/d.wmv.mkv"}),
    ],
)
def test_globs_keep_what_lies_below_their_fixed_part(here: Path, pattern: str, found: dict[str, str]) -> None:
    assert planned(here, pattern) == found


def test_files_are_taken_as_they_are_named_once_and_below_what_holds_them_all(here: Path) -> None:
    assert planned(here, "in/a.mp4", "in/sub/a.mp4", "in/notes.txt", "in/a.mp4", "in/none.mp4") == {
        "in/a.mp4": "out/a.mp4",
        "in/sub/a.mp4": "out/sub/a.mp4",
        "in/notes.txt": "out/notes.txt.mkv",
        "in/none.mp4": "out/none.mp4",
    }
    assert planned(here, "in/._a.mp4") == {"in/._a.mp4": "out/._a.mp4"}


def test_an_output_folder_inside_the_input_is_not_read(here: Path) -> None:
    (here / "in" / "out").mkdir()
    (here / "in" / "out" / "a.mp4").write_text("derained before")
    assert "in/out/a.mp4" not in planned(here, "in", folder="in/out")


@pytest.mark.parametrize(("names", "folder"), [(["in"], "in"), (["in/a.mp4"], "in"), (["in", "other/a.mp4"], ".")])
def test_no_input_is_ever_an_output(here: Path, names: list[str], folder: str) -> None:
    with pytest.raises(ConfigError, match=r"is the folder that is read|is an input itself"):
        jobs_of(names, Path(folder))


def test_an_input_is_known_by_another_name_too(here: Path) -> None:
    os.symlink(here / "in", here / "link")
    with pytest.raises(ConfigError, match="is an input itself"):
        jobs_of(["in/a.mp4"], Path("link"))


def test_nothing_found_is_said(here: Path) -> None:
    with pytest.raises(SourceError, match=r"none\*\.mp4 holds no video or picture"):
        jobs_of(["none*.mp4"], Path("out"))


def test_a_list_has_a_name_on_each_line() -> None:
    assert read_list(["# mine\n", "a b.mp4\r\n", "\n", " c.mp4\n"]) == ["a b.mp4", " c.mp4"]


@pytest.mark.parametrize(
    ("names", "many"),
    [
        (["in/a.mp4", "out.mp4"], False),
        (["in/a.mp4", "out/"], True),
        (["in/a.mp4", "other"], True),
        (["in", "out"], True),
        (["in/*.mp4", "out"], True),
        (["in/a.mp4", "in/b.MOV", "out"], True),
        (["in/a.mp4", "x.mp4", "y.mp4"], False),
        (["in/sub/e[1].mkv", "out.mkv"], False),
        (["frame_%04d.png", "out.mp4"], False),
        (["none.mp4", "out.mp4"], False),
    ],
)
def test_what_means_many(here: Path, names: list[str], many: bool) -> None:
    assert are_many(names) is many
