"""What inputs stand for: files, folders, globs and manifests of this machine; URLs stand in test_places.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamderain.batch.spread.inputs import Item, items_of
from streamderain.errors import ConfigError, SourceError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in/a.mp4", "in/sub/b.wmv", "in/notes.txt", "c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["in"], ["a.mp4", "sub/b.wmv.mkv"]),
        (["in/*.mp4"], ["a.mp4"]),
        (["in", "c.mp4"], ["in/a.mp4", "in/sub/b.wmv.mkv", "c.mp4"]),
        (["in/a.mp4", "in/a.mp4"], ["a.mp4"]),
    ],
)
@pytest.mark.parametrize("out", ["out", "s3://bucket/out"])
def test_files_keep_their_place_wherever_they_go(folder: Path, inputs: list[str], names: list[str], out: str) -> None:
    assert [item.name for item in items_of(inputs, out)] == names


def test_a_manifest_of_csv_names_inputs_and_outputs(folder: Path) -> None:
    (folder / "all.csv").write_text("camera,input,output\nfront,in/a.mp4,front/a.mkv\nrear,in/sub/b.wmv,\n")
    found = items_of(["all.csv"], "out")
    assert found == [Item(str(folder / "in/a.mp4"), "front/a.mkv"), Item(str(folder / "in/sub/b.wmv"), "b.wmv.mkv")]


def test_a_manifest_of_jsonl_holds_objects_or_names(folder: Path) -> None:
    rows = [{"input": "s3://bucket/day/x.mp4"}, "c.mp4", {"input": "in/a.mp4", "output": "a/b.mp4"}]
    (folder / "all.jsonl").write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
    found = items_of(["all.jsonl"], "out")
    assert [item.name for item in found] == ["x.mp4", "c.mp4", "a/b.mp4"]
    assert found[0].source == "s3://bucket/day/x.mp4"


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("file,output\nin/a.mp4,\n", SourceError, "all.csv has no column input"),
        ("input,output\nin/a.mp4,../b.mp4\n", ConfigError, "all.csv sends a file to ../b.mp4"),
        ("input,output\nin/a.mp4,/b.mp4\n", ConfigError, "all.csv sends a file to /b.mp4"),
        ("input,output\nin/a.mp4,b.mp4\nc.mp4,b.mp4\n", ConfigError, "would both become b.mp4"),
    ],
)
def test_what_a_manifest_cannot_say_is_one_line(folder: Path, text: str, kind: type[Exception], reason: str) -> None:
    (folder / "all.csv").write_text(text)
    with pytest.raises(kind, match=reason):
        items_of(["all.csv"], "out")


def test_a_line_that_is_no_json_is_told_by_its_number(folder: Path) -> None:
    (folder / "all.jsonl").write_text('"c.mp4"\nc.mp4\n')
    with pytest.raises(SourceError, match="no JSON in line 2"):
        items_of(["all.jsonl"], "out")
    with pytest.raises(SourceError, match=r"none\.csv cannot be read as text"):
        items_of(["none.csv"], "out")
