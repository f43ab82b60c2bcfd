"""Which rainy file is set beside which clean one."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain.errors import EvaluationError
from streamderain.evaluation.pairs import find_sets


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_two_folders_are_one_set_of_pictures_and_videos(tmp_path: Path) -> None:
    for kind in ("rainy", "clean"):
        touch(tmp_path / "street" / kind / "b.mp4", tmp_path / "street" / kind / "a.PNG")
    touch(tmp_path / "street" / "rainy" / "notes.txt", tmp_path / "street" / "clean" / "more.png")
    (found,) = find_sets(tmp_path / "street" / "rainy", tmp_path / "street" / "clean")
    assert found.name == "street"
    assert [(pair.name, pair.is_picture) for pair in found.pairs] == [("a.PNG", True), ("b.mp4", False)]
    assert found.pairs[1].clean == tmp_path / "street" / "clean" / "b.mp4"


def test_two_files_are_a_pair(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "b.mp4")
    (found,) = find_sets(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert [(pair.rainy.name, pair.clean.name) for pair in found.pairs] == [("a.mp4", "b.mp4")]


def test_a_folder_alone_holds_sets_of_folders_and_of_marked_videos(tmp_path: Path) -> None:
    for kind in ("rainy", "clean", "published"):
        touch(tmp_path / "light" / kind / "1.png")
    touch(tmp_path / "clips" / "bridge.mp4", tmp_path / "clips" / "bridge-clean.mp4", tmp_path / "clips" / "alone.mp4")
    touch(tmp_path / "own.mkv", tmp_path / "own-clean.mkv", tmp_path / "empty" / "rainy" / "1.png")
    sets = {each.name: [pair.name for pair in each.pairs] for each in find_sets(tmp_path)}
    assert sets == {tmp_path.name: ["own.mkv"], "clips": ["bridge.mp4"], "light": ["1.png"]}
    (light,) = find_sets(tmp_path / "light")
    assert light.name == "light"


def test_what_does_not_match_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "set" / "rainy" / "1.png", tmp_path / "set" / "clean" / "2.png", tmp_path / "a.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="must both be folders, or both be files"):
        find_sets(tmp_path, tmp_path / "a.mp4")
    with pytest.raises(EvaluationError, match=r"1\.png has no counterpart in .*clean; pairs carry the same name"):
        find_sets(tmp_path / "set" / "rainy", tmp_path / "set" / "clean")
    with pytest.raises(EvaluationError, match="no picture or video is in"):
        find_sets(tmp_path / "empty", tmp_path / "set" / "clean")
    with pytest.raises(EvaluationError, match="is no folder of sets"):
        find_sets(tmp_path / "a.mp4")
    with pytest.raises(EvaluationError, match="no pairs are in"):
        find_sets(tmp_path / "empty")
    touch(tmp_path / "b-clean.mp4")
    with pytest.raises(EvaluationError, match=r"b-clean\.mp4 has no counterpart in .*; expected b\.mp4"):
        find_sets(tmp_path)


def test_hidden_files_need_no_counterpart(tmp_path: Path) -> None:
    for kind in ("rainy", "clean"):
        touch(tmp_path / "street" / kind / "a.png")
    touch(
        tmp_path / "street" / "rainy" / "._a.png", tmp_path / ".cache" / "rainy" / "b.png", tmp_path / "._a-clean.mp4"
    )
    (found,) = find_sets(tmp_path)
    assert [pair.name for pair in found.pairs] == ["a.png"]
