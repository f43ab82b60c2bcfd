"""A run that was ended goes on, and what comes out is what one without a break makes."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from streamderain.batch.jobs import Job
from streamderain.batch.many import derain_many
from streamderain.config import DerainConfig
from streamderain.errors import ConfigError, SinkError, SourceError, Stopped, StreamderainError, TruncatedError
from streamderain.media.parts import PartSink
from streamderain.parts import resume
from streamderain.parts.journal import Journal, known_again_by
from streamderain.parts.making import Film
from streamderain.run import derain
from tests.media.conftest import Studio
from tests.media.test_parts import streams
from tests.media.test_sink import sound
from tests.parts.test_making import Wide

CONFIG = DerainConfig(encoder="ffv1", crf=None, blend=0.0, resume=True)


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A place to make clips in; parts are of five frames."""
    monkeypatch.setattr(resume, "PART_FRAMES", 5)
    return Studio(tmp_path)


class Ending(Wide):
    """A network that ends the run at its n-th frame."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self._at, self._error = at, error

    def restore(self, windows: Any) -> Any:
        clean = super().restore(windows)
        if self.frames >= self._at:
            raise self._error
        return clean


Ending.__qualname__ = Wide.__qualname__  # by which it is known again


class Other(Wide):
    """Another network."""


def same(studio: Studio, output: Path) -> None:
    """Assert that it is whole.mkv, but for what is made up at random in each file."""
    studio.unchanged(studio.folder / "whole.mkv", output)
    assert streams(studio.folder / "whole.mkv") == streams(output)


def ended(studio: Studio, source: Path, at: int = 13, error: BaseException | None = None) -> StreamderainError:
    """A run into out.mkv that ends in the middle."""
    with pytest.raises(StreamderainError) as raised:
        derain(source, studio.folder / "out.mkv", CONFIG, network=Ending(at, error or Stopped("stopped")))
    return raised.value


def test_what_goes_on_is_what_one_run_makes(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip(pts=range(22), passengers=[sound(seconds=0.8)])
    whole = derain(source, studio.folder / "whole.mkv", CONFIG, network=Wide())
    error = ended(studio, source)
    assert str(error).endswith("5 frames are kept, and --resume goes on behind them")
    assert studio.files() == {"in.mp4", "whole.mkv", ".out.mkv.parts"}
    network, reports = Wide(), []
    done = derain(source, studio.folder / "out.mkv", CONFIG, reports.append, network)
    same(studio, studio.folder / "out.mkv")
    assert (done.frames, done.before, whole.frames, whole.before) == (22, 5, 22, 0)
    assert [report.frames for report in reports] == list(range(6, 23))
    # What is kept is not made again, but for the two frames before it that the network looks at.
    assert network.frames == (2 + 5 + 1) + (2 + 5 + 1) + (2 + 5 + 1) + (2 + 2)
    assert studio.files() == {"in.mp4", "whole.mkv", "out.mkv"}
    assert caplog.messages == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault"), SinkError("the disk is full")])
def test_whatever_ends_it(studio: Studio, error: BaseException) -> None:
    source = studio.clip(pts=range(12))
    assert "5 frames are kept" in str(ended(studio, source, 13, error))
    derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())
    derain(source, studio.folder / "whole.mkv", CONFIG, network=Wide())
    same(studio, studio.folder / "out.mkv")


def test_a_full_disk_keeps_what_is_closed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    source = studio.clip(pts=range(12))
    written = 0
    mux = PartSink._mux

    def full(sink: PartSink, packets: Any) -> None:
        nonlocal written
        written += len(packets)
        if written > 7:
            raise av.error.OSError(errno.ENOSPC, "No space left on device")
        mux(sink, packets)

    monkeypatch.setattr(PartSink, "_mux", full)
    with pytest.raises(StreamderainError, match=r"5 frames are kept, and --resume goes on behind them"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())
    monkeypatch.setattr(PartSink, "_mux", mux)
    names = sorted(path.name for path in (studio.folder / ".out.mkv.parts").iterdir())
    assert names == ["000000000.part", "journal.jsonl"]
    assert derain(source, studio.folder / "out.mkv", CONFIG, network=Wide()).before == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strength": 0.5}, "strength was 1.0, and is 0.5"),
        ({"neighbours": "none"}, "neighbours was auto, and is none"),
        ({"encoder": "libx264", "crf": 20}, "crf was None, and is 20"),
        ({"batch": 3}, r"batch was \d, and is 3"),
    ],
)
def test_other_settings_are_refused(studio: Studio, change: dict[str, Any], said: str) -> None:
    source = studio.clip(pts=range(12))
    ended(studio, source)
    other = dataclasses.replace(CONFIG, **change)
    with pytest.raises(
        SinkError, match=rf"out.mkv was begun otherwise: {said}; go on with what it was, or --overwrite"
    ):
        derain(source, studio.folder / "out.mkv", other, network=Wide())
    assert (studio.folder / ".out.mkv.parts" / "000000000.part").exists()


def test_another_input_or_network_is_refused(studio: Studio) -> None:
    source = studio.clip(pts=range(12))
    ended(studio, source)
    with pytest.raises(SinkError, match=r"begun otherwise: the network was Wide, and is Other"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Other())
    os.utime(source, ns=(1, 1))
    with pytest.raises(SinkError, match=r"begun otherwise: the input is another"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Ending(99, Stopped()))


def test_overwrite_begins_anew(studio: Studio) -> None:
    source = studio.clip(pts=range(12))
    ended(studio, source)
    anew = dataclasses.replace(CONFIG, overwrite=True, strength=0.5)
    assert derain(source, studio.folder / "out.mkv", anew, network=Other()).before == 0
    assert studio.files() == {"in.mp4", "out.mkv"}


def test_what_tells_an_input_from_another(tmp_path: Path) -> None:
    path = tmp_path / "in"
    content = bytearray(5 << 20)
    seen = set()
    for place in (0, 10, len(content) // 2 + 5, len(content) - 1):
        content[place] = 1
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
        seen.add(known_again_by(path))
    assert len(seen) == 4


def test_a_part_that_is_damaged_is_made_again(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    source = studio.clip(pts=range(22))
    ended(studio, source, 22)
    part = studio.folder / ".out.mkv.parts" / "000000005.part"
    os.truncate(part, part.stat().st_size // 2)
    with caplog.at_level(logging.WARNING):
        assert derain(source, studio.folder / "out.mkv", CONFIG, network=Wide()).before == 5
    assert "000000005.part is not whole any more; what is from frame 5 on is made again" in caplog.text
    derain(source, studio.folder / "whole.mkv", CONFIG, network=Wide())
    same(studio, studio.folder / "out.mkv")


def test_a_journal_that_cannot_be_read_is_told(studio: Studio) -> None:
    source = studio.clip(pts=range(12))
    ended(studio, source)
    (studio.folder / ".out.mkv.parts" / "journal.jsonl").write_text("{nonsense")
    with pytest.raises(SinkError, match=r"journal.jsonl cannot be read; --overwrite begins anew"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())


def test_a_run_that_ends_while_it_joins_only_joins_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    source = studio.clip(pts=range(12))
    join = Film.join

    def ends(film: Film, *given: Any) -> None:
        raise SinkError("the disk is full")

    monkeypatch.setattr(Film, "join", ends)
    with pytest.raises(SinkError, match=r"the disk is full; 12 frames are kept"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())
    monkeypatch.setattr(Film, "join", join)
    network = Wide()
    done = derain(source, studio.folder / "out.mkv", CONFIG, network=network)
    assert (network.frames, done.frames, done.before) == (0, 12, 12)
    assert done.frames_per_second == 0
    assert studio.files() == {"in.mp4", "out.mkv"}


def test_what_a_run_leaves_that_ends_right_behind_its_output_goes(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = studio.clip(pts=range(12))
    remove = Journal.remove
    monkeypatch.setattr(Journal, "remove", lambda journal: next(journal.folder.glob("*.part")).unlink())
    derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())
    monkeypatch.setattr(Journal, "remove", remove)
    assert ".out.mkv.parts" in studio.files()
    made = (studio.folder / "out.mkv").read_bytes()
    # An MP4 is written anew in the end; between that and its removal there are both.
    (studio.folder / "out.partial.mkv").write_bytes(b"what it was written from")
    assert derain(source, studio.folder / "out.mkv", CONFIG, network=Wide()).before == 12
    assert studio.files() == {"in.mp4", "out.mkv"}
    assert (studio.folder / "out.mkv").read_bytes() == made
    with pytest.raises(SinkError, match=r"out.mkv exists; --overwrite replaces it"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())


def test_a_source_that_breaks_keeps_what_is_whole_and_nothing_else(studio: Studio) -> None:
    source = studio.clip("in.mkv", pts=range(100), passengers=[sound(seconds=4)])
    os.truncate(source, source.stat().st_size // 2)
    for _ in range(2):
        with pytest.raises(TruncatedError, match=r"the first \d+ frames are kept in \S*out.partial.mkv"):
            derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())
        assert studio.files() == {"in.mkv", "out.partial.mkv"}
        (studio.folder / "out.partial.mkv").unlink()


def test_two_runs_into_one_output(studio: Studio) -> None:
    source = studio.clip(pts=range(12))
    film = Film(source, studio.folder / "out.mkv", CONFIG)
    with film, pytest.raises(SinkError, match="is being written by another run"):
        derain(source, studio.folder / "out.mkv", CONFIG, network=Wide())


def test_many_files_skip_what_is_done_and_go_on_with_what_was_begun(studio: Studio) -> None:
    sources = [studio.clip(f"{name}.mkv", pts=range(12)) for name in ("a", "b", "c")]
    jobs = [Job(source, studio.folder / "out" / source.name) for source in sources]
    first = list(derain_many(jobs, CONFIG, network=Ending(16 + 13, Stopped("stopped"))))
    assert [outcome.result for outcome in first] == ["derained", "stopped"]
    network = Wide()
    again = list(derain_many(jobs, CONFIG, network=Ending(10**6, Stopped("stopped"))))
    assert [outcome.result for outcome in again] == ["skipped", "derained", "derained"]
    assert {path.name for path in (studio.folder / "out").iterdir()} == {"a.mkv", "b.mkv", "c.mkv"}
    derain(sources[1], studio.folder / "whole.mkv", CONFIG, network=network)
    same(studio, studio.folder / "out" / "b.mkv")


@pytest.mark.parametrize("name", resume.REFUSED)
def test_what_does_not_go_with_parts(studio: Studio, name: str) -> None:
    value = {"start": "0.1", "end": "0.2", "compare": Path("x.mp4")}.get(name, True)
    config = dataclasses.replace(CONFIG, **{name: value})
    with pytest.raises(ConfigError, match=f"resume and {name} are both set"):
        derain(studio.clip(), studio.folder / "out.mkv", config, network=Wide())


def test_what_is_no_video_file_is_refused(studio: Studio) -> None:
    with pytest.raises(SourceError, match="is no video file, and only those can be gone on with"):
        derain(studio.folder, studio.folder / "out.mkv", CONFIG, network=Wide())
    with pytest.raises(SinkError, match="is no video file, and only those are made in parts"):
        derain(studio.clip(), studio.folder / "out_%03d.png", CONFIG, network=Wide())


def test_every_setting_is_known_to_show_or_not() -> None:
    known = [*resume.SHOWING, *resume.BY_THE_NETWORK, *resume.SILENT, *resume.REFUSED]
    assert sorted(known) == sorted(field.name for field in dataclasses.fields(DerainConfig))


def test_names_of_any_length(tmp_path: Path) -> None:
    folder = Journal(tmp_path / f"{'ä' * 120}.mkv").folder
    assert len(os.fsencode(folder.name)) <= 255
    assert folder.name.startswith(".")


Kill = Callable[..., dict[str, int]]


@pytest.fixture
def kill(tmp_path: Path) -> Kill:
    """Runs `tests.parts.kills` on a clip of 17 frames."""

    def run(*options: str, timeout: int = 300) -> dict[str, int]:
        source = Studio(tmp_path).clip(pts=range(17), passengers=[sound(seconds=0.6)])
        command = [sys.executable, "-m", "tests.parts.kills", str(source), str(tmp_path / "films"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout)
        counts: dict[str, int] = json.loads(done.stdout)
        return counts

    return run


def test_kill_9_in_the_middle_of_a_part_of_the_journal_and_of_the_join(kill: Kill) -> None:
    assert kill("--at", "9", "37", "120").items() >= {"films": 3, "equal": 3, "kills": 3}.items()


@pytest.mark.slow
def test_kill_9_anywhere(kill: Kill) -> None:
    counts = kill("--kills", "40", timeout=1800)
    assert counts["equal"] == 40
    assert counts["kills"] >= 20
