"""One network for many files, and what becomes of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamderain.batch.jobs import Job, jobs_of
from streamderain.batch.many import derain_many
from streamderain.carry import Progress
from streamderain.config import DerainConfig
from streamderain.frames import Network
from streamderain.media.images import write_image
from streamderain.media.source import open_source

CONFIG = DerainConfig(preset="ultrafast", blend=0.0)


class Still:
    """A network that changes nothing, and fails in files where it is told to."""

    device, past, future = torch.device("cpu"), 0, 0
    fault: Exception | None = None

    def restore(self, windows: Tensor) -> Tensor:
        if self.fault:
            raise self.fault
        return windows[:, 0]


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Two good files, with a bad one between them."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/c.mp4"):
        (tmp_path / "in" / name).write_bytes(clip.read_bytes())
    (tmp_path / "in" / "b.mp4").write_text("rain")
    return tmp_path


def jobs(folder: Path) -> list[Job]:
    return jobs_of([str(folder / "in")], folder / "out")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[DerainConfig]:
    """What networks were loaded for, each of which changes nothing."""
    asked: list[DerainConfig] = []

    def load(config: DerainConfig) -> Network:
        asked.append(config)
        return Still()

    monkeypatch.setattr("streamderain.batch.many.load_network", load)
    return asked


def test_a_bad_file_is_told_and_passed_and_the_network_is_loaded_once(folder: Path, loaded: list[DerainConfig]) -> None:
    outcomes = list(derain_many(jobs(folder), CONFIG))
    assert [(each.job.source.name, each.result, each.frames) for each in outcomes] == [
        ("a.mp4", "derained", 12),
        ("b.mp4", "failed", 0),
        ("c.mp4", "derained", 12),
    ]
    assert "b.mp4 cannot be opened as a video" in outcomes[1].said
    assert loaded == [CONFIG]
    with open_source(folder / "out" / "sub" / "c.mp4") as source:
        assert sum(1 for _ in source.frames()) == 12


def test_pictures_among_videos_have_a_network_of_their_own(folder: Path, loaded: list[DerainConfig]) -> None:
    for name in ("a2.png", "sub/d.png"):
        write_image(folder / "in" / name, torch.zeros(3, 16, 16, dtype=torch.uint8))
    outcomes = derain_many(jobs(folder), CONFIG)
    assert [(each.job.source.name, each.result) for each in outcomes] == [
        ("a.mp4", "derained"),
        ("a2.png", "derained"),
        ("b.mp4", "failed"),
        ("c.mp4", "derained"),
        ("d.png", "derained"),
    ]
    assert [each.model for each in loaded] == ["default", "picture"]


def test_what_exists_is_skipped_and_no_network_is_loaded_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamderain.batch.many.load_network", lambda config: pytest.fail("a network is loaded"))
    (folder / "out").mkdir()
    (folder / "out" / "a.mp4").write_text("precious")
    (outcome,) = derain_many(jobs(folder)[:1], CONFIG)
    assert (outcome.result, (folder / "out" / "a.mp4").read_text()) == ("skipped", "precious")
    assert outcome.said.endswith("a.mp4 exists; --overwrite replaces it")


def test_overwrite_replaces_what_exists(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.mp4").write_text("worn")
    config = DerainConfig(preset="ultrafast", blend=0.0, overwrite=True)
    (outcome,) = derain_many(jobs(folder)[:1], config, network=Still())
    assert (outcome.result, outcome.frames) == ("derained", 12)


def test_what_an_interrupted_run_left_is_a_failure_of_that_file_alone(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.partial.mp4").write_text("hours of work")
    left, _, other = derain_many(jobs(folder), CONFIG, network=Still())
    assert (left.result, other.result) == ("failed", "derained")
    assert "a.partial.mp4 is what an earlier run left; move it away, or --overwrite replaces it" in left.said
    assert (folder / "out" / "a.partial.mp4").read_text() == "hours of work"


def test_a_fault_of_ours_in_one_file_does_not_end_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opens(name: Path, *options: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd")

    monkeypatch.setattr("streamderain.run.open_source", opens)
    outcomes = list(derain_many(jobs(folder), CONFIG, network=Still()))
    assert [each.result for each in outcomes] == ["failed"] * 3
    assert outcomes[0].said.startswith("unexpected UnicodeDecodeError: 'utf-8' codec can't decode")


def test_a_network_that_fails_in_one_file_serves_the_next(folder: Path) -> None:
    network = Still()
    network.fault = RuntimeError("bad luck")
    results = []
    for outcome in derain_many(jobs(folder), CONFIG, network=network):
        results.append((outcome.result, "bad luck" in outcome.said))
        network.fault = None
    assert results == [("failed", True), ("failed", False), ("derained", False)]


def test_ctrl_c_ends_it_with_the_file_that_it_came_in(folder: Path) -> None:
    def stop(job: Job, progress: Progress) -> None:
        raise KeyboardInterrupt

    outcomes = list(derain_many(jobs(folder), CONFIG, stop, Still()))
    assert [each.result for each in outcomes] == ["stopped"]
    assert "frames are kept in" in outcomes[0].said
