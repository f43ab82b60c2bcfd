"""What a journal says outlives whatever ends its run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamderain.batch.spread.journal import Journal
from streamderain.errors import ConfigError, SinkError


def whats(path: Path) -> list[str]:
    with Journal(path) as journal:
        return [record["what"] for record in journal.read()]


def test_another_run_goes_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "journal.jsonl"
    with Journal(path) as journal:
        assert journal.read() == []
        journal.note("a.mp4", "done", frames=12)
        (record,) = journal.read()
    assert (record["file"], record["what"], record["frames"]) == ("a.mp4", "done", 12)
    with Journal(path) as journal:
        journal.note("b.mp4", "failed")
    assert whats(path) == ["done", "failed"]


def test_half_a_line_is_lost_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.note("a.mp4", "done")
    with path.open("ab") as file:
        file.write(b'{"file": "b.mp4", "wh')
    with Journal(path) as journal:
        assert len(journal.read()) == 1
        journal.note("c.mp4", "done")
    assert whats(path) == ["done", "done"]


def test_two_runs_do_not_write_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl"), pytest.raises(ConfigError, match="is written by another run"):
        Journal(tmp_path / "journal.jsonl")
    assert whats(tmp_path / "journal.jsonl") == []


def test_one_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal.jsonl")


FULL = """
import logging, resource, signal, sys
from pathlib import Path
from streamderain.batch.spread.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(Path(sys.argv[1])) as journal:
    journal.note("a.mp4", "done")
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size + 20, resource.RLIM_INFINITY))
    journal.note("b.mp4", "done")
    journal.note("c.mp4", "done")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.note("d.mp4", "done")
"""


def test_a_full_disk_is_told_once_and_what_follows_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert run.stderr.count("cannot be written") == 1
    with Journal(path) as journal:
        assert [record["file"] for record in journal.read()] == ["a.mp4", "d.mp4"]
